/**
 * The same engine in Node, on Dawn (npm `webgpu`), in the calling thread: for benchmarks and tests.
 *
 * ```ts
 * import { pathToFileURL } from 'node:url';
 * import { loadInNode } from 'rullama/node';
 * const ai = await loadInNode(pathToFileURL('model.gguf'));
 * ```
 */

import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { modelAddress } from './address.ts';
import { checkLoad } from './check.ts';
import { Client } from './client.ts';
import type { EngineModule } from './engine.ts';
import { RullamaError } from './errors.ts';
import type { LoadCompiler } from './formats.ts';
import { NodeFile } from './node-file.ts';
import { pickedRef } from './picked.ts';
import { localPair, type SourceRef } from './protocol.ts';
import { ReaderPool, type ReadersOf, type StartReader } from './readers/pool.ts';
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
  /** A small model that was made to guess this one's tokens (`gemma4-assistant`). */
  drafter?: string | URL | Blob;
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
  const { onProgress, dawn = [], wasm = new URL('./wasm/', import.meta.url), webgpu, training = false, projector, drafter, ...engineOptions } = options;
  checkLoad(engineOptions);
  const name = training ? 'rullama_train' : 'rullama_web';
  const pool = new ReaderPool(startReader(new URL(`${name}.js`, wasm)), availableParallelism());
  const resolve = (source: Source) => resolved(source, (at, bytes) => pool.of(at, bytes, engineOptions.readers));
  const ref = await resolve(source);
  const guesses = drafter === undefined ? undefined : await resolve(drafter);
  installWebGpu(webgpu ?? (await importDawn()), dawn);
  const { client: clientEnd, worker } = localPair();
  const engine = async () => {
    pool.module = await compile(wasm, name);
    return (await instantiate(wasm, name, pool.module))['WebEngine'] as EngineModule;
  };
  const grammar = async () => (await instantiate(wasm, 'rullama_grammar'))['WebGrammars'] as Awaited<ReturnType<LoadCompiler>>;
  serve(worker, shellOpener(engine), grammar, pool);
  const client = new Client(clientEnd);
  const params = { source: ref, drafter: guesses, options: engineOptions };
  const info = await client.call('load', params, onProgress && { onEvent: onProgress }).catch((thrown: unknown) => {
    for (const read of [ref, guesses]) if (read && 'file' in read) read.file.close();
    throw thrown;
  });
  const loaded = new Engine(client, info, () => undefined, resolve);
  if (projector !== undefined) await loaded.setProjector(projector);
  return loaded;
}

async function resolved(source: Source, readersOf: ReadersOf): Promise<SourceRef> {
  if (source instanceof Blob || Array.isArray(source)) return pickedRef(source);
  const url = String(source);
  if (!url.startsWith('file:')) return { url: await modelAddress(url) };
  try {
    const path = fileURLToPath(url);
    return { file: new NodeFile(path, readersOf), name: basename(path) };
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

const compile = async (folder: URL, name: string) => WebAssembly.compile(await readFile(new URL(`${name}_bg.wasm`, folder)));

async function instantiate(folder: URL, name: string, module?: WebAssembly.Module): Promise<Record<string, unknown>> {
  const glue = await import(new URL(`${name}.js`, folder).href);
  await glue.default({ module_or_path: module ?? (await compile(folder, name)) });
  return glue;
}

/** A thread that reads: `node-reader.js` beside this file, with the engine's bindings. */
function startReader(glue: URL): StartReader {
  return (told, broken) => {
    const worker = new Worker(new URL('./node-reader.js', import.meta.url), { workerData: glue.href });
    worker.on('message', told);
    worker.on('error', broken);
    worker.on('messageerror', broken);
    return {
      post: (message, transfer) => worker.postMessage(message, transfer),
      rest: (resting) => (resting ? worker.unref() : worker.ref()),
      end: () => void worker.terminate(),
    };
  };
}
