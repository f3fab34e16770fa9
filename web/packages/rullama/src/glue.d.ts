// The bindings that wasm-bindgen writes into `dist/wasm`; the build puts them into the worker.
declare module 'rullama-glue' {
  export default function start(options: { module_or_path: WebAssembly.Module }): Promise<unknown>;
  export const WebEngine: import('./engine.ts').EngineModule;
  export const initSync: import('./readers/reader.ts').ReaderGlue['initSync'];
  export const rearrangeRows: import('./readers/reader.ts').ReaderGlue['rearrangeRows'];
}
declare module 'rullama-grammar-glue' {
  export default function start(options: { module_or_path: WebAssembly.Module }): Promise<unknown>;
  export const WebGrammars: new (bytes: Uint8Array, ends: Uint32Array, special: Uint32Array, closing: Uint32Array) => import('./engine.ts').Compiler;
}
