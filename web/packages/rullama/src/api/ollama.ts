// Ollama's API on an engine: each request as a function from its JSON to the answer's.
//
// Source: docs.ollama.com/api.

import type { Ask, TokenBytes } from '../request.ts';
import { answer, type Given } from './answer.ts';
import { Failure } from './failure.ts';
import { Fields, short } from './fields.ts';
import { ofOllama, type Wanted } from './format.ts';
import { type Ended, type Format, type Host, type Said, textOf } from './host.ts';
import { checked, embedOptions, embedTexts } from './openai-wishes.ts';
import { logprobs, sampling, without } from './sampling.ts';

type Kind = 'chat' | 'generate' | 'raw';

interface Wish extends Pick<Wanted, 'formField'> {
  model: string;
  ask: Ask;
  stream: boolean;
  /** Nothing is to be answered. */
  empty: boolean;
  /** The messages' names in errors. */
  places?: string[];
}

/** One line of a stream, or all of an answer. Its members are Ollama's; times are nanoseconds. */
export type Line = Record<string, unknown>;

/** `/api/chat`. */
export function chat(host: Host, json: unknown, control: AbortController): Promise<Given<Line, Line>> {
  const fields = Fields.of(json);
  const messages = checked(fields.list('messages') ?? []);
  const tools = (fields.list('tools') ?? []).map((tool, i) => (Fields.of(tool, `tools[${i}]`), tool as object));
  // Ollama leaves out old messages, too, unless it is told not to.
  const ask = { messages, tools, thinking: thinks(fields), truncate: fields.flag('truncate') ?? true };
  return give(host, finish(fields, ask, messages.length === 0), 'chat', control);
}

/** `/api/generate`. */
export function generate(host: Host, json: unknown, control: AbortController): Promise<Given<Line, Line>> {
  const fields = Fields.of(json);
  const [prompt, raw] = [fields.text('prompt') ?? '', fields.flag('raw') ?? false];
  const [images, before, system] = [fields.list('images') ?? [], fields.ids('context') ?? [], fields.text('system') ?? ''];
  if (fields.text('suffix')) throw Failure.field('suffix', 'cannot be heeded: the models have no tokens for filling a gap. Leave it out.');
  if (fields.text('template')) {
    throw Failure.field('template', 'cannot be used: prompts are rendered as Gemma 4 has them. Render it yourself, with `raw`.');
  }
  const noPlace = (name: string, rest: string) => Failure.field(name, `has no place in a prompt that is \`raw\`. ${rest}`);
  if (raw && images.length > 0) throw noPlace('images', 'Leave one of the two out.');
  if (raw && system !== '') throw noPlace('system', 'Write it into the prompt.');
  if (raw && before.length > 0) throw noPlace('context', 'Write what was said into the prompt.');
  const thinking = thinks(fields);
  const user = { role: 'user', content: prompt, ...(images.length > 0 && { images }) };
  // What was said before has its system prompt already.
  const first = system !== '' && before.length === 0 ? [{ role: 'system', content: system }] : [];
  const ask = raw ? { text: prompt } : { messages: [...first, user], thinking, before };
  const places = [...first.map(() => 'system'), ''];
  return give(host, { ...finish(fields, ask, prompt === '' && images.length === 0), places }, raw ? 'raw' : 'generate', control);
}

function thinks(fields: Fields): boolean {
  const think = fields.any('think') ?? false;
  if (typeof think === 'boolean') return think;
  if (['low', 'medium', 'high'].includes(think as string)) return true;
  throw Failure.field('think', `is ${short(think)}, but must be true, false, "low", "medium" or "high".`);
}

/** What both kinds of requests have. */
function finish(fields: Fields, ask: Omit<Ask, 'options'>, empty: boolean): Wish {
  const { format, ...form } = ofOllama(fields.any('format'));
  checkKeepAlive(fields);
  const given = fields.object('options');
  const [context, most] = [given?.number('num_ctx') ?? 0, given?.number('num_predict') ?? 0];
  const options = { ...(given && sampling(given)), ...without({ logprobs: logprobs(fields), format }), ...(most >= 1 && { maxTokens: Math.min(Math.trunc(most), 2 ** 31) }) };
  const whole = { ...ask, options, ...(context >= 1 && { context: Math.min(Math.trunc(context), 2 ** 31) }) };
  return { ...form, model: fields.required('model'), ask: whole, stream: fields.flag('stream') ?? true, empty };
}

/** The page's model stays as long as the page; what a program wishes is read all the same. */
function checkKeepAlive(fields: Fields): void {
  const value = fields.any('keep_alive');
  const number = typeof value === 'string' ? value.trim() : value;
  const ok = typeof number === 'number' || (typeof number === 'string' && /^-?\d+(\.\d+)?$|^-?(\d+(\.\d+)?\s*(ns|us|ms|s|m|h|d)\s*)+$/.test(number));
  if (value === undefined || ok) return;
  throw Failure.field('keep_alive', `is ${short(value)}, but must be seconds or a duration such as "5m"; -1 is for ever.`);
}

async function give(host: Host, wish: Wish, kind: Kind, control: AbortController): Promise<Given<Line, Line>> {
  const form = new Lines(wish.model, kind);
  if (!wish.empty) return answer(host, wish, form, control);
  host.check(wish.model);
  // It is loaded, and a page's model is not let go from here.
  return { whole: form.line(undefined, { done_reason: 'load' }) };
}

class Lines implements Format<Line> {
  constructor(
    private readonly model: string,
    private readonly kind: Kind,
  ) {}

  line(said: Said | undefined, end?: Line): Line {
    const { content = '', thinking = '', calls = [], logprobs = [] } = said ?? {};
    const thought = thinking && { thinking };
    const tool_calls = calls.map(({ id, name, arguments: given }, index) => ({ id, function: { index, name, arguments: given } }));
    const message = { role: 'assistant', content, ...thought, ...(tool_calls.length > 0 && { tool_calls }) };
    return {
      model: this.model,
      created_at: new Date().toISOString(),
      ...(this.kind === 'chat' ? { message } : { response: content, ...thought }),
      done: end !== undefined,
      ...(logprobs.length > 0 && { logprobs: logprobs.map(logprobOf) }),
      ...end,
    };
  }

  whole(said: Said, ended: Ended): Line {
    return this.line(said, this.end(ended));
  }

  begin() {
    return [];
  }

  piece(said: Said) {
    return [this.line(said)];
  }

  done(ended: Ended) {
    return [this.line(undefined, this.end(ended))];
  }

  failed(failure: Failure): Line[] {
    return [failure.body('ollama')];
  }

  private end({ summary, reason, context, waited }: Ended): Line {
    const nanoseconds = (seconds: number) => Math.round(seconds * 1e9);
    const { prefillS, decodeS } = summary.timings;
    return {
      done_reason: reason === 'length' ? 'length' : 'stop',
      ...(this.kind === 'generate' && { context }),
      total_duration: nanoseconds(waited) + nanoseconds(prefillS) + nanoseconds(decodeS),
      load_duration: 0,
      prompt_eval_count: summary.promptTokens,
      prompt_eval_duration: nanoseconds(prefillS),
      eval_count: summary.ids.length,
      eval_duration: nanoseconds(decodeS),
    };
  }
}

function logprobOf({ chosen, top }: { chosen: TokenBytes; top: TokenBytes[] }) {
  const of = (token: TokenBytes) => ({ token: textOf(token), logprob: token.logprob, bytes: token.bytes });
  return { ...of(chosen), ...(top.length > 0 && { top_logprobs: top.map(of) }) };
}

/** `/api/embed`; `earlier` is `/api/embeddings` as it was before. */
export async function embed(host: Host, json: unknown, earlier: boolean, signal: AbortSignal): Promise<Line> {
  const asked = performance.now();
  const fields = Fields.of(json);
  const model = fields.required('model');
  const texts = earlier ? [fields.text('prompt') ?? ''] : embedTexts(fields, 'input');
  // An empty text alone asks for nothing, as no text does.
  const some = texts.length === 1 && texts[0] === '' ? [] : texts;
  const options = earlier ? { ...embedOptions(fields, true), truncate: true } : embedOptions(fields, true);
  checkKeepAlive(fields);
  host.check(model);
  host.embeds();
  const none = { vectors: [], tokens: [] };
  const { vectors, tokens } = some.length === 0 ? none : await host.inQueue(() => host.engine.embed(some, { ...options, signal }));
  const embeddings = vectors.map((vector) => Array.from(vector as Float32Array));
  if (earlier) return { embedding: embeddings[0] ?? [] };
  const total = Math.round((performance.now() - asked) * 1e6);
  const count = tokens.reduce((sum: number, tokens) => sum + tokens, 0);
  return { model, embeddings, total_duration: total, load_duration: 0, prompt_eval_count: count };
}
