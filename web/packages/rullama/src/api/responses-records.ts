// The answers of `/v1/responses`: events, or the response as a whole.

import type { Piece } from '../request.ts';
import type { Failure } from './failure.ts';
import { type Ended, type Format, type NamedCall, type Said, textOf, unique } from './host.ts';
import { seconds, usage } from './openai-records.ts';
import type {
  EventBody,
  FunctionCallItem,
  ItemStatus,
  OutputTextPart,
  ReasoningTextPart,
  ResponseEcho,
  ResponseEvent,
  ResponseItem,
  ResponseLogprob,
  ResponseRecord,
  ResponseUsage,
} from './responses-types.ts';

/** The items that are text. */
type Kind = 'message' | 'reasoning';

type Logprobs = NonNullable<Piece['logprobs']>;

/** An item that is being written. */
interface Open {
  id: string;
  kind: Kind;
  text: string;
  logprobs: ResponseLogprob[];
}

const logprobOf = ({ chosen, top }: Logprobs): ResponseLogprob => {
  const of = (token: Logprobs['chosen']) => ({ token: textOf(token), logprob: token.logprob, bytes: token.bytes });
  return { ...of(chosen), top_logprobs: top.map(of) };
};

const partOf = (kind: Kind, text: string, logprobs: ResponseLogprob[]): OutputTextPart | ReasoningTextPart =>
  kind === 'message' ? { type: 'output_text', text, annotations: [], logprobs } : { type: 'reasoning_text', text };

function itemOf(kind: Kind, id: string, status: ItemStatus, content: (OutputTextPart | ReasoningTextPart)[]): ResponseItem {
  if (kind === 'message') return { type: kind, id, status, role: 'assistant', content: content as OutputTextPart[] };
  return { type: kind, id, status, summary: [], content: content as ReasoningTextPart[] };
}

const idOf = (kind: Kind) => unique(kind === 'message' ? 'msg_' : 'rs_');

const callOf = ({ id: call_id, name }: NamedCall, id: string, status: ItemStatus, text: string): FunctionCallItem => ({
  type: 'function_call',
  id,
  status,
  call_id,
  name,
  arguments: text,
});

function usageOf(ended: Ended, thinkingTokens: number): ResponseUsage {
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details, completion_tokens_details } = usage(ended, thinkingTokens);
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: { ...prompt_tokens_details, cache_write_tokens: prompt_tokens - prompt_tokens_details.cached_tokens },
    output_tokens: completion_tokens,
    output_tokens_details: completion_tokens_details,
    total_tokens,
  };
}

const statusOf = ({ reason }: Ended) => (reason === 'length' ? 'incomplete' : 'completed');

/** A response as it is written. */
export class ResponseRecords implements Format<ResponseEvent> {
  private readonly id = unique('resp_');
  private readonly created = seconds();
  /** Items that are complete. */
  private output: ResponseItem[] = [];
  private open: Open | undefined;
  /** Tokens that wait for what they become. */
  private waiting: ResponseLogprob[] = [];
  private events = 0;
  private thinking = 0;

  constructor(
    private readonly model: string,
    private readonly echo: ResponseEcho,
  ) {}

  whole(said: Said, ended: Ended): ResponseRecord {
    const status = statusOf(ended);
    for (const [kind, text, logprobs] of [['reasoning', said.thinking, []], ['message', said.content, said.ofContent.map(logprobOf)]] as const) {
      if (text !== '') this.output.push(itemOf(kind, idOf(kind), status, [partOf(kind, text, [...logprobs])]));
    }
    for (const call of said.calls) this.output.push(callOf(call, unique('fc_'), 'completed', JSON.stringify(call.arguments)));
    return this.record(status, usageOf(ended, said.thinkingTokens));
  }

  begin(): ResponseEvent[] {
    const response = this.record('in_progress');
    return [this.event({ type: 'response.created', response }), this.event({ type: 'response.in_progress', response })];
  }

  piece(said: Said, piece: Piece): ResponseEvent[] {
    this.thinking += said.thinkingTokens;
    const logprobs = this.ofContent(piece);
    const calls = [...said.calls];
    return piece.events.flatMap((event, i) => {
      // They go with the last of the texts that a token makes certain.
      const own = i === piece.events.length - 1 ? logprobs : [];
      if (event.type === 'toolCall') return this.call(calls.shift() as NamedCall);
      // What cannot be read as a call is left to the reader.
      return event.type === 'thinking' ? this.text('reasoning', event.text, []) : this.text('message', event.text, own);
    });
  }

  done(ended: Ended): ResponseEvent[] {
    const status = statusOf(ended);
    const closed = this.close(status);
    return [...closed, this.event({ type: `response.${status}`, response: this.record(status, usageOf(ended, this.thinking)) })];
  }

  failed({ message }: Failure): ResponseEvent[] {
    const closed = this.close('incomplete');
    const error = { code: 'server_error' as const, message };
    return [...closed, this.event({ type: 'response.failed', response: { ...this.record('failed'), error } })];
  }

  /** The tokens that have become content with this piece: what a token gives may show with a later one. */
  private ofContent({ events, logprobs }: Piece): ResponseLogprob[] {
    if (logprobs) this.waiting.push(logprobOf(logprobs));
    const last = events.at(-1)?.type;
    if (last === undefined) return [];
    return last === 'content' || last === 'unreadableCall' ? this.waiting.splice(0) : (this.waiting.splice(0), []);
  }

  private record(status: ResponseRecord['status'], used: ResponseUsage = null as never): ResponseRecord {
    return {
      id: this.id,
      object: 'response',
      created_at: this.created,
      status,
      error: null,
      incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
      model: this.model,
      output: [...this.output],
      usage: used,
      ...this.echo,
    };
  }

  private event(body: EventBody): ResponseEvent {
    return { ...body, sequence_number: this.events++ };
  }

  private item(type: 'response.output_item.added' | 'response.output_item.done', item: ResponseItem): ResponseEvent {
    return this.event({ type, output_index: this.output.length, item });
  }

  /** More text of an item of this kind. */
  private text(kind: Kind, delta: string, logprobs: ResponseLogprob[]): ResponseEvent[] {
    const out: ResponseEvent[] = [];
    const at = () => ({ output_index: this.output.length, content_index: 0 });
    let open = this.open;
    if (open?.kind !== kind) {
      out.push(...this.close('completed'));
      const id = idOf(kind);
      out.push(this.item('response.output_item.added', itemOf(kind, id, 'in_progress', [])));
      out.push(this.event({ type: 'response.content_part.added', item_id: id, ...at(), part: partOf(kind, '', []) }));
      open = { id, kind, text: '', logprobs: [] };
      this.open = open;
    }
    open.text += delta;
    open.logprobs.push(...logprobs);
    const of = { item_id: open.id, ...at(), delta };
    out.push(this.event(kind === 'message' ? { type: 'response.output_text.delta', ...of, logprobs } : { type: 'response.reasoning_text.delta', ...of }));
    return out;
  }

  /** Ends the item that is being written. */
  private close(status: ItemStatus): ResponseEvent[] {
    if (!this.open) return [];
    const { id, kind, text, logprobs } = this.open;
    this.open = undefined;
    const of = { item_id: id, output_index: this.output.length, content_index: 0 };
    const part = partOf(kind, text, logprobs);
    const item = itemOf(kind, id, status, [part]);
    const out = [
      this.event(kind === 'message' ? { type: 'response.output_text.done', ...of, text, logprobs } : { type: 'response.reasoning_text.done', ...of, text }),
      this.event({ type: 'response.content_part.done', ...of, part }),
      this.item('response.output_item.done', item),
    ];
    this.output.push(item);
    return out;
  }

  private call(tool: NamedCall): ResponseEvent[] {
    const out = this.close('completed');
    const [id, text] = [unique('fc_'), JSON.stringify(tool.arguments)];
    const of = { item_id: id, output_index: this.output.length };
    const item = callOf(tool, id, 'completed', text);
    out.push(this.item('response.output_item.added', callOf(tool, id, 'in_progress', '')));
    out.push(this.event({ type: 'response.function_call_arguments.delta', ...of, delta: text }));
    out.push(this.event({ type: 'response.function_call_arguments.done', ...of, name: tool.name, arguments: text }));
    out.push(this.item('response.output_item.done', item));
    this.output.push(item);
    return out;
  }
}
