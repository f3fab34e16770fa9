// What users of the package hand in and get back.

import type { DownloadProgress } from './download-types.ts';
import type { ContentPart, MediaPart, PictureSource, PictureTokens } from './media-types.ts';
export type { AdapterFile, AdapterSource, Attached } from './adapter-types.ts';
export type { EmbeddedModel, Example } from './embedded-types.ts';
export type { EmbedOptions, Embeddings } from './embed-types.ts';
export type { SaveOptions } from './saved-chat.ts';

/**
 * Where a model comes from: `'embedded'` (the model served beside the page), the address of a GGUF file, or a
 * `File`/`Blob` (in Node better a `file:` address, which is read in place). Of a split model the address of any part, or the files of all, in any order.
 */
export type Source = 'embedded' | (string & {}) | URL | Blob | Blob[];

/** Where the per-layer embedding table lives: on the GPU (`resident`), in the file, of which rows are read (`streamed`), or whichever fits (`auto`). */
export type PleMode = 'auto' | 'resident' | 'streamed';

/**
 * Where the experts of a mixture (26B-A4B) live: on the GPU (`resident`), in the file with as many on the GPU as
 * `memoryBudget` has room for (`streamed`), or whichever fits (`auto`).
 */
export type ExpertMode = 'auto' | 'resident' | 'streamed';

/**
 * Whether tokens are guessed and verified several in a step: not at all (`off`), where that was measured to be faster (`auto`),
 * wherever the text repeats itself (`lookup`), by a drafter (`drafter`). Answers stay the same, ties within rounding apart.
 */
export type Speculate = 'off' | 'auto' | 'lookup' | 'drafter';

/** How the engine is configured; all of it optional. */
export interface EngineOptions {
  /** Per-layer embeddings; `auto` by default. */
  ple?: PleMode;
  /** Experts; `auto` by default. */
  experts?: ExpertMode;
  /** Element type of the KV cache; `f16` by default. `f32` takes twice its memory, `q8` (8 bits, a scale for each 32 values) about half. */
  kv?: 'f16' | 'f32' | 'q8';
  /**
   * What products with quantised weights multiply: `exact` values in f32, or `int8`, values rounded to 8 bits as llama.cpp's kernels
   * round them. `auto`, the default, takes `int8` for large weights where that is measured to be faster on this adapter.
   */
  products?: 'auto' | 'exact' | 'int8';
  /** Whether workgroups of decode steps stay on the GPU, as the program's `--persistent`; `off` by default: browsers bind too few buffers for it. */
  persistent?: 'auto' | 'on' | 'off';
  /** `off` by default, `auto` with a drafter. */
  speculate?: Speculate;
  /** Longest context in tokens; the model's own by default. */
  context?: number;
  /** Bytes that weights may take on the GPU when `ple` or `experts` is `auto`, or experts are streamed. */
  memoryBudget?: number;
  /** `webgpu-defaults` pretends that the GPU offers no more than every WebGPU device must. */
  adapter?: 'native' | 'webgpu-defaults';
  /**
   * For addresses: store a copy of the file in the browser's private storage and read that. `auto` (default)
   * does so only where reading the address directly would cost a request per token or cannot work, and for `early`.
   */
  store?: 'auto' | 'always' | 'never';
  /**
   * Threads that read a file beside the engine's while it is loaded, at most 4; 0 for none. By default 2 where the machine has four
   * cores or more, for files of 64 MiB or more. Results do not depend on it.
   */
  readers?: number;
}

/** How far a load has come. `download` and `weights` count bytes; the other phases do not count. */
export interface Progress {
  phase: 'download' | 'header' | 'weights' | 'self-test' | 'ready';
  /** Bytes, 0 where nothing is counted. */
  done: number;
  /** Bytes in all, 0 while unknown. */
  total: number;
  /** Of the phase `download` where a copy is made of an address: how it goes on. */
  download?: DownloadProgress;
}

export interface LoadOptions extends EngineOptions {
  onProgress?: (progress: Progress) => void;
  /** Aborting rejects the load with code `cancelled`. */
  signal?: AbortSignal;
  /**
   * For addresses of which a copy is stored: begin before the per-layer table has arrived, about half of E2B and E4B. Its rows are
   * streamed, from the address as long as they are not stored, and `engine.rest` tells how the rest arrives. With `store: 'auto'` a model
   * of 64 MiB or more with such a table is stored for it. `ple: 'resident'` waits for all.
   */
  early?: boolean;
  /** Address of the embedded model's description; `model/model.json` beside the page by default. */
  embedded?: string | URL;
  /** Address of the worker's script, where neither the package's own place nor a bundler gives it. */
  worker?: string | URL;
  /** Address of the engine, `rullama_web_bg.wasm`, or of the folder with it; as for `worker`. */
  wasm?: string | URL;
  /** The file with the towers of a model that has none of its own (llama.cpp's mmproj). It is read when the first medium comes. */
  projector?: Source;
  /** A small model that was made to guess this one's tokens (`gemma4-assistant`). */
  drafter?: Source;
}

/** What was loaded and where it runs. */
export interface ModelInfo {
  /** The name that the file gives itself. */
  name: string;
  layers: number;
  dim: number;
  vocab: number;
  heads: number;
  /** Tokens that sliding-window layers look back. */
  window: number;
  /** Longest context of this engine, in tokens. */
  context: number;
  /** Longest context that the model was trained for. */
  trainedContext: number;
  /** Values of a token's per-layer embedding in each layer; 0 for models without. */
  perLayer: number;
  /** The mode in effect, `none` for models without per-layer embeddings. */
  ple: 'resident' | 'streamed' | 'none';
  /** The mode in effect, `none` for models without experts. */
  experts: 'resident' | 'streamed' | 'none';
  /** Experts of each layer that the GPU has places for; all of them where they are resident. */
  expertPlaces: number;
  /** `none` for models that make embeddings. */
  kv: 'f16' | 'f32' | 'q8' | 'none';
  /** A drafter guesses tokens. */
  drafter: boolean;
  /** `int8` where large products are of codes of 8 bits, else `exact`. */
  products: 'exact' | 'int8';
  /** Workgroups of decode steps stay on the GPU and wait for each other, until they once do not all come. */
  persistent: boolean;
  /** Lengths that embeddings were trained for, the whole one first; empty for models that answer. */
  embedding: number[];
  /** Bytes of weights read for one decoded token. */
  bytesPerToken: number;
  /** The GPU, in the driver's words; in a browser in those of `GPUAdapterInfo`, empty where it keeps them to itself. */
  device: string;
  driver: string;
  backend: string;
  subgroups: boolean;
  /** Whether the prompt follows the template of the larger models. */
  largeTemplate: boolean;
  loadSeconds: number;
  /** Bytes of weights put on the GPU. */
  loadedBytes: number;
  /** Kernel variants that failed their check on this GPU and are not used. */
  disabledKernels: string[];
}

/** Bytes in use. WebAssembly memory never shrinks: its present size is its peak. */
export interface Memory {
  wasmBytes: number;
  /** Before the model was loaded. */
  wasmStartBytes: number;
  gpuBytes: number;
  /** The tokenizer's part of `wasmBytes`. */
  tokenizerBytes: number;
}

/** A function that the model may call; `parameters` is a JSON schema of type object. */
export interface FunctionTool {
  name: string;
  description?: string;
  parameters?: Record<string, unknown>;
}

/** A tool, bare or as OpenAI's API wraps it. */
export type Tool = FunctionTool | { type?: 'function'; function: FunctionTool };

export interface ToolCall {
  name: string;
  arguments: Record<string, unknown>;
}

/**
 * A message of a conversation. `assistant` is another word for `model`. `thinking` and `toolCalls` belong to the model, `name` to
 * a tool's answer; without it an answer takes the name of its call.
 */
export interface Message {
  role: 'user' | 'model' | 'assistant' | 'tool';
  content: string;
  /** Pictures, as Ollama has them: they stand before the text, or where it has `[img]` or, of the second one, `[img-1]`. */
  images?: PictureSource[];
  /** Pictures, sounds and videos that stand before the text. */
  media?: MediaPart[];
  thinking?: string;
  toolCalls?: ToolCall[];
  name?: string;
}

/** A message as OpenAI's API has it. */
export interface OpenAIMessage {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  /** Text, or a list of texts, pictures and sounds in their order. */
  content?: string | ContentPart[] | null;
  images?: PictureSource[];
  reasoning_content?: string | null;
  /** The arguments are JSON text, or the object itself. */
  tool_calls?: { id?: string; type?: 'function'; function: { name: string; arguments: string | Record<string, unknown> } }[];
  tool_call_id?: string;
  name?: string;
}

export interface ChatOptions {
  system?: string;
  tools?: Tool[];
  thinking?: boolean;
  /** An earlier conversation to go on with. */
  messages?: (Message | OpenAIMessage)[];
  /** Most soft tokens of pictures that do not say their own. */
  pictureTokens?: PictureTokens;
}

/** Missing values are the engine's defaults. Temperature 0 always takes the most likely token. */
export interface Sampling {
  temperature?: number;
  /** 0 considers all tokens. */
  topK?: number;
  topP?: number;
  minP?: number;
  /** From 0.01 to 100; 1 is off. */
  repeatPenalty?: number;
  /** From -100 to 100, as the next one. */
  presencePenalty?: number;
  frequencyPenalty?: number;
  repeatLastN?: number;
  /** The same seed draws the same tokens on every device. */
  seed?: number;
}

export interface GenerateOptions extends Sampling {
  maxTokens?: number;
  stop?: string[];
  ignoreEos?: boolean;
  /** Log-probabilities for `generateIds`, with this many of the likeliest tokens beside each. */
  logprobs?: number;
  /**
   * Holds the answer's content to JSON: `'json'` is any object, an object is a JSON schema (drafts 4 to 2020-12), which each token then
   * keeps to. An answer that ends by `length` is cut off. What compiles schemas is loaded with the first of them.
   */
  format?: Format;
}

/** What an answer's content is to be. */
export type Format = 'json' | Record<string, unknown>;

/** How far a prompt has been read, in tokens; those of earlier turns, which are not computed again, count as read. */
export interface Prefill {
  done: number;
  total: number;
}

export interface SendOptions extends GenerateOptions {
  /** Aborting ends the answer; the events end with `done` and finish `cancelled`. */
  signal?: AbortSignal;
  /** Sees the prompt being read: before its first part, and after each. */
  onPrefill?: (at: Prefill) => void;
}

/** Why an answer ended. */
export type Finish = 'stop' | 'length' | 'cancelled' | 'stop-string' | 'tool-call';

/** How long the parts of an answer took, in seconds, and the rates that follow. */
export interface Timings {
  prefillS: number;
  decodeS: number;
  firstTokenS: number;
  /** Prompt tokens that were computed, not reused from the previous turn. */
  prefilledTokens: number;
  prefillTokS: number;
  decodeTokS: number;
}

/** An answer's statistics. */
export interface Summary {
  finish: Finish;
  /** Ids of all generated tokens, the end token included. */
  ids: number[];
  text: string;
  /** Tokens of the whole prompt, those reused from the previous turn included. */
  promptTokens: number;
  /** Tokens that were guessed, with `speculate`, and those of them that were right. */
  draftedTokens: number;
  acceptedTokens: number;
  timings: Timings;
}

/** What `chat.send` yields; `done` comes last, exactly once. */
export type ChatEvent =
  | { type: 'content'; text: string }
  | { type: 'thinking'; text: string }
  | { type: 'toolCall'; call: ToolCall }
  /** What stands where a tool call should and cannot be read as one, or was cut. */
  | { type: 'unreadableCall'; text: string }
  | { type: 'done'; summary: Summary };

/** One generated token of `generateIds`. */
export interface Token {
  id: number;
  /** Text that became certain with this token; may be empty. */
  text: string;
  logprob?: number;
  /** The likeliest tokens and their log-probabilities, best first. */
  top?: [number, number][];
}

/**
 * Examples to train on: JSONL text, a file of it, or its objects as a list. Each has `messages` as a chat has them (with `tools`,
 * `system`), `prompt` and `completion`, or `text`.
 */
export type TuneExamples = string | Blob | object[];

/** How an adapter is trained; what is missing is the engine's default, which suits a first use. */
export interface TuneOptions {
  /** Rank of the products; 16. */
  rank?: number;
  /** The adapter's output is scaled by alpha / rank; twice the rank. */
  alpha?: number;
  /** Linear layers by PEFT's names (`q_proj`), or `attention`, `mlp`, `projections` (both, the default) and `all-linear`. */
  targets?: string | string[];
  /** Which layers, such as `20-34`; all. */
  layers?: string;
  /** Learning rate; 2e-4. */
  lr?: number;
  betas?: [number, number];
  eps?: number;
  weightDecay?: number;
  /** Largest norm of all gradients together, 1 by default; `null` for none. */
  clip?: number | null;
  /** How the rate moves after the warm-up; `cosine`. */
  schedule?: 'constant' | 'linear' | 'cosine' | 'cosine_with_restarts';
  /** Cycles of a cosine. */
  cycles?: number;
  /** Share of `lr` that a cosine ends at. */
  minLrRatio?: number;
  /** Share of all steps in which the rate rises; 0.03. */
  warmupRatio?: number;
  /** Their number, in place of the share. */
  warmupSteps?: number;
  /** Times that every example is seen; 3. */
  epochs?: number;
  /** Rows of a micro-batch; 1. */
  batch?: number;
  /** Micro-batches of a step; by default as many as leave some steps an epoch, and at most 4. */
  accumulate?: number;
  /** Longest example in tokens; a longer one is cut, and reported. 1024. */
  maxLen?: number;
  /** Several short examples in a row, without attention across them; true. */
  pack?: boolean;
  /** For order, split and first values; 42. */
  seed?: number;
  /** Share of the adapter's inputs that a step leaves out; 0. */
  dropout?: number;
  /** Share of the examples kept for evaluation; 0. */
  split?: number;
  /** Examples to evaluate on, in place of `split`. */
  eval?: TuneExamples;
  /** Steps between evaluations; by default once an epoch. */
  evalEvery?: number;
  /** Evaluations without a better loss after which training ends. */
  patience?: number;
  /** `model`: what the model says (default); `all`: every token. */
  lossOn?: 'model' | 'all';
  /** Type of the values that a step keeps: `f16` takes about half their memory, and is a little less exact; `f32`. */
  activations?: 'f32' | 'f16';
  /** What the adapter is called. */
  name?: string;
  /** Bytes of GPU memory to keep to: less of a step is kept where that helps. 8 GiB on a card of its own, else 4. */
  memoryBudget?: number;
  /** A checkpoint to go on from; model, examples and options must be the same. */
  resume?: Uint8Array;
  /** Aborting is `tuner.cancel()`. */
  signal?: AbortSignal;
}

/** A step of training. */
export interface TuneStep {
  /** Steps so far, this one included. */
  step: number;
  steps: number;
  /** Times that the examples were seen so far. */
  epoch: number;
  /** Mean of -ln p over the step's trained tokens, before it. */
  loss: number;
  lr: number;
  /** Norm of all gradients together, before clipping. */
  gradNorm: number;
  /** Tokens of the step. */
  tokens: number;
  tokS: number;
  /** Seconds of training so far. */
  elapsedS: number;
  /** The gradient was not finite: nothing changed, and the step does not count. */
  skipped?: boolean;
  /** Loss on the examples for evaluation, where it was time for it. */
  evalLoss?: number;
}

/** Why training ended: all steps taken, the evaluation no better, the loss far above what it was (the best state is kept), or `cancel`. */
export type TuneEnd = 'done' | 'no-better' | 'diverged' | 'cancelled';

/** Lines of the examples, first to last, that did not become whole ones, and why. */
export interface LineReport {
  first: number;
  last: number;
  status: 'truncated' | 'dropped' | 'skipped' | 'error';
  reason: string;
}

/** How examples were read. */
export interface DataReport {
  examples: number;
  tokens: number;
  /** Tokens that are trained. */
  targets: number;
  /** Lines by what became of them. */
  counts: { ok: number; truncated: number; dropped: number; skipped: number; error: number };
  lines: LineReport[];
}

export interface TuneReport {
  train: DataReport;
  /** Of the option `eval`. */
  eval: DataReport | null;
}

/** How examples would be read; of each the text in passages that are trained or not. */
export interface TunePreview {
  report: DataReport;
  examples: { line: number; tokens: number; passages: { text: string; trained: boolean }[] }[];
}

/** What a training would take of the GPU, in bytes, and how long it would be. */
export interface TuneEstimate {
  /** Tokens of the longest row. */
  tokens: number;
  /** What is there already: weights, and what conversations take; the adapter with gradients and optimiser; values of a step. */
  weights: number;
  trained: number;
  activations: number;
  /** What training keeps to. */
  budget: number;
  fits: boolean;
  steps: number;
  checkpointBytes: number;
}

/** A file that is to be stored. */
export interface SavedFile {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}
