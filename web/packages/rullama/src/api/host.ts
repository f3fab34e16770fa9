// The engine as the APIs ask it: one model by its names, a bounded queue, and answers that are known to begin before they are sent.

import type { Ask, Piece, Responded, TokenBytes } from '../request.ts';
import type { Engine } from '../rullama.ts';
import type { ToolCall } from '../types.ts';
import { Failure } from './failure.ts';

/** How an engine appears to programs. */
export interface ApiOptions {
  /** The name that requests call the model by, and others that it answers to; the file's own name for itself unless said. */
  model?: string | string[] | undefined;
  /** Requests that may wait at a time, 64 by default; the next is told 503. */
  maxQueue?: number | undefined;
}

/** A tool call with the id that the APIs give it. */
export type NamedCall = ToolCall & { id: string };

type Logprobs = { chosen: TokenBytes; top: TokenBytes[] };

/** What pieces of an answer add up to. */
export interface Said {
  content: string;
  thinking: string;
  calls: NamedCall[];
  logprobs: Logprobs[];
  /** Those of the content alone, and those that wait for what they become. */
  ofContent: Logprobs[];
  waiting: Logprobs[];
  /** Tokens that were thought. */
  thinkingTokens: number;
}

/** An answer that has begun: what each token gives, and the end, which rejects with a `Failure`. */
export interface Answer {
  pieces: AsyncGenerator<Piece, void, void>;
  ended: Promise<Ended>;
}

/** Times are seconds. */
export interface Ended extends Responded {
  waited: number;
}

export class Host {
  readonly names: string[];
  readonly loaded = new Date();
  private waiting = 0;
  private readonly most: number;

  constructor(
    readonly engine: Engine,
    { model, maxQueue = 64 }: ApiOptions = {},
  ) {
    const names = [model ?? []].flat();
    this.names = names.length > 0 ? names : [engine.info.name || 'model'];
    this.most = maxQueue;
  }

  get name(): string {
    return this.names[0] as string;
  }

  /** @throws Failure for another model than the one that is here. */
  check(model: string): void {
    if (model === '') throw Failure.field('model', `is empty, but must name a model. Here is ${this.name}.`);
    const plain = (name: string) => name.replace(/:latest$/, '');
    if (this.names.some((name) => plain(name) === plain(model))) return;
    const short = model.length > 80 ? `${model.slice(0, 80)}...` : model;
    throw new Failure(404, `model '${short}' not found: this page holds ${this.names.join(', ')}. Ask for that, or load another.`, 'model', 'model_not_found');
  }

  /** @throws Failure for a model that makes embeddings alone. */
  answers(): void {
    if (this.engine.info.embedding.length === 0) return;
    throw Failure.field('model', `names ${this.name}, which makes embeddings and answers nothing. Load a Gemma 4 model.`);
  }

  /** @throws Failure for a model that makes no embeddings. */
  embeds(): void {
    if (this.engine.info.embedding.length > 0) return;
    throw Failure.field('model', `names ${this.name}, which makes no embeddings. Load EmbeddingGemma for them.`);
  }

  /**
   * Puts a request into the queue; the promise resolves when its answer begins.
   *
   * @throws Failure when it does not.
   */
  async begin(ask: Ask, signal: AbortSignal): Promise<Answer> {
    const asked = performance.now();
    const pieces: Piece[] = [];
    let [wake, begun, over, started] = [() => {}, () => {}, false, asked];
    const first = new Promise<void>((resolve) => (begun = resolve));
    const work = this.inQueue(() =>
      this.engine.respond(ask, signal, (part) => {
        if ('begun' in part) {
          started = performance.now();
          begun();
        } else pieces.push(part);
        wake();
      }),
    );
    const ended = work.then((responded) => ({ ...responded, waited: (started - asked) / 1000 }));
    const failed = ended.then(() => undefined, (thrown: unknown) => Promise.reject(Failure.from(thrown)));
    ended.catch(() => undefined).finally(() => ((over = true), wake()));
    await Promise.race([first, failed]);
    const end = failed.then(() => ended);
    end.catch(() => undefined); // told to whoever awaits it
    const give = async function* () {
      for (;;) {
        while (pieces.length > 0) yield pieces.shift() as Piece;
        if (over) return;
        await new Promise<void>((resolve) => ((wake = resolve), (pieces.length > 0 || over) && resolve()));
      }
    };
    return { pieces: give(), ended: end };
  }

  /** @throws Failure when too many wait already. */
  async inQueue<T>(work: () => Promise<T>): Promise<T> {
    // The one that is being answered does not wait.
    if (this.waiting > this.most) {
      throw new Failure(503, `${this.most} requests are waiting. Ask again later.`, undefined, 'server_overloaded');
    }
    this.waiting += 1;
    try {
      return await work();
    } catch (thrown) {
      throw Failure.from(thrown);
    } finally {
      this.waiting -= 1;
    }
  }
}

const nothing = (): Said => ({ content: '', thinking: '', calls: [], logprobs: [], ofContent: [], waiting: [], thinkingTokens: 0 });

/** A piece as what it says. */
export function said(piece: Piece, into: Said = nothing()): Said {
  for (const event of piece.events) {
    // What cannot be read as a call is left to the reader.
    if (event.type === 'content' || event.type === 'unreadableCall') into.content += event.text;
    else if (event.type === 'thinking') into.thinking += event.text;
    else into.calls.push({ ...event.call, id: unique('call_') });
  }
  into.thinkingTokens += piece.events.some(({ type }) => type === 'thinking') ? 1 : 0;
  if (piece.logprobs) {
    into.logprobs.push(piece.logprobs);
    into.waiting.push(piece.logprobs);
  }
  // What a token gives may show with a later one.
  const last = piece.events.at(-1)?.type;
  if (last !== undefined) {
    const ready = into.waiting.splice(0);
    if (last === 'content' || last === 'unreadableCall') into.ofContent.push(...ready);
  }
  return into;
}

/** All of an answer. */
export async function collect({ pieces, ended }: Answer): Promise<{ said: Said; ended: Ended }> {
  let all = said({ events: [] });
  for await (const piece of pieces) all = said(piece, all);
  const end = await ended;
  // Nobody who asked stopped it, or would still be here.
  if (end.reason === 'cancelled') throw new Failure(503, 'The answer was stopped. Ask again.');
  return { said: all, ended: end };
}

/** How an API writes an answer as it comes; each record is one line or event of the stream. */
export interface Format<Rec> {
  begin(): Rec[];
  piece(said: Said, piece: Piece): Rec[];
  done(ended: Ended): Rec[];
  failed(failure: Failure): Rec[];
}

/** The records of an answer as it comes. Leaving early stops it, by `stop`. */
export async function* records<Rec>({ pieces, ended }: Answer, format: Format<Rec>, stop: () => void): AsyncGenerator<Rec, void, void> {
  let over = false;
  ended.catch(() => undefined);
  try {
    yield* format.begin();
    for await (const piece of pieces) yield* format.piece(said(piece), piece);
    over = true;
    const end = await ended;
    if (end.reason === 'cancelled') throw new Failure(503, 'The answer was stopped. Ask again.');
    yield* format.done(end);
  } catch (thrown) {
    over = true;
    yield* format.failed(Failure.from(thrown));
  } finally {
    if (!over) stop();
  }
}

/** A name that no other answer has: `prefix` and 24 digits. */
export function unique(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return prefix + Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A token's bytes as text, as far as they are some. */
export const textOf = ({ bytes }: TokenBytes): string => new TextDecoder().decode(Uint8Array.from(bytes));
