// The bindings that wasm-bindgen writes into `dist/wasm`; the build puts them into the worker.
declare module 'rullama-glue' {
  export default function start(options: { module_or_path: Response }): Promise<unknown>;
  export const WebEngine: import('./engine.ts').EngineModule;
}
