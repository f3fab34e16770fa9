// Opens the wasm engine: the device is watched first, then the module is loaded.

import { watchDevices } from './device.ts';
import type { EngineModule, ShellOptions, ShellSource } from './engine.ts';
import type { Keep } from './download/keep.ts';
import type { SourceRef } from './protocol.ts';
import type { ReadersOf } from './readers/pool.ts';
import type { OpenEngine } from './serve.ts';

/** An `OpenEngine` over the wasm module that `instantiate` gives, from the request's address `wasm`. */
export function shellOpener(instantiate: (wasm: string | undefined) => Promise<EngineModule>): OpenEngine {
  return async ({ source, drafter, options, wasm }, onProgress, onLost, { keep, readersOf }) => {
    const grant = await watchDevices(navigator.gpu, { plain: options.adapter === 'webgpu-defaults', onLost });
    const module = await instantiate(wasm);
    const shellOptions: ShellOptions = { ...(drafter && { speculate: 'auto' }), ...options, ...grant };
    const guesses = drafter && shellSource(drafter, keep, readersOf);
    return module.load(shellSource(source, keep, readersOf), JSON.stringify(shellOptions), (json) => onProgress(JSON.parse(json)), guesses);
  };
}

/** The source as the wasm shell takes it. */
export function shellSource(source: SourceRef, keep: Keep | undefined, readersOf: ReadersOf): ShellSource {
  if ('parts' in source) return { parts: source.parts.map((part) => shellSource(part, keep, readersOf)) };
  if ('file' in source) return source;
  if ('url' in source) return { url: source.url, ...(keep && { keep }) };
  return { ...source, readers: readersOf({ blob: source.blob }, source.blob.size) };
}
