// Entry of the dedicated module worker: the engine behind the protocol. It refers to no other file, so that it runs
// from wherever it was put.

import start, { WebEngine } from 'rullama-glue';
import startGrammar, { WebGrammars } from 'rullama-grammar-glue';
import type { EngineModule } from './engine.ts';
import { RullamaError } from './errors.ts';
import type { Reply, Request } from './protocol.ts';
import { serve } from './serve.ts';
import { shellOpener } from './shell.ts';

interface WorkerScope {
  postMessage(message: Reply): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
}

/** The engine's file in `dist/wasm`, whose bindings were put in here. */
declare const __ENGINE__: string;

async function engine(wasm: string | undefined): Promise<EngineModule> {
  await instantiate('The engine', __ENGINE__, wasm, start);
  return WebEngine;
}

async function grammar(wasm: string | undefined): Promise<typeof WebGrammars> {
  await instantiate('What compiles schemas,', 'rullama_grammar_bg.wasm', wasm, startGrammar);
  return WebGrammars;
}

async function instantiate(what: string, file: string, wasm: string | undefined, start: (options: { module_or_path: Response }) => Promise<unknown>): Promise<void> {
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
    await start({ module_or_path: response });
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

const scope = globalThis as unknown as WorkerScope;
serve(
  {
    post: (reply) => scope.postMessage(reply),
    listen: (receive) => (scope.onmessage = (event) => receive(event.data)),
  },
  shellOpener(engine),
  grammar,
);
