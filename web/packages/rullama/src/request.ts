// A request that brings its whole conversation along, as those of Ollama's API and OpenAI's do, and what the engine gives for it.

import type { StreamEvent } from './protocol.ts';
import type { GenerateOptions, Summary } from './types.ts';

/** What is asked: a conversation, a text whose special tokens count, or ids. */
export interface Ask {
  /** Messages as either API has them. */
  messages?: object[];
  tools?: object[];
  thinking?: boolean;
  /** Leave out the oldest messages where the context is full. */
  truncate?: boolean;
  /** The ids of a conversation that this one goes on. */
  before?: number[];
  text?: string;
  ids?: number[];
  /** End the answer behind its first tool call. */
  oneCall?: boolean;
  /** Tools by their names, of which the answer must call one; with `once` it ends behind the first call. */
  forced?: { names: string[]; once: boolean };
  /** Added to the logits of tokens, by their ids. */
  logitBias?: [number, number][];
  /** Tokens of prompt and answer together. */
  context?: number;
  options: GenerateOptions;
}

/** A token as its bytes, with its log-probability. */
export interface TokenBytes {
  bytes: number[];
  logprob: number;
}

/** What one token gives. */
export interface Piece {
  events: StreamEvent[];
  logprobs?: { chosen: TokenBytes; top: TokenBytes[] } | null;
}

/** `begun` comes once, when it is known that there will be an answer. */
export type Part = { begun: true } | Piece;

export interface Responded {
  summary: Summary;
  /** Why the answer ended, as the APIs tell it; `cancelled` where it was stopped. */
  reason: 'stop' | 'length' | 'tool_calls' | 'cancelled';
  /** Prompt and answer, for a request that goes on. */
  context: number[];
}
