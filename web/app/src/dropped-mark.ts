// The line in a log from which on the model reads.

import type { ModelInfo } from 'rullama';
import { h } from './dom.ts';
import { count } from './format.ts';
import type { LogView } from './log-view.ts';

/** Offers to load the model with a larger context where it has one. */
export function droppedMark({ context, trainedContext }: ModelInfo, reload: (context: number) => void): HTMLElement {
  const larger = Math.min(trainedContext, 2 * context);
  return h('p', { className: 'note dropped', role: 'status' },
    `The context of ${count(context, 'token', 'tokens')} is full: from here on the model reads only what is below this line. `,
    larger > context && h('button', { type: 'button', className: 'quiet', onclick: () => reload(larger) }, `Reload with ${larger.toLocaleString('en')}`));
}

/** Puts the line before the first message that is read. */
export function markDropped(log: LogView, firstRead: string | undefined, mark: HTMLElement): void {
  log.sync(true);
  log.element.querySelector('.dropped')?.remove();
  const first = firstRead && log.elementOf(firstRead);
  if (first) first.before(mark);
  else if (firstRead) log.element.prepend(mark);
  else log.element.append(mark);
}
