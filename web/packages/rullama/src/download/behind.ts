// A file that is read while its rest arrives: what is stored is read there, rows that are not are fetched by themselves, and nothing of
// another version is ever taken for this one's.

import { RullamaError } from '../errors.ts';
import type { FileAccess } from './host.ts';
import type { Pieces } from './pieces.ts';
import { backoff, Body, Changed, requestPart, Retry, type Asking, type Remote } from './remote.ts';
import type { Reporter } from './reporter.ts';
import type { Transfer } from './transfer.ts';

/** Attempts to fetch a row, and rows that are fetched at a time: a prompt has one for each of its words. */
const ATTEMPTS = 4;
const AT_A_TIME = 16;
/** Longest read that is a row's. */
const MOST = 4 << 20;

interface Parts {
  file: FileAccess;
  remote: Remote;
  pieces: Pieces;
  transfer: Transfer;
}

/** A time that the rest is fetched, until it is paused or fails. */
interface Turn {
  signal: AbortSignal;
  fail: (thrown: unknown) => void;
}

export class Behind {
  /** Why nothing of it can be read any more. */
  private ended: { thrown: unknown } | undefined;
  private readonly stop = new AbortController();
  private turn: Turn | undefined;
  private begin: () => void = () => undefined;
  /** All is fetched, and what is stored is being closed. */
  over = false;
  private fetching = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly parts: Parts,
    private readonly asking: Asking,
    private readonly reporter: Reporter,
  ) {}

  /** Bytes of the whole file. */
  get length(): number {
    return this.parts.pieces.length;
  }

  /** Fetches what is missing, in as many turns as it takes. */
  async run(): Promise<{ sha256: string; length: number }> {
    for (;;) {
      this.reporter.is('paused');
      if (!this.turn && !this.ended) await new Promise<void>((resolve) => (this.begin = resolve));
      if (this.ended) throw this.ended.thrown;
      const turn = this.turn as Turn;
      try {
        const whole = await this.parts.transfer.run(AbortSignal.any([turn.signal, this.stop.signal]));
        this.over = true;
        return whole;
      } catch (thrown) {
        if (this.ended) throw (this.ended as { thrown: unknown }).thrown;
        if (thrown instanceof Changed) throw this.changed(thrown);
        // It may have been asked to go on before this turn was over.
        if (this.turn === turn) this.turn = undefined;
        turn.fail(thrown);
      }
    }
  }

  /** Goes on with the rest, until `signal` pauses it; rejects when it does not get to the end. */
  goOn(signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      // One that was paused before it was begun.
      this.turn?.fail(new RullamaError('cancelled', 'The download was paused.'));
      this.turn = { signal, fail: reject };
      this.begin();
    });
  }

  /** Ends it: nothing is read or fetched any more. */
  end(thrown: unknown): void {
    this.ended ??= { thrown };
    this.stop.abort();
    this.begin();
  }

  /** Reads what is stored; false where not all of it is. */
  readStored(at: number, into: Uint8Array): boolean {
    const { file, pieces } = this.parts;
    if (this.ended || this.over || !pieces.has(at, at + into.length)) return false;
    const got = file.read(into, { at });
    if (got !== into.length) throw new DOMException(`the stored file gave ${got} bytes of ${into.length} at ${at}`, 'NotReadableError');
    return true;
  }

  /**
   * Fetches what is not stored.
   *
   * @throws RullamaError `network`, or `source-changed`, after which nothing can be read.
   */
  async fetchRow(at: number, length: number): Promise<Uint8Array> {
    if (length > MOST) throw new RullamaError('internal', `${this.asking.url}: ${length} bytes at ${at} were wanted before they have arrived.`);
    while (this.fetching >= AT_A_TIME) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.fetching++;
    try {
      return await this.attempts({ at, end: at + length });
    } finally {
      this.fetching--;
      this.waiting.shift()?.();
    }
  }

  private async attempts(span: { at: number; end: number }): Promise<Uint8Array> {
    const { host, url } = this.asking;
    const asking: Asking = { ...this.asking, signal: this.stop.signal, priority: 'high' };
    for (let failures = 1; ; failures++) {
      if (this.ended) throw this.ended.thrown;
      try {
        return await this.once(span, asking);
      } catch (thrown) {
        if (this.ended) throw (this.ended as { thrown: unknown }).thrown;
        if (thrown instanceof Changed) throw this.changed(thrown);
        if (!(thrown instanceof Retry)) throw thrown;
        if (failures >= ATTEMPTS || !host.online()) {
          const why = host.online() ? thrown.reason : 'there is no network';
          throw new RullamaError('network', `${url}: a row of the per-layer table that is not stored yet cannot be fetched (${why}).`, {
            remedy: 'Check the connection and ask again, or wait until all of the model is stored.',
          });
        }
        await host.sleep(backoff(failures), asking.signal);
      }
    }
  }

  private async once(span: { at: number; end: number }, asking: Asking): Promise<Uint8Array> {
    const body = new Body(await requestPart(asking, span, this.parts.remote), asking);
    const row = new Uint8Array(span.end - span.at);
    let got = 0;
    try {
      for (let chunk = await body.next(); chunk; chunk = await body.next()) {
        if (chunk.length > row.length - got) throw new Changed('more came than was asked for');
        row.set(chunk, got);
        got += chunk.length;
      }
    } catch (thrown) {
      void body.cancel();
      throw thrown;
    }
    if (got < row.length) throw new Retry('the connection closed early');
    return row;
  }

  /** The server has another file: what is loaded and what would be read belong to two. */
  private changed({ what }: Changed): RullamaError {
    const error = new RullamaError('source-changed', `${this.asking.url} changed on the server while the model answered, before all of it was stored: ${what}.`, {
      remedy: 'Load the model again: it is fetched anew.',
    });
    this.end(error);
    return error;
  }
}
