/**
 * The same package with an engine that also trains. It takes the place of the other: what one page loads of the two shares no GPU
 * device.
 *
 * ```ts
 * import { Rullama } from 'rullama/train';
 * const ai = await Rullama.load(file);
 * const tuner = await ai.tune([{ prompt: 'Who fixed the radio?', completion: 'Ada did.' }], { epochs: 20 });
 * for await (const { step, steps, loss } of tuner) bar.value = step / steps;
 * const chat = ai.chat();
 * await chat.setAdapters([{ adapter: await tuner.adapter() }]);
 * const files = await tuner.save('peft');
 * ```
 */

import { loadWith, Rullama as Answering } from './index.ts';
import { packaged, TRAINING, trainingScript } from './training-parts.ts';
import type { Engine } from './rullama.ts';
import type { LoadOptions, Source } from './types.ts';

export { Chat, clearStoredModels, Engine, ERROR_CODES, RullamaError, storedModels } from './index.ts';
export type { ErrorCode, ErrorData, StoredModel } from './index.ts';
export type * from './types.ts';

export const Rullama = {
  ...Answering,

  /** As `Rullama.load` of `rullama`; the engine trains, too. The options `worker` and `wasm` name this entry's parts. */
  load: (source: Source, options: LoadOptions = {}): Promise<Engine> =>
    loadWith({ file: TRAINING, own: packaged, script: trainingScript }, source, options),
};
