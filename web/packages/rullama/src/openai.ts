// The `openai` client's shape on an engine, without a server and without that package.

import type { Given } from './api/answer.ts';
import { type ErrorBody, Failure } from './api/failure.ts';
import { type ApiOptions, Host } from './api/host.ts';
import * as api from './api/openai.ts';
import { response } from './api/responses.ts';
import type { ResponseAnswer, ResponseEvent, ResponseItem, ResponseParams, ResponseRecord } from './api/responses-types.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionParams,
  Completion,
  CompletionParams,
  EmbeddingParams,
  EmbeddingsAnswer,
  OpenAIModel,
} from './api/openai-types.ts';
import type { Engine } from './rullama.ts';
import { following } from './stream.ts';

export type * from './api/openai-types.ts';
export type * from './api/responses-types.ts';

/** Names of OpenAI's errors by their status. */
const NAMES: Record<number, string> = { 400: 'BadRequestError', 404: 'NotFoundError' };

/** An error as the `openai` client throws it: `status`, and what the API says of it. `name` is that client's class. */
export class OpenAIError extends Error {
  readonly status: number | undefined;
  readonly code: string | null;
  /** The field of the request that is at fault. */
  readonly param: string | null;
  readonly type: string | undefined;
  readonly error: ErrorBody | undefined;

  /** @internal */
  constructor(failure: Failure, aborted: boolean) {
    super(aborted ? 'Request was aborted.' : `${failure.status} ${failure.message}`, { cause: failure });
    this.name = aborted ? 'APIUserAbortError' : (NAMES[failure.status] ?? 'InternalServerError');
    this.status = aborted ? undefined : failure.status;
    this.error = aborted ? undefined : failure.openai;
    this.code = this.error?.code ?? null;
    this.param = this.error?.param ?? null;
    this.type = this.error?.type;
  }
}

/** What a request takes besides what it sends. */
export interface RequestOptions {
  /** Aborting rejects the request, or ends the stream. */
  signal?: AbortSignal | null | undefined;
}

/** A streamed answer. Leaving the loop, or `controller.abort()`, stops it. */
export class OpenAIStream<Chunk> implements AsyncIterable<Chunk> {
  private taken = false;

  /** @internal */
  constructor(
    private readonly records: AsyncGenerator<Chunk, void, void>,
    readonly controller: AbortController,
  ) {}

  /** @throws OpenAIError for what ended the answer early, apart from an abort, which ends the loop. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, void> {
    if (this.taken) throw new Error('A stream can be read once.');
    this.taken = true;
    for await (const record of this.records) {
      if (this.controller.signal.aborted) return;
      if (typeof record === 'object' && record !== null && 'error' in record) throw ofRecord(record.error as ErrorBody);
      yield record;
    }
  }
}

function ofRecord({ message, param, code, type }: ErrorBody): OpenAIError {
  const status = type === 'service_unavailable_error' ? 503 : type === 'invalid_request_error' ? 400 : 500;
  return new OpenAIError(new Failure(status, message, param ?? undefined, code ?? undefined), false);
}

/** The list of models, as the client pages through it. */
export class ModelsPage implements AsyncIterable<OpenAIModel> {
  readonly object = 'list';

  /** @internal */
  constructor(readonly data: OpenAIModel[]) {}

  hasNextPage(): boolean {
    return false;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<OpenAIModel, void, void> {
    yield* this.data;
  }
}

type Params<P, Stream> = P & { stream: Stream };

/** `create` of an answer: as a whole, or as a stream. */
interface Create<P extends { stream?: boolean | null }, Whole, Chunk> {
  (params: Params<P, true>, options?: RequestOptions): Promise<OpenAIStream<Chunk>>;
  (params: P & { stream?: false | null }, options?: RequestOptions): Promise<Whole>;
  (params: P, options?: RequestOptions): Promise<Whole | OpenAIStream<Chunk>>;
}

/** What of the `openai` client is here. */
export interface OpenAIClient {
  chat: { completions: { create: Create<ChatCompletionParams, ChatCompletion, ChatCompletionChunk> } };
  completions: { create: Create<CompletionParams, Completion, Completion> };
  responses: { create: Create<ResponseParams, ResponseAnswer, ResponseEvent<ResponseAnswer>> };
  embeddings: { create(params: EmbeddingParams, options?: RequestOptions): Promise<EmbeddingsAnswer> };
  models: {
    /** Awaited it is a page; it can be looped over as well. */
    list(): Promise<ModelsPage> & AsyncIterable<OpenAIModel>;
    retrieve(id: string): Promise<OpenAIModel>;
  };
}

/** The client on an engine. */
export function openaiClient(engine: Engine, options: ApiOptions = {}): OpenAIClient {
  const host = new Host(engine, options);
  const named = <P extends { model?: string | undefined }>(params: P) => ({ ...params, model: params.model ?? host.name });

  const create =
    <Whole, Chunk>(
      ask: (host: Host, json: unknown, control: AbortController) => Promise<Given<Whole, Chunk>>,
      finish?: { whole(whole: Whole): unknown; record(record: Chunk): unknown },
    ) =>
    (params: { model?: string | undefined }, { signal }: RequestOptions = {}) =>
      failing(signal, async (control) => {
        const given = await ask(host, named(params), control);
        if ('whole' in given) return finish ? finish.whole(given.whole) : given.whole;
        return new OpenAIStream(finish ? each(given.records, finish.record) : given.records, control);
      });
  const models = (): Promise<ModelsPage> & AsyncIterable<OpenAIModel> => {
    const page = new ModelsPage(api.models(host).data);
    return Object.assign(Promise.resolve(page), { [Symbol.asyncIterator]: () => page[Symbol.asyncIterator]() });
  };
  return {
    chat: { completions: { create: create(api.chatCompletion) as OpenAIClient['chat']['completions']['create'] } },
    completions: { create: create(api.completion) as OpenAIClient['completions']['create'] },
    responses: { create: create(response, { whole: withText, record: withTexts }) as OpenAIClient['responses']['create'] },
    embeddings: {
      create: (params, { signal } = {}) => failing(signal, (control) => api.embeddings(host, named(params), control.signal)),
    },
    models: { list: models, retrieve: (id) => failing(undefined, async () => api.model(host, id)) },
  };
}

async function* each<T, U>(records: AsyncGenerator<T, void, void>, map: (record: T) => U): AsyncGenerator<U, void, void> {
  for await (const record of records) yield map(record);
}

const withTexts = (event: ResponseEvent) => ('response' in event ? { ...event, response: withText(event.response) } : event);

/** The response with its text, which the client adds. */
function withText(whole: ResponseRecord): ResponseAnswer {
  const texts = whole.output.flatMap((item: ResponseItem) => (item.type === 'message' ? item.content.map(({ text }) => text) : []));
  return { ...whole, output_text: texts.join('') };
}

/** Runs a request; what it throws gets the client's form. */
async function failing<T>(signal: AbortSignal | null | undefined, run: (control: AbortController) => Promise<T>): Promise<T> {
  const control = following(signal ?? undefined);
  try {
    if (control.signal.aborted) throw new Failure(503, 'The request was stopped.');
    return await run(control);
  } catch (thrown) {
    throw new OpenAIError(Failure.from(thrown), control.signal.aborted);
  }
}
