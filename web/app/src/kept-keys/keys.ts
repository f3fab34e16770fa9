// What the model has read of recent conversations, kept while nothing else goes on. The work is loaded with the first answer.

import type { Chat } from 'rullama';
import type { Library } from '../chats/library.ts';
import type { Held, Keeper, Wanted } from './keeper.ts';

const STORE = 'rullama.keep-keys';
/** Milliseconds after an answer in which the next question may come. */
const IDLE_MS = 1000;

export class KeptKeys {
  private keeper: Promise<Keeper> | undefined;
  private held: Held | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private saving: AbortController | undefined;
  /** Where nothing can be written down, it lasts as long as the page. */
  private off = false;

  constructor(private readonly library: Library) {
    library.listen((news) => {
      if (news.of === 'chat' && !library.chats.has(news.chat)) void this.loaded().then((keeper) => keeper.forget(news.chat), () => undefined);
      // Conversations go first.
      if (news.of === 'trouble' && library.trouble === 'quota') void this.loaded().then((keeper) => keeper.makeWay()).catch(() => undefined);
    });
  }

  /** Whether they are kept: they are, unless a person switched that off, here or in another tab. */
  get on(): boolean {
    try {
      return !this.off && localStorage.getItem(STORE) !== 'off';
    } catch {
      return !this.off;
    }
  }

  /** Switches it on or off; what is kept goes with it. */
  async set(on: boolean): Promise<void> {
    this.off = !on;
    try {
      if (on) localStorage.removeItem(STORE);
      else localStorage.setItem(STORE, 'off');
    } catch {
      // Storage may be switched off.
    }
    if (on) return;
    this.asked();
    await this.loaded().then((keeper) => keeper.forgetAll(), () => undefined);
  }

  /** A question has come: what is not kept yet is not kept. */
  asked(): void {
    clearTimeout(this.timer);
    this.held = undefined;
    this.saving?.abort();
    this.saving = undefined;
  }

  /** An answer has ended, and nothing else goes on. */
  answered(held: Held | undefined): void {
    this.asked();
    if (!held || !this.on) return;
    void this.loaded().then((keeper) => keeper.learn(held), () => undefined);
    this.held = held;
    this.timer = setTimeout(() => void this.save(), IDLE_MS);
  }

  /** A conversation is left: what it has read is taken from the engine before `close`. */
  leave(chat: Chat, close: () => void): void {
    if (this.held?.chat === chat) void this.save().then(close);
    else close();
  }

  /** The engine's chat with what is kept, where that is faster; nothing where it is to be computed. */
  async restored(wanted: Wanted): Promise<Chat | undefined> {
    if (!this.on) return undefined;
    try {
      return await (await this.loaded()).restore(wanted);
    } catch {
      return undefined;
    }
  }

  /** Settles when the engine has given what is to be kept, or will not. */
  private save(): Promise<void> {
    clearTimeout(this.timer);
    const { held } = this;
    this.held = undefined;
    if (!held) return Promise.resolve();
    const { signal } = (this.saving = new AbortController());
    return new Promise((taken) => {
      void this.loaded().then((keeper) => keeper.save(held, signal, taken)).catch(() => undefined).finally(() => taken());
    });
  }

  private loaded(): Promise<Keeper> {
    this.keeper ??= import('./keeper.ts').then(({ Keeper }) => new Keeper(this.library));
    this.keeper.catch(() => (this.keeper = undefined));
    return this.keeper;
  }
}


export type { Held };
