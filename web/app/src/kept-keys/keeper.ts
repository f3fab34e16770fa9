// Keeps what the model has read of recent conversations, and gives it back where that is faster than to compute it again. All of it can be
// computed again: what does not fit is passed over without a word.

import type { Attached, Chat, Engine, ModelInfo, Summary } from 'rullama';
import type { Library } from '../chats/library.ts';
import { canKeep, forget, forgetAll, keep, keptFiles, openKept } from './files.ts';
import { fade, isWorthIt, learnPrompt, learnRestore, paceKey, paceOf, secondsToCompute } from './pace.ts';

/** Conversations that are kept, bytes of all together, and the share that they take of what the browser gives. */
const MOST_CHATS = 8;
const MOST_BYTES = 512e6;
const SHARE = 0.1;
/** Bytes of one, also where the device may be a phone: the engine's memory grows by twice as much, and stays so. */
const MOST_EACH = 128e6;
const MOST_SMALL = 32e6;
/** Gigabytes that a phone may have, and what a browser is taken for that does not say it. */
const SMALL = 4;
/** Seconds of computing that are worth a file. */
const LEAST_SECONDS = 0.1;
const LOCK = 'rullama.keys';

/** What the engine holds of a conversation. */
export interface Held {
  id: string;
  engine: Engine;
  chat: Chat;
  /** What the model was told apart from the messages. */
  told: string;
  /** The messages that it has read, by name. */
  path: string[];
  /** Of the answer that they end with. */
  summary: Summary;
}

/** What is wanted of what is kept. */
export type Wanted = Pick<Held, 'id' | 'engine' | 'told' | 'path'> & { adapters: Attached[] };

/** The weights, as far as the page knows them, and the type of caches. The engine compares the weights themselves. */
const modelOf = (info: ModelInfo): string => [info.name, info.layers, info.dim, info.vocab, info.loadedBytes, info.kv].join('|');

export class Keeper {
  /** Files that were removed at first, since their conversations are gone. */
  private readonly swept: Promise<number>;

  constructor(private readonly library: Library) {
    this.swept = library.ready.then(() => this.sweep()).catch(() => 0);
  }

  learn({ engine, summary }: Pick<Held, 'engine' | 'summary'>): void {
    learnPrompt(paceKey(engine.info), summary);
  }

  /** Keeps a conversation's keys; `taken` is told when the engine has given them. */
  async save({ id, engine, chat, told, path, summary }: Held, signal: AbortSignal, taken: () => void): Promise<void> {
    const tokens = summary.promptTokens + summary.ids.length;
    const pace = paceOf(paceKey(engine.info));
    if (!canKeep() || !this.library.chats.has(id) || (secondsToCompute(pace, tokens) ?? 0) < LEAST_SECONDS) return;
    const bytes = await chat.save({ signal, most: mostOfOne(), messages: false });
    taken();
    if (!isWorthIt(pace, tokens, bytes.length)) return;
    await locked(async () => {
      if (signal.aborted || !(await makeRoom(id, bytes.length))) return;
      await keep({ chat: id, model: modelOf(engine.info), told, path, tokens }, bytes, signal);
      // It may have been deleted meanwhile.
      if (!this.library.chats.has(id)) await forget(id);
    });
  }

  /** The engine's chat with what is kept, where that belongs to the conversation and is sooner there. */
  async restore({ id, engine, told, path, adapters }: Wanted): Promise<Chat | undefined> {
    const kept = await openKept(id);
    if (!kept) return undefined;
    const { description, bytes } = kept;
    // The last message may be another: an answer that is asked for anew.
    const begins = description.path.slice(0, -1).every((message, i) => message === path[i]);
    if (description.model !== modelOf(engine.info) || description.told !== told || !begins) return undefined;
    const key = paceKey(engine.info);
    if (!isWorthIt(paceOf(key), description.tokens, bytes)) return void fade(key);
    const start = performance.now();
    try {
      const chat = await engine.restore(await kept.read(), { adapters });
      learnRestore(key, bytes, (performance.now() - start) / 1000);
      return chat;
    } catch (thrown) {
      // Damaged, or of other weights or adapters; where the engine went away it may be of use yet.
      if ((thrown as { code?: string }).code === 'invalid-argument') await forget(id);
      return undefined;
    }
  }

  /** Gives all the room back, where there is any, and lets what had none be kept. */
  async makeWay(): Promise<void> {
    if ((await this.swept) + (await keptFiles()).length === 0) return;
    await forgetAll();
    await this.library.retry();
  }

  forget = (id: string): Promise<void> => forget(id);
  forgetAll = (): Promise<void> => forgetAll();

  /** Removes what belongs to conversations that are gone. */
  private async sweep(): Promise<number> {
    const gone = (await keptFiles()).filter(({ chat }) => !this.library.chats.has(chat));
    for (const { chat } of gone) await forget(chat);
    return gone.length;
  }
}

function mostOfOne(): number {
  const { deviceMemory = SMALL } = navigator as { deviceMemory?: number };
  return deviceMemory > SMALL ? MOST_EACH : MOST_SMALL;
}

/** Removes the oldest until there is room; gives whether there is. */
async function makeRoom(id: string, need: number): Promise<boolean> {
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  const most = Math.min(MOST_BYTES, quota * SHARE);
  if (need > most) return false;
  const others = (await keptFiles()).filter(({ chat }) => chat !== id);
  let total = others.reduce((sum, { bytes }) => sum + bytes, 0);
  let free = quota - usage;
  while (others.length >= MOST_CHATS || total + need > most || (free < 2 * need && others.length > 0)) {
    const oldest = others.shift();
    if (!oldest) break;
    await forget(oldest.chat);
    total -= oldest.bytes;
    free += oldest.bytes;
  }
  // While it is written, what it takes the place of is still there.
  return free >= 2 * need;
}

/** One tab at a time. */
const locked = async (work: () => Promise<void>): Promise<void> => {
  if (navigator.locks) await navigator.locks.request(LOCK, work);
  else await work();
};
