/**
 * The package with an engine that also trains, in place of the one that only answers: two engines share no GPU device.
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
import type { Parts } from './parts.ts';
import type { Engine } from './rullama.ts';
import type { LoadOptions, Source } from './types.ts';

export * from './index.ts';

// Bundlers find both files by these expressions, in builds that import this module alone. The name is the worker's own: webpack puts
// workers of one name into one file.
const TRAINING: Parts = {
  engine: 'rullama_train_bg.wasm',
  worker: 'train-worker.js',
  address: () => new URL('./wasm/rullama_train_bg.wasm', import.meta.url).href,
  grammar: () => new URL('./wasm/rullama_grammar_bg.wasm', import.meta.url).href,
  start: () => new Worker(new URL('./train-worker.js', import.meta.url), { type: 'module', name: 'rullama-train-worker' }),
};

export const Rullama = {
  ...Answering,

  /** As `Rullama.load` of `rullama`, with an engine that trains, too; `worker` and `wasm` name the parts of this one. */
  load: (source: Source, options: LoadOptions = {}): Promise<Engine> => loadWith(TRAINING, source, options),
};
