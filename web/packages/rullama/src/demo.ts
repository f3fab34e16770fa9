/**
 * The demo model that comes with the package, for `Rullama.load(demo.file)`. Only who imports this module gets the
 * file into a build.
 */

import type { EmbeddedModel } from './types.ts';

/** What the model's description says, without the file. */
declare const __DEMO__: Omit<EmbeddedModel, 'file'>;

/** A toy of the Gemma 4 architecture for trying things out; `file` is its absolute address. */
export const demo: EmbeddedModel = {
  ...__DEMO__,
  file: new URL('./rullama-demo.gguf', import.meta.url).href,
};
