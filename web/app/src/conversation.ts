// A conversation at work: its record and messages, the version that is shown, and the engine's chat that goes on with it.

import type { Attached, Chat, ChatOptions, Engine, Message, SendOptions, ChatEvent, Summary, Tool } from 'rullama';
import { messageOf, type ChatRecord, type MessageRecord } from './chats/records.ts';
import { composed, type Question } from './media/documents.ts';
import { Tree } from './chats/tree.ts';
import type { Trial } from './compare/trial.ts';
import type { Held, KeptKeys } from './kept-keys/keys.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

/** Tokens that must be left for an answer, and those that older messages make room for. */
const LEAST_ROOM = 32;
const WANTED_ROOM = 512;

/** What it took to make a question fit. */
export interface Fit {
  /** Tokens that the question is too long by, 0 when it fits. */
  over: number;
  /** Whether older messages were left out for it. */
  dropped: boolean;
}

export class Conversation {
  tree: Tree;
  /** The last message of the version that is shown here; other tabs may show another one. */
  leaf: string | null;
  /** Of the answer that is being written here. */
  running: AbortController | undefined;
  /** What the next answer is tried with. */
  trial: Trial | undefined;
  /** Rounds of tool calls since the question. */
  rounds = 0;
  /** Whether it is kept in the library. */
  kept = false;
  /** Messages at the beginning of the path that the model no longer reads. */
  private dropped = 0;
  /** Messages that were added here and not yet seen among those that are kept. */
  private readonly fresh = new Map<string, MessageRecord>();
  private open: { chat: Chat; options: string; attached: Attached[] } | undefined;

  /** `options` gives what the model is told apart from the messages, as it is now. */
  constructor(
    readonly record: ChatRecord,
    private readonly options: () => ChatOptions,
    messages: MessageRecord[] = [],
    private engine?: Engine,
    /** The adapters that it is answered with, as they are now. */
    private readonly adapters: () => Promise<Attached[]> = async () => [],
    private readonly keys?: KeptKeys,
  ) {
    this.tree = new Tree(messages);
    this.leaf = this.tree.get(record.leaf) ? record.leaf : this.tree.latestLeaf();
  }

  get id(): string {
    return this.record.id;
  }

  /** The record as the next answer goes by it. */
  get asked(): ChatRecord {
    return { ...this.record, ...this.trial };
  }

  /** The messages of the version that is shown. */
  get path(): MessageRecord[] {
    return this.tree.path(this.leaf);
  }

  get tools(): Tool[] {
    return this.options().tools ?? [];
  }

  /** Whether the last question has no answer. */
  get unanswered(): boolean {
    const last = this.path.at(-1);
    return last !== undefined && last.role !== 'model';
  }

  /** The answer at the end, where it calls tools that the conversation has and nobody has run them. */
  get calling(): MessageRecord | undefined {
    const last = this.path.at(-1);
    return last?.state === 'done' && last.finish === 'tool-call' && last.toolCalls?.length && this.tools.length > 0 ? last : undefined;
  }

  /** Tokens of prompt and answer together, as far as they are known. */
  get tokens(): number {
    const stats = this.path.findLast((message) => message.stats)?.stats;
    return stats ? stats.promptTokens + stats.tokens : 0;
  }

  /** Shows another version: that which ends at `leaf`. */
  show(leaf: string | null): void {
    const before = this.path;
    this.leaf = leaf;
    this.record.leaf = leaf;
    // What was left out stays so where the beginning is the same.
    const same = this.path.findIndex((message, i) => message.id !== before[i]?.id);
    if (same >= 0 && same < this.dropped) this.dropped = 0;
    this.dropped = Math.min(this.dropped, this.path.length);
  }

  /** Adds a message behind the others of its path, and shows it. */
  add(message: MessageRecord): void {
    this.tree.put(message);
    this.fresh.set(message.id, message);
    this.show(message.id);
  }

  /** Takes a message out, with all that follows it, and shows what ends at `leaf`. */
  remove(id: string, leaf: string | null): void {
    for (const message of this.tree.remove(id)) this.fresh.delete(message.id);
    this.show(leaf);
  }

  /** Takes what is kept now, which another tab may have added to, and follows it where it goes on from what is shown. */
  refresh(messages: MessageRecord[]): void {
    const { leaf } = this;
    // What is written here is newer than what is kept of it, and may not be kept yet.
    const own = this.running ? this.path.filter(({ state }) => state === 'writing') : [];
    for (const { id } of messages) this.fresh.delete(id);
    this.tree = new Tree([...this.fresh.values(), ...messages, ...own]);
    if (this.running) return;
    const kept = this.tree.path(this.record.leaf);
    if (!this.tree.get(leaf)) this.leaf = kept.at(-1)?.id ?? this.tree.latestLeaf();
    else if (kept.some(({ id }) => id === leaf)) this.leaf = this.record.leaf;
  }

  /** Gives the engine's memory back; the conversation stays. */
  close(): void {
    this.running?.abort();
    this.closeChat();
  }

  /** Goes on with `engine`, which may be another one, or none. */
  resume(engine: Engine | undefined): void {
    if (engine === this.engine) return;
    this.engine = engine;
    this.open = undefined;
    this.dropped = 0;
  }

  /** Answers the path as far as `until`; `goOn` continues the answer at its end instead. */
  async *answer(until: string | null, goOn: boolean, options: SendOptions): AsyncGenerator<ChatEvent, void, void> {
    const messages = this.read(until);
    const chat = await this.chatWith(messages, until);
    await this.attach(chat);
    await chat.setMessages(messages, options.signal ? { signal: options.signal } : {});
    yield* goOn ? chat.continue(options) : chat.retry(options);
  }

  /** What the engine has read, as far as the answer `until`, which has just ended; nothing of a trial, behind which the first is shown again. */
  heldBy(summary: Summary, until: string): Held | undefined {
    const { open, engine, id, trial } = this;
    if (!open || !engine || trial) return undefined;
    return { id, engine, chat: open.chat, told: this.toldWith(open.options), path: this.names(until), summary };
  }

  /** Tokens that a question alone is too long by, 0 when it fits. */
  async tooLong(question: Question[], path = this.path): Promise<number> {
    const engine = this.engineHere();
    const alone = await this.count(path.slice(latestTurn(path, question)).map(messageOf), question);
    return Math.max(0, alone - (engine.info.context - leastRoom(engine)));
  }

  /** Leaves out the oldest turns where `question` behind `path` and an answer of `answer` tokens would not fit otherwise. */
  async makeRoom(question: Question[], path = this.path, answer = WANTED_ROOM): Promise<Fit> {
    const engine = this.engineHere();
    const { context } = engine.info;
    const messages = path.map(messageOf);
    const room = Math.max(leastRoom(engine), Math.min(answer, WANTED_ROOM, context >> 2));
    const fits = async (from: number) => (await this.count(messages.slice(from), question)) + room <= context;
    this.dropped = Math.min(this.dropped, path.length);
    if (await fits(this.dropped)) return { over: 0, dropped: false };
    const over = await this.tooLong(question, path);
    if (over > 0) return { over, dropped: false };
    const starts = turnsFrom(path, this.dropped + 1, latestTurn(path, question));
    // The fewest turns that make room; where none do, all that may go.
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await fits(starts[middle] as number)) high = middle;
      else low = middle + 1;
    }
    const from = starts[low];
    if (from === undefined) return { over: 0, dropped: false };
    this.dropped = from;
    return { over: 0, dropped: true };
  }

  /** The first message that the model still reads; nothing where it reads all. */
  get firstRead(): string | undefined {
    return this.dropped > 0 ? this.path[this.dropped]?.id : undefined;
  }

  /** What the model reads of the path as far as `until`. */
  private read(until: string | null): Message[] {
    return this.tree.path(until).slice(this.dropped).map(messageOf);
  }

  private names(until: string | null): string[] {
    return this.tree.path(until).slice(this.dropped).map(({ id }) => id);
  }

  /** What the model is told apart from the messages, with the adapters that it answers with. */
  private toldWith(options: string): string {
    return JSON.stringify([options, this.asked.adapters ?? []]);
  }

  private async chatWith(messages: Message[], until: string | null): Promise<Chat> {
    const options = this.options();
    const told = JSON.stringify(options);
    if (this.open?.options === told) return this.open.chat;
    this.closeChat();
    const engine = this.engineHere();
    const adapters = await this.adapters();
    const kept = await this.keys?.restored({ id: this.id, engine, told: this.toldWith(told), path: this.names(until), adapters });
    const chat = kept ?? engine.chat({ ...options, messages });
    // Where the engine was left meanwhile, what follows says so.
    if (this.engine === engine) this.open = { chat, options: told, attached: kept ? adapters : [] };
    return chat;
  }

  /** Brings the adapters of the engine's chat to what they are to be. */
  private async attach(chat: Chat): Promise<void> {
    const wanted = await this.adapters();
    const { open } = this;
    if (open?.chat !== chat) return;
    const same = wanted.length === open.attached.length && wanted.every(({ adapter, scale }, i) => open.attached[i]?.adapter === adapter && open.attached[i]?.scale === scale);
    if (same) return;
    await chat.setAdapters(wanted);
    open.attached = wanted;
  }

  private engineHere(): Engine {
    if (!this.engine) throw new Error(t(CommonText.noModelIsLoaded));
    return this.engine;
  }

  private closeChat(): void {
    const { open, keys } = this;
    this.open = undefined;
    if (!open) return;
    const close = () => void open.chat.close().catch(() => undefined);
    if (keys) keys.leave(open.chat, close);
    else close();
  }

  private async count(history: Message[], question: Question[]): Promise<number> {
    const { ids } = await this.engineHere().render({ ...this.options(), messages: [...history, ...question.map(composed)] });
    return ids.length;
  }
}

/** Where the messages begin that `question` cannot do without: a tool's result needs its call. */
function latestTurn(path: MessageRecord[], question: Question[]): number {
  if (question[0]?.role === 'user') return path.length;
  return Math.max(0, path.map(({ role }) => role).lastIndexOf('user'));
}

/** Where turns begin, from `first` to `last`, and `last` itself. */
function turnsFrom(path: MessageRecord[], first: number, last: number): number[] {
  const starts = path.flatMap(({ role }, i) => (role === 'user' && i >= first && i < last ? [i] : []));
  return last >= first ? [...starts, last] : starts;
}

/** Few tokens, but no more than a small context has to give. */
const leastRoom = (engine: Engine) => Math.min(LEAST_ROOM, engine.info.context >> 3);
