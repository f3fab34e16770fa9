// Where the package's parts lie: its worker, its engine, and what the page serves. Bundlers know a part by
// `new URL('./name', import.meta.url)` with the name written out; they give it another one and write that here.

import { RullamaError } from './errors.ts';

/** An engine of the package, and the worker that runs it. */
export interface Parts {
  /** The engine's file in `dist/wasm`. */
  engine: string;
  /** The worker's in `dist`. */
  worker: string;
  /** The engine's address, as a bundler may have written it. */
  address: () => string;
  /** The address of what compiles schemas, likewise. */
  grammar: () => string;
  /** Starts the worker, likewise. */
  start: () => Worker;
}

/** The engine that answers. */
export const ANSWERING: Parts = {
  engine: 'rullama_web_bg.wasm',
  worker: 'worker.js',
  address: () => new URL('./wasm/rullama_web_bg.wasm', import.meta.url).href,
  grammar: () => new URL('./wasm/rullama_grammar_bg.wasm', import.meta.url).href,
  start: () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'rullama-worker' }),
};

/** An absolute address; relative ones count from the page. */
export function absolute(address: string | URL, base: string | URL = globalThis.document?.baseURI ?? location.href): string {
  try {
    return new URL(address, base).href;
  } catch (cause) {
    throw new RullamaError('invalid-argument', `"${address}" is not an address.`, { cause });
  }
}

/** The engine's file: what the option `wasm` names, the file or the folder with it, or the package's own. */
export function engineAddress(parts: Parts, named: string | URL | undefined): string {
  if (named === undefined) return parts.address();
  const address = new URL(absolute(named));
  const folder = address.protocol.startsWith('http') && !address.pathname.endsWith('.wasm');
  if (folder) address.pathname = `${address.pathname.replace(/\/$/, '')}/${parts.engine}`;
  return address.href;
}

/** The file of what compiles schemas, which lies beside the engine's where that has an address of its own. */
export function grammarAddress(parts: Parts, named: string | URL | undefined): string {
  if (named === undefined) return parts.grammar();
  const address = new URL(engineAddress(parts, named));
  if (!address.protocol.startsWith('http') || !address.pathname.endsWith('.wasm')) return parts.grammar();
  address.pathname = address.pathname.replace(/[^/]*$/, 'rullama_grammar_bg.wasm');
  return address.href;
}

/** How `new Worker` was called. */
class Script {
  constructor(
    readonly address: string | URL,
    readonly options?: WorkerOptions,
  ) {}
}

/**
 * The worker's script: what the option `worker` names, or the package's own.
 *
 * Bundlers build a worker only where its address stands inside `new Worker(...)`, and write options of their own
 * there. A script of another origin cannot be started that way and its address must be known, so the expression
 * meets a stand-in that keeps what it is called with.
 */
function workerScript(parts: Parts, named: string | URL | undefined): Script {
  if (named !== undefined) return new Script(named, { type: 'module', name: 'rullama-worker' });
  const scope = globalThis as { Worker: unknown };
  const real = scope.Worker;
  scope.Worker = Script;
  try {
    return parts.start() as unknown as Script;
  } finally {
    scope.Worker = real;
  }
}

/**
 * Starts the engine's worker. A script of another origin is loaded by a line of the page's own.
 *
 * @throws RullamaError `invalid-argument` when the browser refuses it.
 */
export function startWorker(parts: Parts, named: string | URL | undefined): { worker: Worker; address: string } {
  let address = String(named);
  try {
    const script = workerScript(parts, named);
    address = absolute(script.address);
    if (new URL(address).origin === location.origin) return { worker: new Worker(address, script.options), address };
    const call = script.options?.type === 'module' ? 'import' : 'importScripts';
    const quoted = JSON.stringify(address);
    const line = call === 'import' ? `import ${quoted};` : `importScripts(${quoted});`;
    const bootstrap = `${line}\nURL.revokeObjectURL(location.href);`;
    const blob = URL.createObjectURL(new Blob([bootstrap], { type: 'text/javascript' }));
    return { worker: new Worker(blob, script.options), address };
  } catch (cause) {
    if (cause instanceof RullamaError) throw cause;
    const { message } = RullamaError.from(cause);
    throw new RullamaError('invalid-argument', `The engine's worker ${address} cannot be started: ${message}`, {
      remedy: "Allow it in the page's content security policy (`worker-src`), or name another address with the option `worker`.",
      cause,
    });
  }
}

/** A worker whose script cannot be had, or is none. */
export function workerMissing(parts: Parts, address: string): RullamaError {
  const message = `The engine's worker does not load from ${address}.`;
  return new RullamaError('invalid-argument', message, { remedy: remedyFor(parts, new URL(address)) });
}

function remedyFor(parts: Parts, address: URL): string {
  // Before version 8, Vite's development server takes a package's scripts elsewhere and leaves its other files.
  if (address.pathname.includes('/.vite/deps/')) return "Add `optimizeDeps: { exclude: ['rullama'] }` to Vite's configuration.";
  const serve = `Serve the package's dist/${parts.worker}, and name its address with the option \`worker\`.`;
  const foreign = address.origin !== location.origin;
  return foreign ? `${serve} A server of another origin must allow the page to read it (CORS).` : serve;
}
