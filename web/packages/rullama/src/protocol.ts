// The messages between client and worker, declared once. A new call needs a line in `Calls`, a handler in
// `serve.ts` and a method in `client.ts`; the types name whichever of the three is missing.

import type { DownloadRequest } from './download/download.ts';
import type { KeptSource } from './download/keep.ts';
import type { Downloaded, DownloadProgress } from './download-types.ts';
import type { ErrorData } from './errors.ts';
import type { Ask, Part, Responded } from './request.ts';
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
  Prefill,
  Progress,
  SavedFile,
  Summary,
  Token,
  TuneEnd,
  TuneEstimate,
  TuneOptions,
  TunePreview,
  TuneReport,
  TuneStep,
} from './types.ts';

/** The bytes of a model: an absolute address, or a file that both ends may read, or several that make one model. */
export type SourceRef = { url: string } | FileRef | { parts: FileRef[] } | OpenFile;

/** A file that is open; in Node, where both ends are one thread. */
export type OpenFile = { file: KeptSource; name: string };

/** `early` begins before all of the file has arrived. `wasm` is the engine's absolute address, `grammar` that of what compiles schemas; in Node, which finds them by itself, there are none. */
export type LoadRequest = {
  source: SourceRef;
  drafter?: SourceRef | undefined;
  options: EngineOptions;
  early?: boolean;
  wasm?: string;
  grammar?: string;
};

/** A file that both ends may read. */
export type FileRef = { blob: Blob; name: string };

/** How much there is of a medium. */
export type MediaSize = { kind: 'image'; width: number; height: number; budget?: number } | { kind: 'audio'; samples: number };

/** A medium as the engine takes it: pixels with alpha, samples of one channel at 16 kHz, or soft tokens. */
export type RawMedium =
  | { kind: 'image'; data: Uint8Array | Uint8ClampedArray; width: number; height: number; budget?: number }
  | { kind: 'audio'; samples: Float32Array }
  | { soft: 'image' | 'audio'; values: Float32Array };

/** A conversation whose media are names, with the soft tokens of each. */
export type NamedChat = ChatOptions & { soft?: Record<string, number> };

/** An adapter that was read: the engine's number of it, and what its files say. */
export type AdapterInfo = { adapter: number; name: string; bytes: number; rank: number; alpha: number; base: string | null; leftOut: string[] };

/** An adapter by the engine's number, with the factor on its scale. */
export type AttachedRef = { adapter: number; scale: number };

/** A training that was begun: the engine's number of it, and what it is to be. */
export type TunerInfo = { tuner: number; report: TuneReport; step: number; steps: number; checkpointBytes: number };

/** Options of a training as the engine takes them: names of layers and of their kinds as text. */
export type TuneRequest = Omit<TuneOptions, 'eval' | 'resume' | 'signal' | 'targets'> & { targets?: string };

/** What the engine streams while it answers, before the summary. */
export type StreamEvent = Exclude<ChatEvent, { type: 'done' }>;

/** And while it reads the prompt. */
export type PrefillEvent = { type: 'prefill' } & Prefill;

type Call<Params, Result, Event = never> = { params: Params; result: Result; event: Event };

/** Every call: what goes in, what comes back once, what may come many times before. */
export interface Calls {
  load: Call<LoadRequest, ModelInfo, Progress>;
  download: Call<DownloadRequest, Downloaded, DownloadProgress>;
  /** How far the rest of the model's file is; `null` where nothing is missing. */
  arriving: Call<null, DownloadProgress | null>;
  /** Stores the rest; stopping the call pauses. */
  finish: Call<null, Downloaded | null, DownloadProgress>;
  chatOpen: Call<ChatOptions, number>;
  chatSend: Call<{ chat: number; messages: (Message | OpenAIMessage)[]; options: GenerateOptions }, Summary, StreamEvent | PrefillEvent>;
  chatRetry: Call<{ chat: number; options: GenerateOptions }, Summary, StreamEvent | PrefillEvent>;
  chatContinue: Call<{ chat: number; options: GenerateOptions }, Summary, StreamEvent | PrefillEvent>;
  chatSet: Call<{ chat: number; messages: (Message | OpenAIMessage)[] }, null>;
  chatClose: Call<number, null>;
  chatFork: Call<number, number>;
  chatSave: Call<{ chat: number; most?: number | undefined }, Uint8Array<ArrayBuffer>>;
  chatRestore: Call<{ options: ChatOptions; adapters: AttachedRef[]; saved: Uint8Array }, number>;
  respond: Call<Ask, Responded, Part>;
  embed: Call<{ texts: string[]; options: EmbedOptions }, Embeddings>;
  chatAdapters: Call<{ chat: number; adapters: AttachedRef[] }, null>;
  generateIds: Call<{ ids: number[]; options: GenerateOptions; adapters: AttachedRef[]; media: string[] }, Summary, Token>;
  evaluate: Call<{ ids: number[]; adapters: AttachedRef[]; media: string[] }, Record<string, Float32Array>>;
  mediaCost: Call<MediaSize, number>;
  /** The places of names that the engine knows nothing of. */
  mediaUnknown: Call<string[], number[]>;
  perceive: Call<{ source: string; medium: RawMedium }, number>;
  softTokens: Call<string, Float32Array>;
  projector: Call<{ source: SourceRef | null; store: 'auto' | 'always' | 'never' }, null>;
  releaseTowers: Call<null, null>;
  adapterOpen: Call<FileRef[], AdapterInfo>;
  adapterClose: Call<number, null>;
  adapterConvert: Call<{ files: FileRef[]; form: string; name: string | undefined }, SavedFile[]>;
  tuneOpen: Call<{ examples: Blob; eval?: Blob | undefined; options: TuneRequest; resume?: Uint8Array | undefined }, TunerInfo>;
  tuneStep: Call<number, { step: TuneStep } | { ended: TuneEnd; best: number | null }>;
  tuneCheckpoint: Call<number, Uint8Array<ArrayBuffer>>;
  tuneAdapter: Call<number, AdapterInfo>;
  tuneSave: Call<{ tuner: number; form: string }, SavedFile[]>;
  tuneClose: Call<number, null>;
  tuneFinish: Call<number, number | null>;
  tuneEstimate: Call<{ examples: Blob; eval?: Blob | undefined; options: TuneRequest }, TuneEstimate>;
  tunePreview: Call<{ examples: Blob; options: TuneRequest; most: number }, TunePreview>;
  tokenize: Call<string, number[]>;
  detokenize: Call<number[], string>;
  render: Call<NamedChat, { prompt: string; ids: number[] }>;
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
