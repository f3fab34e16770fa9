// Entry of the dedicated module worker: the engine behind the protocol. It refers to no other file, so that it runs
// from wherever it was put, and starts itself once more for each thread that reads beside it.

import start, { initSync, rearrangeRows, WebEngine } from 'rullama-glue';
import startGrammar, { WebGrammars } from 'rullama-grammar-glue';
import type { EngineModule } from './engine.ts';
import { browserHost } from './download/host.ts';
import { RullamaError } from './errors.ts';
import type { Reply, Request } from './protocol.ts';
import { READER, startReader } from './readers/in-worker.ts';
import { ReaderPool } from './readers/pool.ts';
import { openInBrowser, reader, type FromReader, type ToReader } from './readers/reader.ts';
import { serve } from './serve.ts';
import { shellOpener } from './shell.ts';

interface WorkerScope {
  name: string;
  postMessage(message: Reply | FromReader, transfer?: ArrayBuffer[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

/** The engine's file in `dist/wasm`, whose bindings were put in here. */
declare const __ENGINE__: string;

async function engine(wasm: string | undefined): Promise<EngineModule> {
  pool.module = await instantiate('The engine', __ENGINE__, wasm, start);
  return WebEngine;
}

async function grammar(wasm: string | undefined): Promise<typeof WebGrammars> {
  await instantiate('What compiles schemas,', 'rullama_grammar_bg.wasm', wasm, startGrammar);
  return WebGrammars;
}

async function instantiate(what: string, file: string, wasm: string | undefined, start: (options: { module_or_path: WebAssembly.Module }) => Promise<unknown>): Promise<WebAssembly.Module> {
  const refused = (why: string, remedy: string, cause?: unknown) =>
    new RullamaError('invalid-argument', `${what} ${wasm} cannot be used: ${why}.`, { remedy, cause });
  const serveIt = `Serve the package's dist/wasm/${file}, and name its address with the option \`wasm\`.`;
  if (wasm === undefined) throw refused('no address was given', serveIt);
  let response: Response;
  try {
    response = await fetch(wasm);
  } catch (cause) {
    throw new RullamaError('network', `${what} ${wasm} cannot be fetched: ${RullamaError.from(cause).message}.`, {
      remedy: `Check the connection and try again. ${serveIt} A server of another origin must allow the page to read it (CORS).`,
      cause,
    });
  }
  if (!response.ok) throw refused(`the server answers ${response.status}`, serveIt);
  const type = response.headers.get('Content-Type') ?? '';
  if (type.startsWith('text/html')) throw refused('the server answers with a web page', serveIt);
  try {
    const module = await compiled(response, type);
    await start({ module_or_path: module });
    return module;
  } catch (cause) {
    const { message } = RullamaError.from(cause);
    if (/unsafe-eval/.test(message)) {
      throw refused(message, "Add 'wasm-unsafe-eval' to `script-src` of the page's content security policy.", cause);
    }
    const wrong = cause instanceof WebAssembly.CompileError || cause instanceof WebAssembly.LinkError;
    if (wrong || cause instanceof TypeError) {
      throw refused(message, `${serveIt} It must be of the same version as the rest of the package.`, cause);
    }
    throw cause;
  }
}

/** Compiled as it arrives, where the server says what it is. */
const compiled = async (response: Response, type: string): Promise<WebAssembly.Module> =>
  type.startsWith('application/wasm') ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());

const scope = globalThis as unknown as WorkerScope;
const pool = new ReaderPool(startReader, navigator.hardwareConcurrency ?? 1);

function readAlone(): void {
  const open = (at: Parameters<typeof openInBrowser>[0]) => openInBrowser(at, browserHost().folder);
  const receive = reader({ initSync, rearrangeRows }, open, (message, transfer) => scope.postMessage(message, transfer));
  scope.onmessage = (event: MessageEvent<ToReader>) => void receive(event.data);
}

function answer(): void {
  const listen = (receive: (request: Request) => void) => (scope.onmessage = (event: MessageEvent<Request>) => receive(event.data));
  serve({ post: (reply: Reply) => scope.postMessage(reply), listen }, shellOpener(engine), grammar, pool);
}

if (scope.name === READER) readAlone();
else answer();
