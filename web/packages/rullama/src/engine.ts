// What the worker needs from an engine: the shape of the wasm shell's `WebEngine`. Structured values cross
// that border as JSON text.

import type { EngineOptions } from './types.ts';

export interface Engine {
  /** `ModelInfo` as JSON. */
  info(): string;
  /** `Memory` as JSON. */
  memory(): string;
  tokenize(text: string): Uint32Array;
  /** `ChatOptions` in, `{ prompt, ids }` out, both JSON. */
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
  generate_ids(ids: Uint32Array, options: string, onToken: (json: string) => void): Promise<string>;
  /** Logits and hidden states of ids, row after row, by name. */
  evaluate(ids: Uint32Array): Promise<Record<string, Float32Array>>;
  /** A list of texts and `EmbedOptions` in, both JSON. */
  embed(texts: string, options: string): Promise<{ vectors: Float32Array; tokens: Uint32Array; truncated: Uint32Array }>;
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
  blob?: Blob;
  name?: string;
}

export interface EngineModule {
  load(source: ShellSource, options: string, onProgress: (json: string) => void): Promise<Engine>;
}

/** Options of the wasm shell's `load`. */
export type ShellOptions = EngineOptions & DeviceGrant;
