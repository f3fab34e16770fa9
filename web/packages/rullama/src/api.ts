/**
 * Ollama's API and OpenAI's in a page: for programs written for them, without a server.
 *
 * ```ts
 * import { Rullama } from 'rullama';
 * import { serveApis } from 'rullama/api';
 * import { Ollama } from 'ollama/browser';
 *
 * const ai = await Rullama.load(file);
 * const { address } = await serveApis(ai, { model: 'gemma4:e2b' });
 * const ollama = new Ollama({ host: address });
 * ```
 */

export { serveApis } from './api/bridge.ts';
export type { Service, ServiceOptions } from './api/bridge.ts';
export { apiHandler, clientFetch } from './api/handler.ts';
export type { ApiHandler } from './api/handler.ts';
export type { ApiOptions } from './api/host.ts';
