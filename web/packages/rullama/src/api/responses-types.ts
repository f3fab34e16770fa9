// `/v1/responses` in its common part, in the names of OpenAI's API; npm's `openai` has the same.
//
// Source: platform.openai.com/docs/api-reference/responses.

import type { TokenLogprob } from './openai-types.ts';

/** What is refused or ignored of the API's is taken here as well, and told when it is asked. */
export interface ResponseParams {
  /** A name of the model that is loaded; the page's own where it is left out. */
  model?: (string & {}) | undefined;
  /** A text, or items of a conversation: messages, function calls, their outputs, reasoning. */
  input?: string | readonly object[];
  instructions?: string | null;
  tools?: readonly { type: string }[];
  tool_choice?: unknown;
  parallel_tool_calls?: boolean | null;
  max_output_tokens?: number | null;
  reasoning?: { effort?: string | null } | null;
  text?: { format?: object };
  truncation?: 'auto' | 'disabled' | null;
  stream?: boolean | null;
  temperature?: number | null;
  top_p?: number | null;
  top_logprobs?: number | null;
  include?: readonly string[] | null;
  metadata?: Record<string, string> | null;
}

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

export interface OutputTextPart {
  type: 'output_text';
  text: string;
  annotations: never[];
  logprobs: ResponseLogprob[];
}

export interface ReasoningTextPart {
  type: 'reasoning_text';
  text: string;
}

export interface MessageItem {
  type: 'message';
  id: string;
  status: ItemStatus;
  role: 'assistant';
  content: OutputTextPart[];
}

export interface ReasoningItem {
  type: 'reasoning';
  id: string;
  status: ItemStatus;
  summary: never[];
  content: ReasoningTextPart[];
}

/** `arguments` is JSON text. */
export interface FunctionCallItem {
  type: 'function_call';
  id: string;
  status: ItemStatus;
  call_id: string;
  name: string;
  arguments: string;
}

/** One thing of an answer. */
export type ResponseItem = MessageItem | ReasoningItem | FunctionCallItem;

export type ResponseLogprob = Omit<TokenLogprob, 'bytes' | 'top_logprobs'> & {
  bytes: number[];
  top_logprobs: { token: string; bytes: number[]; logprob: number }[];
};

export interface ResponseUsage {
  input_tokens: number;
  input_tokens_details: { cached_tokens: number; cache_write_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
}

/** A function that the model may call. */
export interface ResponseTool {
  type: 'function';
  name: string;
  description?: string | null;
  parameters: Record<string, unknown> | null;
  strict: boolean | null;
}

export type ResponseToolChoice = 'auto' | 'none' | 'required' | { type: 'function'; name: string };

/** What the request said. */
export interface ResponseEcho {
  instructions: string | null;
  max_output_tokens: number | null;
  parallel_tool_calls: boolean;
  previous_response_id: null;
  reasoning: { effort: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | null; summary: null };
  store: false;
  temperature: number | null;
  text: { format: { type: 'text' } | { type: 'json_object' } };
  tool_choice: ResponseToolChoice;
  tools: ResponseTool[];
  top_p: number | null;
  truncation: 'auto' | 'disabled';
  metadata: Record<string, string>;
}

/** A response as far as it has come. */
export interface ResponseRecord extends ResponseEcho {
  id: string;
  object: 'response';
  /** Seconds since 1970. */
  created_at: number;
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed';
  error: { code: 'server_error'; message: string } | null;
  incomplete_details: { reason: 'max_output_tokens' } | null;
  model: string;
  output: ResponseItem[];
  /** Null before the end, where npm's types have none. */
  usage?: ResponseUsage;
}

/** As the client gives it. */
export type ResponseAnswer = ResponseRecord & {
  /** The texts of all messages. */
  output_text: string;
};

interface Of {
  item_id: string;
  output_index: number;
  content_index: number;
}

/** What an event of a stream says, apart from its number. */
export type EventBody<Whole = ResponseRecord> =
  | { type: 'response.created' | 'response.in_progress' | 'response.completed' | 'response.incomplete' | 'response.failed'; response: Whole }
  | { type: 'response.output_item.added' | 'response.output_item.done'; output_index: number; item: ResponseItem }
  | ({ type: 'response.content_part.added' | 'response.content_part.done'; part: OutputTextPart | ReasoningTextPart } & Of)
  | ({ type: 'response.output_text.delta'; delta: string; logprobs: ResponseLogprob[] } & Of)
  | ({ type: 'response.output_text.done'; text: string; logprobs: ResponseLogprob[] } & Of)
  | ({ type: 'response.reasoning_text.delta'; delta: string } & Of)
  | ({ type: 'response.reasoning_text.done'; text: string } & Of)
  | { type: 'response.function_call_arguments.delta'; item_id: string; output_index: number; delta: string }
  | { type: 'response.function_call_arguments.done'; item_id: string; output_index: number; name: string; arguments: string };

/** One event of a stream. */
export type ResponseEvent<Whole = ResponseRecord> = EventBody<Whole> & { sequence_number: number };
