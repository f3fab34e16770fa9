// Fetching what is missing of a file, over several connections, each of which writes at its own place.

import { RullamaError } from '../errors.ts';
import { Hashing } from './hashing.ts';
import type { FileAccess } from './host.ts';
import { PIECE, type Pieces, type Span } from './pieces.ts';
import { writeAll, type JournalFile } from './record.ts';
import { backoff, Body, Changed, lengthOf, refused, request, Retry, stopped, tagOf, type Asking, type Remote } from './remote.ts';
import type { Reporter } from './reporter.ts';

/** Connections at a time: browsers allow six to a server, and the page needs some. */
export const LANES = 4;
/** Attempts in a row without a byte before a download fails; whole streams that begin again before one does. */
const ATTEMPTS = 10;
const STREAMS = 4;
/** Milliseconds between two entries in the journal, each of which waits for the disk. */
const COMMIT = 400;

/** Failures of one connection since the last byte of any. */
interface Tries {
  failures: number;
  seen: number;
}

export interface Target {
  file: FileAccess;
  remote: Remote;
  /** Where the file comes in pieces. */
  pieces?: Pieces;
  /** Where another visit can go on. */
  journal?: JournalFile;
}

export class Transfer {
  /** Bytes that are written but not in `pieces` yet: of each connection's piece, or of the one stream. */
  private readonly partial = new Map<object, number>();
  private hashing!: Hashing;
  /** Pieces that are written and not flushed. */
  private written: number[] = [];
  private committed = 0;
  /** Chunks that came. */
  private chunks = 0;
  private end = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly target: Target,
    private readonly asking: Asking,
    private readonly reporter: Reporter,
  ) {}

  /**
   * Fetches all that is missing; gives the digest and the length of the whole. What was written is in the journal also when it fails.
   *
   * @throws RullamaError, or `Changed` where the server has another file now.
   */
  async run(): Promise<{ sha256: string; length: number }> {
    const { file, pieces } = this.target;
    this.hashing = await Hashing.of(file);
    const lost = new AbortController();
    const stop = () => lost.abort();
    this.asking.signal.addEventListener('abort', stop);
    if (this.asking.signal.aborted) stop();
    const asking = { ...this.asking, signal: lost.signal };
    const lanes = pieces ? Array.from({ length: LANES }, () => this.lane(pieces, asking)) : [this.stream(asking)];
    let failure: { thrown: unknown } | undefined;
    const fail = (thrown: unknown) => {
      // The others stop because this one did.
      failure ??= { thrown };
      lost.abort();
    };
    const hashed = this.hash(lost.signal).catch(fail);
    // What came before a silence is not left to it.
    const timer = setInterval(() => this.commit(false, fail), COMMIT);
    try {
      await Promise.all(lanes.map((lane) => lane.catch(fail)));
      this.end = true;
      this.commit(true, fail);
      if (!failure) this.reporter.is('checking');
      this.wake();
      await hashed;
      stopped(this.asking.signal);
      if (failure) throw failure.thrown;
      return { sha256: this.hashing.digest(), length: this.reached };
    } finally {
      clearInterval(timer);
      this.asking.signal.removeEventListener('abort', stop);
    }
  }

  /** Bytes from the beginning that are there without a gap. */
  private get reached(): number {
    return this.target.pieces?.contiguous ?? this.partial.get(this) ?? 0;
  }

  private report(): void {
    let done = this.target.pieces?.done ?? 0;
    for (const bytes of this.partial.values()) done += bytes;
    this.reporter.at(done);
  }

  /** Hashes behind the connections, a part at a time so that they are not held up. */
  private async hash(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const more = this.hashing.step(this.reached);
      if (!more && this.end) return;
      await (more ? this.asking.host.sleep(0) : new Promise<void>((resolve) => (this.wake = resolve)));
    }
  }

  private async lane(pieces: Pieces, asking: Asking): Promise<void> {
    const tries: Tries = { failures: 0, seen: 0 };
    for (let span = pieces.take(LANES); span; span = pieces.take(LANES)) {
      while (span.at < span.end) await this.attempt(() => this.fetchSpan(span as Span, pieces, asking), asking, tries, ATTEMPTS);
    }
  }

  /** Tries once; a failure that may pass is waited out. */
  private async attempt(work: () => Promise<void>, asking: Asking, tries: Tries, most: number): Promise<void> {
    const { host, signal, url } = asking;
    stopped(signal);
    try {
      return await work();
    } catch (thrown) {
      stopped(signal);
      if (!(thrown instanceof Retry)) throw thrown;
      if (!host.online()) {
        this.reporter.is('offline');
        return host.backOnline(signal);
      }
      tries.failures = tries.seen === this.chunks || most === STREAMS ? tries.failures + 1 : 1;
      tries.seen = this.chunks;
      if (tries.failures >= most) {
        throw new RullamaError('network', `${url}: the connection failed ${tries.failures} times (${thrown.reason}).`, {
          remedy: this.target.journal ? 'Check the connection and go on: what has arrived is kept.' : 'Check the connection and try again.',
        });
      }
      this.reporter.is('retrying', thrown.reason);
      await host.sleep(Math.max(thrown.wait, backoff(tries.failures)), signal);
    }
  }

  private async fetchSpan(span: Span, pieces: Pieces, asking: Asking): Promise<void> {
    const { remote } = this.target;
    const response = await request(asking, span);
    const drop = () => void response.body?.cancel().catch(() => undefined);
    if (response.status === 416) throw (drop(), new Changed('it became shorter'));
    if (response.status !== 206 && response.status !== 200) throw refused(asking.url, response);
    if (tagOf(response) !== remote.tag) throw (drop(), new Changed('it has a new tag'));
    if (response.status === 200) throw (drop(), new Retry('the server sent the whole file in place of a part'));
    const [, from, length] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
    if (length !== undefined && length !== '*' && Number(length) !== remote.len) throw (drop(), new Changed(`it has ${length} bytes`));
    if (from !== undefined && Number(from) !== span.at) throw (drop(), new Retry(`asked for bytes from ${span.at}, got ${from}`));
    const body = new Body(response, asking);
    try {
      for (let chunk = await body.next(); chunk; chunk = await body.next()) {
        if (chunk.length > span.end - span.at) throw new Changed('more came than was asked for');
        this.store(span, chunk, pieces);
      }
    } catch (thrown) {
      void body.cancel();
      throw thrown;
    }
    if (span.at < span.end) throw new Retry('the connection closed early');
  }

  /** Writes what came for a span and goes on behind it. */
  private store(span: Span, chunk: Uint8Array, pieces: Pieces): void {
    writeAll(this.target.file, chunk, span.at);
    this.chunks++;
    let piece = Math.floor(span.at / PIECE);
    span.at += chunk.length;
    for (; piece * PIECE + pieces.size(piece) <= span.at && piece < pieces.count; piece++) {
      pieces.add(piece);
      this.written.push(piece);
    }
    const rest = span.at - piece * PIECE;
    if (rest > 0 && piece < pieces.count) this.partial.set(span, rest);
    else this.partial.delete(span);
    this.commit(false);
    this.wake();
    this.report();
  }

  /** Flushes what was written, and only then says so in the journal. */
  private commit(now: boolean, failed?: (thrown: unknown) => void): void {
    const time = performance.now();
    if (this.written.length === 0 || (!now && time - this.committed < COMMIT)) return;
    const pieces = this.written;
    this.written = [];
    this.committed = time;
    try {
      this.target.file.flush();
      this.target.journal?.append(pieces.map(String));
    } catch (thrown) {
      if (!failed) throw thrown;
      failed(thrown);
    }
  }

  /** The whole file in one body, from the beginning at every attempt. */
  private async stream(asking: Asking): Promise<void> {
    const { file, remote } = this.target;
    let whole = false;
    const once = async () => {
      this.partial.set(this, 0);
      this.hashing.reset();
      const response = await request(asking, undefined);
      if (response.status !== 200) throw refused(asking.url, response);
      if (tagOf(response) !== remote.tag) {
        void response.body?.cancel().catch(() => undefined);
        throw new Changed('it has a new tag');
      }
      const length = remote.len ?? lengthOf(response);
      this.reporter.total = length;
      const body = new Body(response, asking);
      try {
        for (let chunk = await body.next(); chunk; chunk = await body.next()) this.append(file, chunk, length);
      } catch (thrown) {
        void body.cancel();
        throw thrown;
      }
      if (length !== undefined && (this.partial.get(this) ?? 0) < length) throw new Retry('the connection closed early');
      file.flush();
      whole = true;
    };
    const tries: Tries = { failures: 0, seen: 0 };
    while (!whole) await this.attempt(once, asking, tries, STREAMS);
  }

  private append(file: FileAccess, chunk: Uint8Array, length: number | undefined): void {
    const at = this.partial.get(this) ?? 0;
    if (length !== undefined && at + chunk.length > length) throw new Changed('it became longer');
    writeAll(file, chunk, at);
    this.partial.set(this, at + chunk.length);
    this.wake();
    this.report();
  }
}
