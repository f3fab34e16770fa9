/**
 * Gemma 4 in the browser.
 *
 * ```ts
 * import { Rullama } from 'rullama';
 * import { demo } from 'rullama/demo';
 * const ai = await Rullama.load(demo.file, { onProgress: (p) => (bar.value = p.done / p.total) });
 * const chat = ai.chat({ system: 'Answer briefly.' });
 * for await (const event of chat.send('Why is the sky blue?', { signal }))
 *   if (event.type === 'content') out.append(event.text);
 * console.log(chat.last?.timings.decodeTokS, await ai.memory());
 * await ai.close();
 * ```
 */

import { modelAddress } from './address.ts';
import { checkLoad } from './check.ts';
import { Client } from './client.ts';
import type { Downloaded, DownloadOptions } from './download-types.ts';
import { askPersistence, downloadRequest } from './downloads.ts';
import { describeEmbedded } from './embedded.ts';
import { RullamaError } from './errors.ts';
import { absolute, ANSWERING, engineAddress, grammarAddress, type Parts, startWorker, workerMissing } from './parts.ts';
import { pickedRef } from './picked.ts';
import { openaiClient, type OpenAIClient } from './openai.ts';
import type { ApiOptions } from './api/host.ts';
import type { Reply, Request, SourceRef } from './protocol.ts';
import { following } from './rest.ts';
import { Engine } from './rullama.ts';
import type { EmbeddedModel, EngineOptions, LoadOptions, Source } from './types.ts';

export { ERROR_CODES, RullamaError } from './errors.ts';
export type { ErrorCode, ErrorData } from './errors.ts';
export { Adapter } from './adapters.ts';
export { watchDownloads } from './downloads.ts';
export { clearStoredModels, removeStoredModel, storedModels } from './stored.ts';
export type { StoredModel } from './stored.ts';
export { ModelsPage, OpenAIError, OpenAIStream } from './openai.ts';
export type { OpenAIClient, RequestOptions } from './openai.ts';
export type * from './api/openai-types.ts';
export type * from './api/responses-types.ts';
export { Chat, Engine } from './rullama.ts';
export { Tuner } from './tuner.ts';
export type * from './download-types.ts';
export type * from './media-types.ts';
export type * from './types.ts';

export const Rullama = {
  /**
   * Loads a model into a worker of its own.
   *
   * @throws RullamaError with `code` and `remedy`; aborting `signal` rejects with code `cancelled`.
   */
  load: (source: Source, options: LoadOptions = {}): Promise<Engine> => loadWith(ANSWERING, source, options),

  /**
   * Stores a model's file in the browser's private storage, where `load` with `store: 'always'` finds it: over several connections, in
   * pieces that are kept when the page is closed or the network lost, and compared with its SHA-256 where that is known. Aborting
   * `signal` pauses; the same call goes on. A tab that asks for what another one downloads follows it.
   *
   * @throws RullamaError `cancelled` when it is paused; `quota` where there is no room; `network` for what the server answers;
   * `source-changed` for a wrong digest, both of which are named; `invalid-argument`.
   */
  async download(source: string | URL, options: DownloadOptions = {}): Promise<Downloaded> {
    const { signal, onProgress } = options;
    if (signal?.aborted) throw new RullamaError('cancelled', 'The download was stopped before it began.');
    const request = await downloadRequest(source, options);
    await askPersistence();
    const { client, worker } = connect(ANSWERING, options.worker);
    try {
      return (await client.call('download', request, { signal, ...(onProgress && { onEvent: onProgress }) })) as Downloaded;
    } finally {
      worker.terminate();
    }
  },

  /**
   * The shape of the `openai` client on a loaded model: programs written for that client go on with this one.
   *
   * ```ts
   * const openai = Rullama.openai(ai);
   * const { choices } = await openai.chat.completions.create({ messages: [{ role: 'user', content: 'Hello' }] });
   * ```
   *
   * What it throws is an `OpenAIError`, whose members are those of that client's errors.
   */
  openai: (engine: Engine, options: ApiOptions = {}): OpenAIClient => openaiClient(engine, options),

  /**
   * The description of the embedded model, without loading it.
   *
   * @throws RullamaError `network` when it is not served.
   */
  async embedded(address?: string | URL): Promise<EmbeddedModel> {
    return (await describeEmbedded(address)).model;
  },
};

/** @internal */
export * as internal from './api/shared.ts';

/**
 * Loads a model into a worker of its own, with an engine of the package: what `rullama/train` and this entry share.
 *
 * @internal
 */
export async function loadWith(parts: Parts, source: Source, options: LoadOptions): Promise<Engine> {
  const { onProgress, signal, embedded, worker: script, wasm, projector, drafter, early = false, ...engineOptions } = options;
  if (signal?.aborted) throw new RullamaError('cancelled', 'The load was stopped before it began.');
  checkLoad(engineOptions);
  const ref = await resolve(source, embedded);
  const guesses = drafter === undefined ? undefined : await resolve(drafter);
  const engine = engineAddress(parts, wasm);
  const { client, worker } = connect(parts, script);
  // Loading has no safe point to stop at from outside: the worker is ended, and the GPU memory goes with it.
  const stop = () => {
    client.fail(new RullamaError('cancelled', 'The load was stopped.'));
    worker.terminate();
  };
  try {
    signal?.addEventListener('abort', stop);
    if (engineOptions.store === 'always' && 'url' in ref) await askPersistence();
    if (signal?.aborted) stop();
    const addresses = { wasm: engine, grammar: grammarAddress(parts, wasm) };
    const params = { source: ref, drafter: guesses, options: engineOptions as EngineOptions, early, ...addresses };
    const info = await client.call('load', params, onProgress && { onEvent: onProgress });
    const progress = early ? await client.call('arriving', null) : null;
    const loaded = new Engine(client, info, () => worker.terminate(), resolve, progress ? following(client, progress) : undefined);
    if (projector !== undefined) await loaded.setProjector(projector);
    return loaded;
  } catch (thrown) {
    worker.terminate();
    throw RullamaError.from(thrown);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Starts a worker and talks to it. */
function connect(parts: Parts, script: string | URL | undefined): { client: Client; worker: Worker } {
  const { worker, address } = startWorker(parts, script);
  const client = new Client({
    post: (request: Request) => worker.postMessage(request),
    listen: (receive) => (worker.onmessage = (event: MessageEvent<Reply>) => receive(event.data)),
  });
  const broken = (text: string) => client.fail(new RullamaError('internal', text));
  // An event without words says that there is no script to run.
  worker.onerror = ({ message }) =>
    message ? broken(`The engine's worker ${address} failed: ${message}.`) : client.fail(workerMissing(parts, address));
  worker.onmessageerror = () => broken('A message from the worker could not be read.');
  return { client, worker };
}

async function resolve(source: Source, embedded?: string | URL): Promise<SourceRef> {
  if (source instanceof Blob || Array.isArray(source)) return pickedRef(source);
  if (source === 'embedded') {
    const { model, address } = await describeEmbedded(embedded);
    return { url: absolute(model.file, address) };
  }
  return { url: await modelAddress(source, document.baseURI) };
}
