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

async function instantiate(): Promise<EngineModule> {
  const glue = (await import(new URL('./wasm/rullama_web.js', import.meta.url).href)) as Glue;
  await glue.default({ module_or_path: new URL('./wasm/rullama_web_bg.wasm', import.meta.url) });
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
