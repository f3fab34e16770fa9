// Entry of the dedicated module worker: the engine behind the protocol.

import type { EngineModule } from './engine.ts';
import type { Reply, Request } from './protocol.ts';
import { serve } from './serve.ts';
import { shellOpener } from './shell.ts';

interface WorkerScope {
  postMessage(message: Reply): void;
  onmessage: ((event: MessageEvent<Request>) => void) | null;
}

/** The glue that wasm-bindgen writes, beside this script. */
interface Glue {
  default(wasm: { module_or_path: URL }): Promise<unknown>;
  WebEngine: EngineModule;
}

async function instantiate(wasm = new URL('./wasm', import.meta.url).href): Promise<EngineModule> {
  const folder = `${wasm.replace(/\/$/, '')}/`;
  const glue = (await import(new URL('rullama_web.js', folder).href)) as Glue;
  await glue.default({ module_or_path: new URL('rullama_web_bg.wasm', folder) });
  return glue.WebEngine;
}

const scope = globalThis as unknown as WorkerScope;
serve(
  {
    post: (reply) => scope.postMessage(reply),
    listen: (receive) => (scope.onmessage = (event) => receive(event.data)),
  },
  shellOpener(instantiate),
);
