// One request for an answer, whole or as it comes: what every API does once it knows what is asked.

import type { MediaPart } from '../media-types.ts';
import type { Ask } from '../request.ts';
import { Failure } from './failure.ts';
import { shown } from './media.ts';
import { collect, type Ended, type Format, type Host, records, type Said } from './host.ts';

/** An answer as a whole, or its records as they come. */
export type Given<Whole, Rec> = { whole: Whole } | { records: AsyncGenerator<Rec, void, void> };

/** What is asked, and what errors call its messages and the form of its answer. */
export interface Asked {
  model: string;
  ask: Ask;
  stream: boolean;
  places?: string[] | undefined;
  formField?: string | undefined;
}

/**
 * Asks the model; `control` stops the answer.
 *
 * @throws Failure for an unknown model, media that cannot be shown to it, a full queue, a prompt that is too long, or whatever ends
 * a whole answer early.
 */
export async function answer<Whole, Rec>(
  host: Host,
  { model, ask, stream, places, formField }: Asked,
  form: Format<Rec> & { whole(said: Said, ended: Ended): Whole },
  control: AbortController,
): Promise<Given<Whole, Rec>> {
  host.check(model);
  host.answers();
  const show = async (part: MediaPart) => (await host.engine.perception.names([part], control.signal))[0] as string;
  const messages = ask.messages && (await shown(ask.messages, places, show));
  const renamed = (thrown: unknown) => Promise.reject(inWordsOf(Failure.from(thrown), places, formField));
  const begun = await host.begin({ ...ask, ...(messages && { messages }) }, control.signal).catch(renamed);
  if (stream) return { records: records(begun, form, () => control.abort()) };
  const { said, ended } = await collect(begun);
  return { whole: form.whole(said, ended) };
}

/** An engine's failure in the words of its request. */
function inWordsOf(failure: Failure, places: string[] | undefined, formField: string | undefined): Failure {
  const { message, field = '' } = failure;
  const rest = (known: string) => message.slice(known.length).trimStart();
  const place = places?.[Number(/^messages\[(\d+)\]$/.exec(field)?.[1])];
  if (place) return Failure.field(place, rest(`\`${field}\``));
  const form = '`format` is a schema, which';
  return formField !== undefined && message.startsWith(form) ? Failure.field(formField, rest(form)) : failure;
}
