// An engine without a model: it answers from a script, for tests of everything around the real one.
//
// What it does is chosen by the message: "long" writes until it is stopped, "think" thinks first, "tool" calls a
// tool, "A times B" calls the tool multiply where it is offered, "garble" calls one that cannot be read, "recall" tells the
// user's messages that it has read, "slow" takes two seconds to begin and cannot be stopped until then, "flaky" fails every other
// time, "digest" reads its prompt for a while, "call NAME {...}" calls a tool with these arguments, each line one, "lose" loses the device, "vanish" does so after some words, "greedy" wants a context of at most 1,024, "fail" fails, "say" answers with the lines that follow it. A source whose name contains "corrupt"
// does not load, one with "huge" only with streamed per-layer embeddings, one with "notes" makes vectors. A token is a character.

import type { KeptSource } from '../src/download/keep.ts';
import type { Compiler, Engine, FormatTokens } from '../src/engine.ts';
import { RullamaError } from '../src/errors.ts';
import type { FileRef, MediaSize, NamedChat, RawMedium, SourceRef } from '../src/protocol.ts';
import type { Ask } from '../src/request.ts';
import type { OpenEngine } from '../src/serve.ts';
import type { ChatOptions, Finish, GenerateOptions, Message, ModelInfo, OpenAIMessage, Progress, SavedFile, Summary, TuneOptions } from '../src/types.ts';
import { FakeCaches } from './fake-caches.ts';
import { fakeInfo, TRAINED } from './fake-info.ts';
import { FakeSenses } from './fake-senses.ts';
import { FakeTuning } from './fake-tuning.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const CONTEXT = 4096;

const MARKDOWN = `A short answer with **bold**, *emphasis* and \`code\`.

## A list
- one
- two with <b>no markup</b>

\`\`\`rust
fn main() { println!("hello"); }
\`\`\`
`;

function textOf(message: Message | OpenAIMessage | undefined): string {
  const content = message?.content ?? '';
  return typeof content === 'string' ? content : content.map((part) => ('text' in part ? part.text : '')).join('');
}

/** What a source is called; of parts, each. */
const nameOf = (source: SourceRef) => ('url' in source ? source.url : 'parts' in source ? source.parts.map(({ name }) => name).join(' + ') : source.name);

const SAY = 'say\n';

/** The pieces of the answer to a message. */
function wordsOf(message: string, limit: number): string[] {
  if (message.startsWith(SAY)) return message.slice(SAY.length).match(/[^]{1,9}/g) ?? [];
  if (message.includes('long')) return Array.from({ length: limit }, (_, i) => `word${i} `);
  return MARKDOWN.match(/\s*\S+/g) ?? [];
}

/** Milliseconds between two pieces of an answer or of a load. */
export type FakeTiming = { step: number };

/** Opens fake engines. */
export function fakeOpener({ step }: FakeTiming): OpenEngine {
  return async ({ source, options }, onProgress, onLost, { keep }) => {
    const always = options.store === 'always';
    const kept = 'url' in source && options.store !== 'never' ? await keep(source.url, always, always) : undefined;
    const name = nameOf(source);
    const total = 8_038_464;
    const phases: Progress[] = [
      { phase: 'header', done: 0, total: 0 },
      ...[0.1, 0.4, 0.8, 1].map((f): Progress => ({ phase: 'weights', done: Math.round(f * total), total })),
      { phase: 'self-test', done: 0, total: 0 },
      { phase: 'ready', done: 0, total: 0 },
    ];
    for (const progress of phases) {
      onProgress(progress);
      await pause(name.includes('slow') ? 20 * step : step);
      if (name.includes('corrupt')) {
        throw new RullamaError('model-truncated', 'Tensor blk.3.ffn_up.weight ends at byte 9,437,184 of 8,038,464.');
      }
    }
    if (name.includes('huge') && options.ple !== 'streamed') throw new RullamaError('out-of-memory', 'The GPU has no room for token_embd_per_layer.weight.');
    const { kv = 'f16', context = CONTEXT } = options;
    if (context > TRAINED) throw new RullamaError('invalid-argument', `\`context\` is ${context}, which is outside 1..=${TRAINED}`);
    return new FakeEngine(source, kv, context, step, onLost, kept);
  };
}

class FakeEngine implements Engine {
  private cancelled = false;
  private flaky = 0;
  private readonly tuning = new FakeTuning();
  private readonly senses: FakeSenses;
  /** What adapters add, by conversation: a word before its answers. */
  private readonly adapted = new Map<number, number>();
  private readonly caches = new FakeCaches(() => `${(JSON.parse(this.info()) as ModelInfo).name} ${this.kv}`);
  private compiler: Compiler | undefined;
  private chats: (ChatOptions & { messages: (Message | OpenAIMessage)[] })[] = [];

  constructor(
    private readonly source: SourceRef,
    private readonly kv: 'f16' | 'f32' | 'q8',
    private readonly context: number,
    private readonly step: number,
    private readonly onLost: (error: RullamaError) => void,
    private readonly kept?: KeptSource,
  ) {
    this.senses = new FakeSenses(nameOf(source).includes('blind'));
  }

  info(): string {
    const name = 'url' in this.source ? new URL(this.source.url).pathname.split('/').pop() : nameOf(this.source);
    return JSON.stringify({ ...fakeInfo(name ?? '', this.kv, this.context), ple: this.kept?.arriving ? 'streamed' : 'resident' });
  }

  memory(): string {
    return JSON.stringify({ wasmBytes: 9 << 20, wasmStartBytes: 2 << 20, gpuBytes: 31 << 20, tokenizerBytes: 1 << 20 });
  }

  /** Two values a text: its length, and the first of them cut. */
  async embed(texts: string): Promise<{ vectors: Float32Array; tokens: Uint32Array; truncated: Uint32Array }> {
    const list: string[] = JSON.parse(texts);
    this.cancelled = false;
    await pause(list.includes('slow') ? 2000 : this.step);
    if (this.cancelled) throw new RullamaError('cancelled', 'cancelled');
    const tokens = Uint32Array.from(list, (text) => text.length);
    return { vectors: Float32Array.from(list.flatMap((text) => [text.length, 1])), tokens, truncated: Uint32Array.from([0]) };
  }

  tokenize(text: string): Uint32Array {
    return Uint32Array.from(text, (c) => c.codePointAt(0) ?? 0);
  }

  render(conversation: string): string {
    const { system, messages = [], soft = {} } = JSON.parse(conversation) as NamedChat;
    const all = [...(system ? [{ role: 'system' as const, content: system }] : []), ...messages];
    const prompt = all.map((m) => `<|turn>${m.role}\n${textOf(m)}<turn|>\n`).join('');
    const placeholders = Object.values(soft).flatMap((tokens) => Array.from({ length: tokens }, () => 1));
    return JSON.stringify({ prompt, ids: [...this.tokenize(prompt), ...placeholders] });
  }

  async chat_open(options: string): Promise<number> {
    const chat = JSON.parse(options) as ChatOptions;
    return this.chats.push({ ...chat, messages: chat.messages ?? [] }) - 1;
  }

  async chat_send(chat: number, messages: string, options: string, onEvent: (json: string) => void): Promise<string> {
    const history = this.chats[chat]?.messages ?? [];
    const before = history.length;
    history.push(...(JSON.parse(messages) as (Message | OpenAIMessage)[]));
    return this.reply(chat, options, onEvent).catch((thrown) => {
      history.length = before;
      throw thrown;
    });
  }

  async chat_retry(chat: number, options: string, onEvent: (json: string) => void): Promise<string> {
    const history = this.chats[chat]?.messages ?? [];
    const before = [...history];
    while (history.at(-1)?.role === 'model') history.pop();
    return this.reply(chat, options, onEvent).catch((thrown) => {
      history.splice(0, history.length, ...before);
      throw thrown;
    });
  }

  async chat_continue(chat: number, options: string, onEvent: (json: string) => void): Promise<string> {
    const history = this.chats[chat]?.messages ?? [];
    const begun = history.pop();
    const before = history.length;
    return this.reply(chat, options, onEvent, textOf(begun)).then((summary) => {
      history.splice(before, 1, { role: 'model', content: textOf(begun) + textOf(history[before]) });
      return summary;
    }, (thrown) => {
      if (begun) history.push(begun);
      throw thrown;
    });
  }

  chat_set(chat: number, messages: string): void {
    const conversation = this.chats[chat];
    if (conversation) conversation.messages = JSON.parse(messages) as Message[];
  }

  /** Answers the last message; `begun` is there of the answer already. */
  private async reply(chat: number, options: string, onEvent: (json: string) => void, begun = ''): Promise<string> {
    const conversation = this.chats[chat] ?? { messages: [] };
    const { ids } = JSON.parse(this.render(JSON.stringify(conversation))) as { ids: number[] };
    if (ids.length > this.context) throw new RullamaError('context-full', `${ids.length} tokens do not fit the context of ${this.context}.`);
    const limits = JSON.parse(options) as GenerateOptions;
    const maxTokens = Math.min(limits.maxTokens ?? 10_000, this.context - ids.length);
    const last = conversation.messages.at(-1);
    // Words of a tool choose nothing, apart from the next call.
    const question = last?.role === 'tool' && !textOf(last).startsWith('call ') ? '' : textOf(last);
    const shown = conversation.messages.map((message) => this.senses.shown(message)).join('');
    if (shown !== '') onEvent(JSON.stringify({ type: 'content', text: shown }));
    const added = this.adapted.get(chat) ?? 0;
    if (added !== 0) onEvent(JSON.stringify({ type: 'content', text: `[adapted ${added}] ` }));
    const summary = JSON.parse(await this.answer(question, conversation, { ...limits, maxTokens }, onEvent, begun)) as Summary;
    conversation.messages.push({ role: 'model', content: summary.text });
    const timings = this.caches.timings(chat, ids, summary.timings);
    this.caches.keep(chat, (JSON.parse(this.render(JSON.stringify(conversation))) as { ids: number[] }).ids);
    return JSON.stringify({ ...summary, promptTokens: ids.length, timings });
  }

  detokenize(ids: Uint32Array): string {
    return String.fromCodePoint(...ids);
  }

  async chat_fork(chat: number): Promise<number> {
    const copy = this.chats.push(structuredClone(this.chats[chat] ?? { messages: [] })) - 1;
    this.caches.fork(chat, copy);
    return copy;
  }

  async chat_save(chat: number, most: number | undefined): Promise<Uint8Array<ArrayBuffer>> {
    await pause(this.step);
    return this.caches.save(chat, this.adapted.get(chat) ?? 0, most);
  }

  async chat_restore(options: string, adapters: string, saved: Uint8Array): Promise<number> {
    const added = this.tuning.added(adapters);
    const ids = this.caches.restored(saved, added);
    const chat = await this.chat_open(options);
    this.caches.keep(chat, ids);
    this.adapted.set(chat, added);
    return chat;
  }

  /** Two tokens, the second of which ends an answer. */
  format_tokens(): FormatTokens {
    const list = (...ids: number[]) => Uint32Array.from(ids);
    return { bytes: new TextEncoder().encode('x<eos>'), ends: list(1, 6), special: list(1), closing: list(1), quote: 7 };
  }

  set_formats(formats: Compiler): void {
    this.compiler = formats;
  }

  /** In place of an answer of a format, what it would keep to. */
  private formed(format: unknown): string {
    this.compiler?.follow(JSON.stringify(format === 'json' ? { type: 'object' } : format)).free();
    return JSON.stringify({ kept: format });
  }

  async respond(ask: string, onPart: (json: string) => void): Promise<string> {
    const { messages = [], text, ids, tools = [], thinking = false, forced, options } = JSON.parse(ask) as Ask;
    messages.forEach(({ role }: { role?: string }, i) => {
      if (role === undefined) throw new RullamaError('invalid-argument', `\`messages[${i}]\` cannot be read: missing field \`role\`.`);
    });
    const prompt = text ?? (ids ? this.detokenize(Uint32Array.from(ids)) : textOf(messages.at(-1) as OpenAIMessage));
    if (prompt.length > this.context) throw new RullamaError('context-full', `${prompt.length} tokens do not fit the context of ${this.context}.`);
    onPart('{"begun":true}');
    const logprobs = options.logprobs === undefined ? null : { chosen: { bytes: [104, 105], logprob: -0.5 }, top: [] };
    const onEvent = (json: string) => onPart(JSON.stringify({ events: [JSON.parse(json)], logprobs }));
    const shown = messages.map((message) => this.senses.shown(message as OpenAIMessage)).join('');
    if (shown !== '') onEvent(JSON.stringify({ type: 'content', text: shown }));
    if (forced) {
      onEvent(JSON.stringify({ type: 'toolCall', call: { name: forced.names[0], arguments: {} } }));
      return JSON.stringify({ summary: JSON.parse(this.summary('tool-call', '', [1])), reason: 'tool_calls', context: [1] });
    }
    const conversation = { messages, tools, thinking } as ChatOptions;
    const summary = JSON.parse(await this.answer(prompt, conversation, options, onEvent, '')) as Summary;
    const reason = { 'tool-call': 'tool_calls', length: 'length', cancelled: 'cancelled' }[summary.finish as string] ?? 'stop';
    return JSON.stringify({ summary, reason, context: [1, ...summary.ids] });
  }

  chat_close(chat: number): void {
    this.caches.forget(chat);
    delete this.chats[chat];
  }

  async generate_ids(ids: Uint32Array, options: string, adapters: string, _media: string, onToken: (json: string) => void): Promise<string> {
    const { maxTokens = 4 } = JSON.parse(options) as GenerateOptions;
    // An adapter adds its scale to every token.
    const added = this.tuning.added(adapters);
    const out = Array.from({ length: maxTokens }, (_, i) => (ids.at(-1) ?? 0) + i + 1 + added);
    for (const id of out) onToken(JSON.stringify({ id, text: `${id} ` }));
    return this.summary('length', out.join(' '), out);
  }

  async evaluate(ids: Uint32Array): Promise<Record<string, Float32Array>> {
    return { logits: Float32Array.from(ids) };
  }

  async media_cost(size: string): Promise<number> {
    return this.senses.cost(JSON.parse(size) as MediaSize);
  }

  media_unknown(sources: string): Uint32Array {
    return Uint32Array.from(this.senses.unknown(JSON.parse(sources) as string[]));
  }

  async perceive(source: string, medium: RawMedium): Promise<number> {
    this.cancelled = false;
    await pause(5 * this.step);
    if (this.cancelled) throw new RullamaError('cancelled', 'cancelled');
    return this.senses.perceive(source, medium);
  }

  soft_tokens(source: string): Float32Array {
    return Float32Array.of(this.senses.perceived.indexOf(source));
  }

  async set_projector(source: object | null): Promise<void> {
    this.senses.project(source !== null);
  }

  async release_towers(): Promise<void> {}

  async adapter_open(files: FileRef[]): Promise<string> {
    return this.tuning.open(files);
  }

  async adapter_convert(files: FileRef[], form: string, name: string | undefined): Promise<SavedFile[]> {
    return this.tuning.convert(files, form, name);
  }

  adapter_close(adapter: number): void {
    this.tuning.unload(adapter);
  }

  chat_adapters(chat: number, adapters: string): void {
    const added = this.tuning.added(adapters);
    if (added !== (this.adapted.get(chat) ?? 0)) this.caches.forget(chat);
    if (this.chats[chat]) this.adapted.set(chat, added);
  }

  tune_open(examples: Blob, evaluated: Blob | undefined, options: string, resume: Uint8Array | undefined): Promise<string> {
    return this.tuning.tune(examples, evaluated, options, resume);
  }

  async tune_step(tuner: number): Promise<string> {
    this.cancelled = false;
    await pause(this.step);
    if (this.cancelled) throw new RullamaError('cancelled', 'cancelled');
    if (this.tuning.losesNow(tuner)) {
      this.onLost(new RullamaError('device-lost', 'The GPU was lost: test.'));
      return new Promise(() => undefined);
    }
    return this.tuning.step(tuner);
  }

  async tune_checkpoint(tuner: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.tuning.checkpoint(tuner);
  }

  async tune_adapter(tuner: number): Promise<string> {
    return this.tuning.adapter(tuner);
  }

  async tune_save(tuner: number, form: string): Promise<SavedFile[]> {
    return this.tuning.save(tuner, form);
  }

  tune_close(tuner: number): void {
    this.tuning.close(tuner);
  }

  async tune_finish(tuner: number): Promise<number | undefined> {
    return this.tuning.finish(tuner);
  }

  tune_estimate(examples: Blob, evaluated: Blob | undefined, options: string): Promise<string> {
    return this.tuning.estimate(examples, evaluated, options);
  }

  async tune_preview(examples: Blob, options: string, most: number): Promise<string> {
    return this.tuning.preview(examples, JSON.parse(options) as TuneOptions, most);
  }

  cancel(): void {
    this.cancelled = true;
  }

  close(): void {
    this.kept?.close();
    this.chats = [];
  }

  private async answer(message: string, { thinking = false, tools = [], messages = [] }: ChatOptions, options: GenerateOptions, onEvent: (json: string) => void, begun: string): Promise<string> {
    this.cancelled = false;
    const emit = (event: object) => onEvent(JSON.stringify(event));
    const prompt = message.startsWith(SAY) ? '' : message;
    if (prompt.includes('fail')) throw new RullamaError('nan', 'Layer 3 produced a value that is not a number.');
    if (prompt.includes('lose')) {
      this.onLost(new RullamaError('device-lost', 'The GPU was lost: test.'));
      return new Promise(() => undefined);
    }
    if (prompt.includes('greedy') && this.context > 1024) throw new RullamaError('out-of-memory', `The GPU has no room for the keys and values of ${this.context} tokens.`);
    if (begun === '' && (thinking || prompt.includes('think'))) emit({ type: 'thinking', text: 'Let me see. The question is short.' });
    if (prompt.includes('digest')) {
      const total = 9000;
      for (let done = 0; done <= total; done += 600) {
        emit({ type: 'prefill', done, total });
        await pause(4 * this.step);
        if (this.cancelled) return this.summary('cancelled', '', []);
      }
    }
    const calls = tools.length > 0 ? [...prompt.matchAll(/^call (\w+) (\{.*\})$/gm)] : [];
    for (const [, name, args = ''] of calls) emit({ type: 'toolCall', call: { name, arguments: JSON.parse(args) } });
    if (calls.length > 0) return this.summary('tool-call', '', [1]);
    const [, a, b] = /(\d+) times (\d+)/.exec(prompt) ?? [];
    if (a && tools.some((tool) => ('function' in tool ? tool.function : tool).name === 'multiply')) {
      emit({ type: 'toolCall', call: { name: 'multiply', arguments: { a: Number(a), b: Number(b) } } });
      return this.summary('tool-call', '', [1]);
    }
    if (prompt.includes('tool')) {
      emit({ type: 'toolCall', call: { name: 'get_weather', arguments: { city: 'Oslo' } } });
      return this.summary('tool-call', '', [1]);
    }
    if (prompt.includes('garble')) {
      emit({ type: 'unreadableCall', text: 'call:get_weather{city:<|"|>Os' });
      return this.summary('length', '', [1]);
    }
    if (prompt.includes('flaky') && this.flaky++ % 2 === 1) throw new RullamaError('nan', 'Layer 3 produced a value that is not a number.');
    if (prompt.includes('slow')) await pause(2000);
    const limit = options.maxTokens ?? 10_000;
    const recalled = () => messages.filter(({ role }) => role === 'user').map((message) => `[${textOf(message)}] `);
    const words = options.format !== undefined ? [this.formed(options.format)] : prompt.includes('recall') ? recalled() : wordsOf(message, limit + begun.length);
    let text = '';
    const ids: number[] = [];
    let over = begun.length;
    for (const whole of words) {
      const word = whole.slice(over);
      over = Math.max(0, over - whole.length);
      if (word === '') continue;
      await pause(this.step);
      if (this.cancelled) return this.summary('cancelled', text, ids);
      emit({ type: 'content', text: word });
      text += word;
      ids.push(ids.length);
      if (prompt.includes('vanish') && begun === '' && ids.length === 4) {
        this.onLost(new RullamaError('device-lost', 'The GPU was lost: test.'));
        return new Promise(() => undefined);
      }
      if (ids.length >= limit) break;
    }
    return this.summary(ids.length >= limit ? 'length' : 'stop', text, ids);
  }

  private summary(finish: Finish, text: string, ids: number[]): string {
    const timings = { prefillS: 0.1, decodeS: 1.5, firstTokenS: 0.1, prefilledTokens: 21, prefillTokS: 210, decodeTokS: 34.5 };
    const summary: Summary = { finish, text, ids, promptTokens: 21, draftedTokens: 0, acceptedTokens: 0, timings };
    return JSON.stringify(summary);
  }
}
