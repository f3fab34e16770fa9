// What the worker needs from an engine: the shape of the wasm shell's `WebEngine`. Structured values cross
// that border as JSON text.

import type { Keep, KeptSource } from './download/keep.ts';
import type { FileRef, RawMedium } from './protocol.ts';
import type { Readers } from './readers/pool.ts';
import type { EngineOptions, SavedFile } from './types.ts';

/** What the engine of `rullama/train` has besides. */
export interface Training {
  /** Examples as JSONL, those to evaluate on, options and a checkpoint in; `TunerInfo` as JSON out. */
  tune_open(examples: Blob, evaluated: Blob | undefined, options: string, resume: Uint8Array | undefined): Promise<string>;
  /** `{ step }` or `{ ended, best }` as JSON. */
  tune_step(tuner: number): Promise<string>;
  tune_checkpoint(tuner: number): Promise<Uint8Array<ArrayBuffer>>;
  /** `AdapterInfo` as JSON. */
  tune_adapter(tuner: number): Promise<string>;
  tune_save(tuner: number, form: string): Promise<SavedFile[]>;
  tune_close(tuner: number): void;
  /** Puts the best state in place of the last; the step that it follows, where there is one. */
  tune_finish(tuner: number): Promise<number | undefined>;
  /** `TuneEstimate` as JSON. */
  tune_estimate(examples: Blob, evaluated: Blob | undefined, options: string): Promise<string>;
  /** `TunePreview` as JSON. */
  tune_preview(examples: Blob, options: string, most: number): Promise<string>;
}

/** A vocabulary as what compiles schemas sees it. */
export interface FormatTokens {
  /** Of all tokens, end to end. */
  bytes: Uint8Array;
  /** Where each token's end. */
  ends: Uint32Array;
  /** Ids that are no text, ascending. */
  special: Uint32Array;
  /** Ids that end an answer. */
  closing: Uint32Array;
  /** The token around the texts of calls. */
  quote?: number | undefined;
}

/** Follows one answer through its schema. */
export interface FollowedAnswer {
  /** The tokens that may come next: bit i % 32 of word i / 32 is token i. */
  allowed(): Uint32Array;
  accept(id: number): void;
  free(): void;
}

/** Compiles schemas, JSON text, for one vocabulary. */
export interface Compiler {
  follow(schema: string): FollowedAnswer;
  /** A call of one of the functions, a list of `{ name, parameters }`, JSON. */
  follow_call(functions: string, quote: number): FollowedAnswer;
}

export interface Engine extends Partial<Training> {
  /** `ModelInfo` as JSON. */
  info(): string;
  /** `Memory` as JSON. */
  memory(): string;
  tokenize(text: string): Uint32Array;
  detokenize(ids: Uint32Array): string;
  /** `NamedChat` in, `{ prompt, ids }` out, both JSON. */
  render(conversation: string): string;
  chat_open(options: string): Promise<number>;
  /** Messages and `GenerateOptions` in, `Summary` out, each event a `StreamEvent`; all JSON. */
  chat_send(chat: number, messages: string, options: string, onEvent: (json: string) => void): Promise<string>;
  /** Answers the last user message once more, in place of the last answer. */
  chat_retry(chat: number, options: string, onEvent: (json: string) => void): Promise<string>;
  /** Goes on with the last answer, which was cut. */
  chat_continue(chat: number, options: string, onEvent: (json: string) => void): Promise<string>;
  /** Other messages in place of those that the conversation has; JSON. */
  chat_set(chat: number, messages: string): void;
  chat_close(chat: number): void;
  /** A copy that goes on by itself; its number. */
  chat_fork(chat: number): Promise<number>;
  /** Refused where the caches have more than `most` bytes. */
  chat_save(chat: number, most: number | undefined): Promise<Uint8Array<ArrayBuffer>>;
  /** Opens a conversation with `ChatOptions`, adapters and what `chat_save` gave; its number. */
  chat_restore(options: string, adapters: string, saved: Uint8Array): Promise<number>;
  /** `Ask` in, `Responded` out, each part a `Part`; all JSON. */
  respond(ask: string, onPart: (json: string) => void): Promise<string>;
  /** Adapters as a list of `AttachedRef`, the media of placeholders as a list of names, JSON, here and below. */
  generate_ids(ids: Uint32Array, options: string, adapters: string, media: string, onToken: (json: string) => void): Promise<string>;
  format_tokens(): FormatTokens;
  set_formats(formats: Compiler): void;
  /** A list of texts and `EmbedOptions` in, both JSON. */
  embed(texts: string, options: string): Promise<{ vectors: Float32Array; tokens: Uint32Array; truncated: Uint32Array }>;
  /** Logits and hidden states of ids, row after row, by name. */
  evaluate(ids: Uint32Array, adapters: string, media: string): Promise<Record<string, Float32Array>>;
  /** Soft tokens of a `MediaSize`, JSON. */
  media_cost(size: string): Promise<number>;
  /** Of names, JSON, the places of those that nothing was perceived of yet. */
  media_unknown(sources: string): Uint32Array;
  /** Perceives a medium under a name; gives the number of its soft tokens. */
  perceive(source: string, medium: RawMedium): Promise<number>;
  soft_tokens(source: string): Float32Array;
  /** Takes towers from another file, or from the model's own again. `store` as JSON. */
  set_projector(source: ShellSource | null, store: string): Promise<void>;
  release_towers(): Promise<void>;
  /** Reads an adapter from its files; `AdapterInfo` as JSON. */
  adapter_open(files: FileRef[]): Promise<string>;
  adapter_close(adapter: number): void;
  /** An adapter's files in the form `peft` or `gguf`, under a name of its own where one is given. */
  adapter_convert(files: FileRef[], form: string, name: string | undefined): Promise<SavedFile[]>;
  chat_adapters(chat: number, adapters: string): void;
  /** Stops the answer in progress after the tokens that are already in flight. */
  cancel(): void;
  close(): void;
}

/** What the device got, beyond what the engine finds out by itself. */
export interface DeviceGrant {
  subgroups: boolean;
  /** What the browser calls the adapter; empty where it keeps that to itself. */
  adapterName: string;
}

/** The source as the wasm shell takes it. */
export interface ShellSource {
  url?: string;
  /** Stores the address, and opens its copy. */
  keep?: Keep;
  blob?: Blob;
  /** In Node: an open file. */
  file?: KeptSource;
  name?: string;
  /** Who else reads the blob. */
  readers?: Readers | undefined;
  /** The files of a split model, in any order. */
  parts?: ShellSource[];
}

export interface EngineModule {
  load(source: ShellSource, options: string, onProgress: (json: string) => void, drafter?: ShellSource): Promise<Engine>;
}

/** Options of the wasm shell's `load`. */
export type ShellOptions = EngineOptions & DeviceGrant;
