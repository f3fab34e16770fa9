// The answers of `/v1/chat/completions` and `/v1/completions`: chunks of a stream, or one record for all.

import type { TokenBytes } from '../request.ts';
import type { Failure } from './failure.ts';
import { type Ended, type Format, type NamedCall, type Said, textOf, unique } from './host.ts';
import type { Wish } from './openai-wishes.ts';
import type { ChatCompletion, ChatCompletionChunk, ChatLogprobs, Completion, CompletionUsage, FinishReason, OpenAIToolCall } from './openai-types.ts';

/** What programs see of the version that answers. */
const FINGERPRINT = 'rullama-page';

export const seconds = () => Math.floor(Date.now() / 1000);

export function usage({ summary }: Ended, reasoning_tokens: number): CompletionUsage {
  const { promptTokens, ids, timings } = summary;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: ids.length,
    total_tokens: promptTokens + ids.length,
    prompt_tokens_details: { cached_tokens: Math.max(0, promptTokens - timings.prefilledTokens) },
    completion_tokens_details: { reasoning_tokens },
  };
}

const callOf = ({ id, name, arguments: given }: NamedCall): OpenAIToolCall => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.stringify(given) },
});

function chatLogprobs(logprobs: Said['logprobs']): ChatLogprobs | null {
  if (logprobs.length === 0) return null;
  const of = (token: TokenBytes) => ({ token: textOf(token), logprob: token.logprob, bytes: token.bytes });
  return { content: logprobs.map(({ chosen, top }) => ({ ...of(chosen), top_logprobs: top.map(of) })), refusal: null };
}

// A stop never has the reason `cancelled`: the host refuses such answers.
const reasonOf = (ended: Ended) => ended.reason as FinishReason;

abstract class Records {
  protected readonly created = seconds();
  protected thinking = 0;

  constructor(
    protected readonly wish: Wish,
    private readonly id: string,
  ) {}

  protected record<Kind extends string, Choice>(object: Kind, choices: Choice[]) {
    const { created, id } = this;
    return { id, object, created, model: this.wish.model, system_fingerprint: FINGERPRINT, choices };
  }

  failed(failure: Failure) {
    return [failure.body('openai') as never];
  }
}

/** Of a chat. */
export class ChatRecords extends Records implements Format<ChatCompletionChunk> {
  private calls = 0;

  constructor(wish: Wish) {
    super(wish, unique('chatcmpl-'));
  }

  whole(said: Said, ended: Ended): ChatCompletion {
    const { content, thinking, calls, logprobs } = said;
    const silent = content === '' && calls.length > 0;
    const message = {
      role: 'assistant' as const,
      content: silent ? null : content,
      refusal: null,
      ...(thinking && { reasoning: thinking }),
      ...(calls.length > 0 && { tool_calls: calls.map(callOf) }),
    };
    const choice = { index: 0, message, logprobs: chatLogprobs(logprobs), finish_reason: reasonOf(ended) };
    return { ...this.record('chat.completion', [choice]), usage: usage(ended, said.thinkingTokens) };
  }

  begin() {
    return [this.chunk({ role: 'assistant', content: '' })];
  }

  piece(said: Said) {
    this.thinking += said.thinkingTokens;
    const calls = said.calls.map((call) => ({ index: this.calls++, ...callOf(call) }));
    const delta = {
      ...(said.content && { content: said.content }),
      ...(said.thinking && { reasoning: said.thinking }),
      ...(calls.length > 0 && { tool_calls: calls }),
    };
    return [this.chunk(delta, chatLogprobs(said.logprobs))];
  }

  done(ended: Ended) {
    const last = this.chunk({}, null, reasonOf(ended));
    if (!this.wish.usage) return [last];
    return [last, { ...this.record('chat.completion.chunk', []), usage: usage(ended, this.thinking) }];
  }

  private chunk(
    delta: ChatCompletionChunk['choices'][0]['delta'],
    logprobs: ChatLogprobs | null = null,
    finish_reason: FinishReason | null = null,
  ): ChatCompletionChunk {
    const record = this.record('chat.completion.chunk' as const, [{ index: 0, delta, logprobs, finish_reason }]);
    return this.wish.usage ? { ...record, usage: null } : record;
  }
}

/** Of a text that is continued. */
export class CompletionRecords extends Records implements Format<Completion> {
  /** Characters of text given so far. */
  private offset = 0;

  constructor(wish: Wish) {
    super(wish, unique('cmpl-'));
  }

  whole(said: Said, ended: Ended): Completion {
    const record = this.chunk(said.content, this.lists(said.logprobs), reasonOf(ended));
    return { ...record, usage: usage(ended, said.thinkingTokens) };
  }

  begin() {
    return [];
  }

  piece(said: Said) {
    return [this.chunk(said.content, this.lists(said.logprobs))];
  }

  done(ended: Ended) {
    const last = this.chunk('', null, reasonOf(ended));
    if (!this.wish.usage) return [last];
    return [last, { ...this.record('text_completion' as const, []), usage: usage(ended, 0) }];
  }

  private chunk(text: string, logprobs: Completion['choices'][0]['logprobs'], reason: FinishReason | null = null): Completion {
    // npm's types have no null here, the API does.
    const choice = { index: 0, text, logprobs, finish_reason: reason as 'stop' | 'length' };
    const record = this.record('text_completion' as const, [choice]);
    return this.wish.usage && this.wish.stream ? { ...record, usage: null as never } : record;
  }

  private lists(logprobs: Said['logprobs']) {
    if (logprobs.length === 0) return null;
    const tokens = logprobs.map(({ chosen }) => textOf(chosen));
    const text_offset = tokens.map((token) => {
      const before = this.offset;
      this.offset += Array.from(token).length;
      return before;
    });
    const top_logprobs = logprobs.map(({ top }) => Object.fromEntries(top.map((token) => [textOf(token), token.logprob])));
    return { tokens, token_logprobs: logprobs.map(({ chosen }) => chosen.logprob), top_logprobs, text_offset };
  }
}
