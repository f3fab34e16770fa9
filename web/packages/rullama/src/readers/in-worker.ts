// Readers in a browser: the engine's worker, started once more by itself.

import type { FromReader, ToReader } from './reader.ts';
import type { ReaderThread } from './pool.ts';

/** The name by which the worker's script knows what it is started for. */
export const READER = 'rullama-reader';

export function startReader(told: (message: FromReader) => void, broken: () => void): ReaderThread {
  const worker = new Worker(ownScript(), { type: isModule() ? 'module' : 'classic', name: READER });
  worker.onmessage = (event: MessageEvent<FromReader>) => told(event.data);
  worker.onerror = (event) => {
    // It is no fault of the page's.
    event.preventDefault();
    broken();
  };
  worker.onmessageerror = broken;
  return {
    post: (message: ToReader, transfer) => worker.postMessage(message, transfer),
    rest: () => undefined,
    end: () => worker.terminate(),
  };
}

/** The script's address; of one of another origin, which was started by a line of the page's own, such a line. */
function ownScript(): string {
  if (!location.href.startsWith('blob:')) return location.href;
  const line = `import ${JSON.stringify(import.meta.url)};`;
  return URL.createObjectURL(new Blob([line], { type: 'text/javascript' }));
}

/** Bundlers may have made a script of it. */
function isModule(): boolean {
  try {
    (globalThis as unknown as { importScripts: () => void }).importScripts();
    return false;
  } catch {
    return true;
  }
}
