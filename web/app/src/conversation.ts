// A conversation as the page keeps it: what was said, its place in the log, and the engine's chat that goes on with it.

import type { Chat, ChatOptions, Engine, Message, Summary, Tool } from 'rullama';
import { h } from './dom.ts';

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
  /** Everything that was said. */
  readonly messages: Message[] = [];
  readonly log = h('div', { className: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': 'Conversation' });
  /** Of the answer that is being written. */
  running: AbortController | undefined;
  /** Tokens of prompt and answer together, as far as they are known. */
  tokens = 0;
  /** Rounds of tool calls since the question. */
  rounds = 0;
  /** Whether anything was asked. */
  asked = false;
  /** Messages at the beginning that the model no longer reads. */
  private dropped = 0;
  private engine: Engine;
  private open: Chat | undefined;

  constructor(
    engine: Engine,
    readonly options: ChatOptions,
  ) {
    this.engine = engine;
  }

  get tools(): Tool[] {
    return this.options.tools ?? [];
  }

  get chat(): Chat {
    return (this.open ??= this.engine.chat({ ...this.options, messages: this.messages.slice(this.dropped) }));
  }

  /** Whether the last question has no answer. */
  get unanswered(): boolean {
    const last = this.messages.at(-1);
    return last !== undefined && last.role !== 'model';
  }

  /** Gives the engine's memory back; the conversation stays. */
  close(): void {
    this.running?.abort();
    this.closeChat();
  }

  /** Goes on with `engine`, which may be another one. */
  resume(engine: Engine): void {
    if (engine !== this.engine) {
      this.engine = engine;
      this.open = undefined;
      this.dropped = 0;
    }
  }

  /** What was asked and answered is part of the conversation from now on. */
  record(question: Message[], reply: Message, summary: Summary | undefined): void {
    this.messages.push(...question, reply);
    if (summary) this.tokens = summary.promptTokens + summary.ids.length;
  }

  /** Takes back the latest answer, to be replaced by another. */
  takeBack(): Message[] {
    let from = this.messages.length;
    while (this.messages[from - 1]?.role === 'model') from -= 1;
    return this.messages.splice(from);
  }

  /** Tokens that a question alone is too long by, 0 when it fits. */
  async tooLong(question: Message[]): Promise<number> {
    const alone = await this.count(this.messages.slice(this.latestTurn(question)), question);
    return Math.max(0, alone - (this.engine.info.context - leastRoom(this.engine)));
  }

  /** Leaves out the oldest turns where `question` and an answer of `answer` tokens would not fit otherwise. */
  async makeRoom(question: Message[], answer = WANTED_ROOM): Promise<Fit> {
    const { context } = this.engine.info;
    const room = Math.max(leastRoom(this.engine), Math.min(answer, WANTED_ROOM, context >> 2));
    const fits = async (from: number) => (await this.count(this.messages.slice(from), question)) + room <= context;
    if (await fits(this.dropped)) return { over: 0, dropped: false };
    const over = await this.tooLong(question);
    if (over > 0) return { over, dropped: false };
    const starts = this.turnsFrom(this.dropped + 1, this.latestTurn(question));
    // The fewest turns that make room; where none do, all that may go.
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await fits(starts[middle] as number)) high = middle;
      else low = middle + 1;
    }
    const from = starts[low];
    if (from === undefined) return { over: 0, dropped: false };
    this.closeChat();
    this.dropped = from;
    return { over: 0, dropped: true };
  }

  /** Number of the turn, counted by questions, that is the first that the model still reads. */
  get firstTurn(): number {
    return this.messages.slice(0, this.dropped).filter(({ role }) => role === 'user').length;
  }

  private closeChat(): void {
    void this.open?.close().catch(() => undefined);
    this.open = undefined;
  }

  private async count(history: Message[], question: Message[]): Promise<number> {
    const { ids } = await this.engine.render({ ...this.options, messages: [...history, ...question] });
    return ids.length;
  }

  /** Where the messages begin that `question` cannot do without: a tool's result needs its call. */
  private latestTurn(question: Message[]): number {
    if (question[0]?.role === 'user') return this.messages.length;
    return Math.max(0, this.messages.map(({ role }) => role).lastIndexOf('user'));
  }

  /** Where turns begin, from `first` to `last`, and `last` itself. */
  private turnsFrom(first: number, last: number): number[] {
    const starts = this.messages.flatMap(({ role }, i) => (role === 'user' && i >= first && i < last ? [i] : []));
    return last >= first ? [...starts, last] : starts;
  }
}

/** Few tokens, but no more than a small context has to give. */
const leastRoom = (engine: Engine) => Math.min(LEAST_ROOM, engine.info.context >> 3);
