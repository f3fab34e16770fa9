/**
 * The same engine in Node, on Dawn (npm `webgpu`), in the calling thread: for benchmarks and tests.
 *
 * ```ts
 * import { pathToFileURL } from 'node:url';
 * import { loadInNode } from 'rullama/node';
 * const ai = await loadInNode(pathToFileURL('model.gguf'));
 * ```
 */

import { openAsBlob } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelAddress } from './address.ts';
import { checkLoad } from './check.ts';
import { Client } from './client.ts';
import type { EngineModule } from './engine.ts';
import { RullamaError } from './errors.ts';
import type { LoadCompiler } from './formats.ts';
import { pickedRef } from './picked.ts';
import { localPair, type SourceRef } from './protocol.ts';
import { Engine } from './rullama.ts';
import { serve } from './serve.ts';
import { shellOpener } from './shell.ts';
import type { EngineOptions, Progress, Source } from './types.ts';

export { RullamaError } from './errors.ts';
export type * from './media-types.ts';
export type * from './types.ts';

export interface NodeOptions extends EngineOptions {
  onProgress?: (progress: Progress) => void;
  /** Dawn's switches, such as `enable-dawn-features=allow_unsafe_apis`. */
  dawn?: string[];
  /** Folder with the engines (`rullama_web.js` and `rullama_web_bg.wasm`); the package's own by default. */
  wasm?: URL;
  /** The file with the towers of a model that has none of its own (llama.cpp's mmproj). */
  projector?: string | URL | Blob;
  /** Loads the engine that also trains. */
  training?: boolean;
  /** The module to use in place of npm's `webgpu`. */
  webgpu?: DawnModule;
}

interface DawnModule {
  create(flags: string[]): GPU;
  globals: Record<string, unknown>;
}

/** Loads a model from an address (`file:` is read in place), a `Blob`, or a list of them that are the parts of one. */
export async function loadInNode(source: string | URL | Blob | Blob[], options: NodeOptions = {}): Promise<Engine> {
  const { onProgress, dawn = [], wasm = new URL('./wasm/', import.meta.url), webgpu, training = false, projector, ...engineOptions } = options;
  checkLoad(engineOptions);
  const ref = await resolve(source);
  installWebGpu(webgpu ?? (await importDawn()), dawn);
  const { client: clientEnd, worker } = localPair();
  const engine = async () => (await instantiate(wasm, training ? 'rullama_train' : 'rullama_web'))['WebEngine'] as EngineModule;
  const grammar = async () => (await instantiate(wasm, 'rullama_grammar'))['WebGrammars'] as Awaited<ReturnType<LoadCompiler>>;
  serve(worker, shellOpener(engine), grammar);
  const client = new Client(clientEnd);
  const params = { source: ref, options: engineOptions };
  const info = await client.call('load', params, onProgress && { onEvent: onProgress });
  const loaded = new Engine(client, info, () => undefined, resolve);
  if (projector !== undefined) await loaded.setProjector(projector);
  return loaded;
}

async function resolve(source: Source): Promise<SourceRef> {
  if (source instanceof Blob || Array.isArray(source)) return pickedRef(source);
  const url = String(source);
  if (!url.startsWith('file:')) return { url: await modelAddress(url) };
  try {
    const path = fileURLToPath(url);
    return { blob: await openAsBlob(path), name: basename(path) };
  } catch (cause) {
    throw new RullamaError('invalid-argument', `${url} cannot be read: ${RullamaError.from(cause).message}.`, {
      remedy: 'Name a file that is there and may be read.',
      cause,
    });
  }
}

async function importDawn(): Promise<DawnModule> {
  const name = 'webgpu';
  try {
    return (await import(name)) as DawnModule;
  } catch (cause) {
    throw new RullamaError('no-webgpu', 'The npm package "webgpu" is not installed.', {
      remedy: 'Run `npm install webgpu`.',
      cause,
    });
  }
}

/** wgpu looks for `navigator.gpu` of a window or a worker: Node is made to look like a worker. */
function installWebGpu(dawn: DawnModule, flags: string[]): void {
  const scope = globalThis as unknown as Record<string, unknown>;
  if ((scope['navigator'] as Navigator | undefined)?.gpu) return;
  Object.assign(scope, dawn.globals);
  scope['WorkerGlobalScope'] ??= class WorkerGlobalScope {};
  Object.defineProperty(scope, 'navigator', { value: { gpu: dawn.create(flags) }, configurable: true });
}

async function instantiate(folder: URL, name: string): Promise<Record<string, unknown>> {
  const glue = await import(new URL(`${name}.js`, folder).href);
  await glue.default({ module_or_path: await readFile(new URL(`${name}_bg.wasm`, folder)) });
  return glue;
}
