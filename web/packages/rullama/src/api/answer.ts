// One request for an answer, whole or as it comes: what every API does once it knows what is asked.

import type { Ask } from '../request.ts';
import { collect, type Ended, type Format, type Host, records, type Said } from './host.ts';

/** An answer as a whole, or its records as they come. */
export type Given<Whole, Rec> = { whole: Whole } | { records: AsyncGenerator<Rec, void, void> };

/**
 * Asks the model; `control` stops the answer.
 *
 * @throws Failure for an unknown model, a full queue, a prompt that is too long, or whatever ends a whole answer early.
 */
export async function answer<Whole, Rec>(
  host: Host,
  { model, ask, stream }: { model: string; ask: Ask; stream: boolean },
  form: Format<Rec> & { whole(said: Said, ended: Ended): Whole },
  control: AbortController,
): Promise<Given<Whole, Rec>> {
  host.check(model);
  const begun = await host.begin(ask, control.signal);
  if (stream) return { records: records(begun, form, () => control.abort()) };
  const { said, ended } = await collect(begun);
  return { whole: form.whole(said, ended) };
}
