// The messages between client and worker, declared once. A new call needs a line in `Calls`, a handler in
// `serve.ts` and a method in `client.ts`; the types name whichever of the three is missing.

import type { ErrorData } from './errors.ts';
import type {
  ChatEvent,
  ChatOptions,
  EmbedOptions,
  Embeddings,
  EngineOptions,
  GenerateOptions,
  Memory,
  Message,
  ModelInfo,
  OpenAIMessage,
  Progress,
  Summary,
  Token,
} from './types.ts';

/** The bytes of a model: an absolute address, or a file that both ends may read. */
export type SourceRef = { url: string } | { blob: Blob; name: string };

/** `wasm` is the engine's absolute address; in Node, which finds it by itself, there is none. */
export type LoadRequest = { source: SourceRef; options: EngineOptions; wasm?: string };

/** What the engine streams while it answers, before the summary. */
export type StreamEvent = Exclude<ChatEvent, { type: 'done' }>;

type Call<Params, Result, Event = never> = { params: Params; result: Result; event: Event };

/** Every call: what goes in, what comes back once, what may come many times before. */
export interface Calls {
  load: Call<LoadRequest, ModelInfo, Progress>;
  chatOpen: Call<ChatOptions, number>;
  chatSend: Call<{ chat: number; messages: (Message | OpenAIMessage)[]; options: GenerateOptions }, Summary, StreamEvent>;
  chatRetry: Call<{ chat: number; options: GenerateOptions }, Summary, StreamEvent>;
  chatContinue: Call<{ chat: number; options: GenerateOptions }, Summary, StreamEvent>;
  chatSet: Call<{ chat: number; messages: (Message | OpenAIMessage)[] }, null>;
  chatClose: Call<number, null>;
  generateIds: Call<{ ids: number[]; options: GenerateOptions }, Summary, Token>;
  evaluate: Call<number[], Record<string, Float32Array>>;
  embed: Call<{ texts: string[]; options: EmbedOptions }, Embeddings>;
  tokenize: Call<string, number[]>;
  render: Call<ChatOptions, { prompt: string; ids: number[] }>;
  memory: Call<null, Memory>;
  close: Call<null, null>;
}

export type CallName = keyof Calls;

/** Client to worker: start a call, or stop the one with this id. */
export type Request =
  | { [K in CallName]: { id: number; call: K; params: Calls[K]['params'] } }[CallName]
  | { cancel: number };

/** Worker to client: an event or the end of a call, or the loss of the whole engine. */
export type Reply =
  | { id: number; event: Calls[CallName]['event'] }
  | { id: number; result: Calls[CallName]['result'] }
  | { id: number; error: ErrorData }
  | { lost: ErrorData };

/** One end of a message channel: a `Worker` seen from the page, or the page seen from a worker. */
export interface Endpoint<In, Out> {
  post(message: Out): void;
  listen(receive: (message: In) => void): void;
}

export type ClientEnd = Endpoint<Reply, Request>;
export type WorkerEnd = Endpoint<Request, Reply>;

/** Two connected ends within one thread. Delivery is asynchronous and in order, as between threads. */
export function localPair(): { client: ClientEnd; worker: WorkerEnd } {
  const toClient = new Mailbox<Reply>();
  const toWorker = new Mailbox<Request>();
  return {
    client: { post: (m) => toWorker.put(m), listen: (f) => toClient.listen(f) },
    worker: { post: (m) => toClient.put(m), listen: (f) => toWorker.listen(f) },
  };
}

class Mailbox<M> {
  private readonly waiting: M[] = [];
  private receive: ((message: M) => void) | undefined;

  put(message: M): void {
    this.waiting.push(message);
    this.deliver();
  }

  listen(receive: (message: M) => void): void {
    this.receive = receive;
    this.deliver();
  }

  private deliver(): void {
    queueMicrotask(() => {
      while (this.receive && this.waiting.length > 0) this.receive(this.waiting.shift() as M);
    });
  }
}
