// Turns a call with events into an async iterable.

import type { PrefillEvent, StreamEvent } from './protocol.ts';
import type { Prefill } from './types.ts';

/**
 * Yields what `start` pushes until the promise that it returned settles, then yields `last` of its result.
 * Leaving the loop early aborts `controller` and waits for the work to end, so that the next call starts clean.
 */
export async function* streamOf<Event, Result>(
  start: (push: (event: Event) => void) => Promise<Result>,
  last: (result: Result) => Event,
  controller: AbortController,
): AsyncGenerator<Event, void, void> {
  const queue: Event[] = [];
  let wake: () => void = () => undefined;
  const progress = { finished: false };
  const work = start((event) => {
    queue.push(event);
    wake();
  }).finally(() => {
    progress.finished = true;
    wake();
  });
  work.catch(() => undefined); // reported below, when the queue is empty

  try {
    for (;;) {
      while (queue.length > 0) yield queue.shift() as Event;
      if (progress.finished) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (queue.length > 0 || progress.finished) resolve();
      });
    }
    yield last(await work);
  } finally {
    controller.abort(); // of work that is done, it lets go of the signal that is followed
    if (!progress.finished) await work.catch(() => undefined);
  }
}

/** A controller that follows `signal`, so that either can stop the work. */
export function following(signal: AbortSignal | undefined): AbortController {
  const controller = new AbortController();
  if (signal?.aborted) controller.abort();
  else signal?.addEventListener('abort', () => controller.abort(), { once: true, signal: controller.signal });
  return controller;
}

/** Takes what tells of the prompt being read to who wants to know of it, and the rest on. */
export const apart = (onPrefill: ((at: Prefill) => void) | undefined, push: (event: StreamEvent) => void) => (event: StreamEvent | PrefillEvent): void => {
  if (event.type === 'prefill') onPrefill?.({ done: event.done, total: event.total });
  else push(event);
};
