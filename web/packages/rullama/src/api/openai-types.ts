// What `Rullama.openai()` takes and gives, in the names of OpenAI's API; npm's `openai` has the same.
//
// Source: platform.openai.com/docs/api-reference.

/** A function that the model may call. */
export interface OpenAITool {
  type: 'function';
  function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean | null };
}

/** Parameters that chat and text completions share. */
interface Common {
  /** A name of the model that is loaded; the page's own where it is left out. */
  model?: (string & {}) | undefined;
  frequency_penalty?: number | null;
  logit_bias?: Record<string, number> | null;
  max_tokens?: number | null;
  n?: number | null;
  presence_penalty?: number | null;
  seed?: number | null;
  stop?: string | null | string[];
  stream?: boolean | null;
  stream_options?: { include_usage?: boolean } | null;
  temperature?: number | null;
  top_p?: number | null;
  /** Not OpenAI's; as llama.cpp, vLLM and Ollama call them. */
  top_k?: number | null;
  min_p?: number | null;
  repeat_penalty?: number | null;
}

/** Messages as the API has them; what cannot be heeded is refused when it is asked. */
export interface ChatCompletionParams extends Common {
  messages: readonly { role: string; content?: unknown; tool_calls?: readonly unknown[] }[];
  tools?: readonly { type: string }[];
  tool_choice?: unknown;
  parallel_tool_calls?: boolean;
  max_completion_tokens?: number | null;
  logprobs?: boolean | null;
  top_logprobs?: number | null;
  /** Anything but `none` lets the model think first. */
  reasoning_effort?: string | null;
  /** `text`, `json_object` or `json_schema` with a schema, which the answer then keeps to. */
  response_format?: { type: string };
}

export interface CompletionParams extends Common {
  /** Continued as it stands, special tokens recognised. */
  prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[] | null;
  logprobs?: number | null;
}

export interface EmbeddingParams {
  model?: (string & {}) | undefined;
  input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  dimensions?: number;
  encoding_format?: 'float' | 'base64';
  /** What the texts are for, and whether those that are too long are cut; not OpenAI's. */
  prompt_name?: string;
  truncate?: boolean;
}

export type FinishReason = 'stop' | 'length' | 'tool_calls';

export interface CompletionUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  completion_tokens_details: { reasoning_tokens: number };
}

export interface TokenLogprob {
  token: string;
  bytes: number[] | null;
  logprob: number;
  top_logprobs: { token: string; bytes: number[] | null; logprob: number }[];
}

export interface ChatLogprobs {
  content: TokenLogprob[] | null;
  refusal: TokenLogprob[] | null;
}

/** `arguments` is JSON text. */
export interface OpenAIToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

interface Record_<Kind extends string, Choice> {
  id: string;
  object: Kind;
  /** Seconds since 1970. */
  created: number;
  model: string;
  system_fingerprint: string;
  choices: Choice[];
}

export interface ChatCompletion
  extends Record_<
    'chat.completion',
    {
      index: number;
      message: { role: 'assistant'; content: string | null; refusal: string | null; reasoning?: string; tool_calls?: OpenAIToolCall[] };
      logprobs: ChatLogprobs | null;
      finish_reason: FinishReason;
    }
  > {
  usage: CompletionUsage;
}

export interface ChatCompletionChunk
  extends Record_<
    'chat.completion.chunk',
    {
      index: number;
      delta: { role?: 'assistant'; content?: string; reasoning?: string; tool_calls?: (OpenAIToolCall & { index: number })[] };
      logprobs: ChatLogprobs | null;
      finish_reason: FinishReason | null;
    }
  > {
  /** Only where `stream_options.include_usage` asks for it; null before the last chunk. */
  usage?: CompletionUsage | null;
}

export interface Completion
  extends Record_<
    'text_completion',
    {
      index: number;
      text: string;
      logprobs: { tokens: string[]; token_logprobs: number[]; top_logprobs: Record<string, number>[]; text_offset: number[] } | null;
      finish_reason: 'stop' | 'length';
    }
  > {
  usage?: CompletionUsage;
}

export interface OpenAIModel {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
}

export interface ModelList {
  object: 'list';
  data: OpenAIModel[];
}

export interface EmbeddingsAnswer {
  object: 'list';
  /** The vector is base64 of little-endian f32 where that was asked for. */
  data: { object: 'embedding'; embedding: number[]; index: number }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
}
