// Fetching what is missing of a file, over several connections, each of which writes at its own place.

import { RullamaError } from '../errors.ts';
import { Hashing, STEP } from './hashing.ts';
import type { FileAccess } from './host.ts';
import { PIECE, type Pieces, type Span } from './pieces.ts';
import { writeAll, type JournalFile } from './record.ts';
import { backoff, Body, Changed, lengthOf, refused, request, requestPart, Retry, stopped, tagOf, type Asking, type Remote } from './remote.ts';
import type { Reporter } from './reporter.ts';
import { tableIn } from './table.ts';

/** Connections at a time: browsers allow six to a server, and the page needs some; fewer beside a model that answers. */
export const LANES = 4;
const LANES_BEHIND = 2;
/** Attempts in a row without a byte before a download fails; whole streams that begin again before one does. */
const ATTEMPTS = 10;
const STREAMS = 4;
/** Milliseconds between two entries in the journal, each of which waits for the disk. */
const COMMIT = 400;
/** Milliseconds between two parts that are hashed beside a model that answers on the same thread. */
const BESIDE = 8;

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
  private hashing: Hashing | undefined;
  /** Pieces that are written and not flushed. */
  private written: number[] = [];
  private committed = 0;
  /** Chunks that came. */
  private chunks = 0;
  private end = false;
  private wake: () => void = () => undefined;
  /** Resolves when it is known what comes last, or will not be. */
  private readonly ordered: Promise<void>;
  private order: (() => void) | undefined;
  private otherwise: (() => unknown) | undefined;
  /** What the first connection fetches. */
  private leading: Span | undefined;

  constructor(
    private readonly target: Target,
    private readonly asking: Asking,
    private readonly reporter: Reporter,
  ) {
    this.ordered = new Promise((resolve) => (this.order = resolve));
  }

  /** Fetches what a chat needs to begin: all but the per-layer table. Throws what `otherwise` gives where there is none. */
  async begin(otherwise?: () => unknown): Promise<void> {
    this.otherwise = otherwise;
    this.lookAtHead();
    await this.fetch(this.asking, LANES, false);
  }

  /**
   * Fetches all that is missing; gives the digest and the length of the whole. What was written is in the journal also when it fails.
   * `behind` is for the rest of what `begin` fetched, while its model answers.
   *
   * @throws RullamaError, or `Changed` where the server has another file now.
   */
  async run(behind?: AbortSignal): Promise<{ sha256: string; length: number }> {
    this.lookAtHead();
    await (behind ? this.fetch({ ...this.asking, signal: behind, priority: 'low' }, LANES_BEHIND, true) : this.fetch(this.asking, LANES, true));
    return { sha256: (this.hashing as Hashing).digest(), length: this.reached };
  }

  private async fetch({ signal, ...rest }: Asking, connections: number, last: boolean): Promise<void> {
    const { file, pieces } = this.target;
    this.hashing ??= await Hashing.of(file);
    this.end = false;
    const lost = new AbortController();
    const stop = () => lost.abort();
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const asking = { ...rest, signal: lost.signal };
    const lanes = pieces ? Array.from({ length: connections }, (_, lane) => this.lane(pieces, asking, lane, last)) : [this.stream(asking)];
    let failure: { thrown: unknown } | undefined;
    const fail = (thrown: unknown) => {
      // The others stop because this one did.
      failure ??= { thrown };
      lost.abort();
    };
    const hashed = this.hash(this.hashing, asking).catch(fail);
    // What came before a silence is not left to it.
    const timer = setInterval(() => this.commit(false, fail), COMMIT);
    try {
      await Promise.all(lanes.map((lane) => lane.catch(fail)));
      this.end = true;
      this.commit(true, fail);
      if (!failure && last) this.reporter.is('checking');
      // What was hashed of a beginning is gone on with.
      if (!last) lost.abort();
      this.wake();
      await hashed;
      stopped(signal);
      if (failure) throw failure.thrown;
    } finally {
      clearInterval(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  /** Learns from the file's description what comes last. */
  private lookAtHead(): void {
    const { file, pieces } = this.target;
    if (!pieces || !this.order) return;
    const read = (into: Uint8Array, at: number) => void file.read(into, { at });
    const table = tableIn(read, pieces.contiguous, pieces.length);
    if (table === undefined) return;
    if (table) pieces.setLater(table.start, table.end);
    if (this.leading) pieces.shorten(this.leading);
    if (this.otherwise && pieces.first === pieces.length) throw this.otherwise();
    this.order();
    this.order = undefined;
  }

  /** Bytes from the beginning that are there without a gap. */
  private get reached(): number {
    return this.target.pieces?.contiguous ?? this.partial.get(this) ?? 0;
  }

  private report(): void {
    let done = this.target.pieces?.done ?? 0;
    for (const bytes of this.partial.values()) done += bytes;
    const { pieces } = this.target;
    if (pieces && pieces.first < pieces.length) this.reporter.first = pieces.first;
    this.reporter.at(done);
  }

  /** Hashes behind the connections, a part at a time so that they are not held up; a model that answers, less still. */
  private async hash(hashing: Hashing, { host, signal, priority }: Asking): Promise<void> {
    const [step, pause] = priority === 'low' ? [STEP / 4, BESIDE] : [STEP, 0];
    while (!signal.aborted) {
      const more = hashing.step(this.reached, step);
      if (!more && this.end) return;
      await (more ? host.sleep(pause) : new Promise<void>((resolve) => (this.wake = resolve)));
    }
  }

  /** The first connection brings the file's description, which the others wait for: it says what comes last. */
  private async lane(pieces: Pieces, asking: Asking, lane: number, last: boolean): Promise<void> {
    const { signal } = asking;
    const given = new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));
    if (lane > 0) await Promise.race([this.ordered, given]);
    const tries: Tries = { failures: 0, seen: 0 };
    for (let span = pieces.take(LANES, last); span; span = pieces.take(LANES, last)) {
      if (lane === 0) this.leading = span;
      try {
        while (span.at < span.end) await this.attempt(() => this.fetchSpan(span as Span, pieces, asking), asking, tries, ATTEMPTS);
      } finally {
        this.partial.delete(span);
        pieces.giveBack(span);
      }
    }
    // What lies in front of it is on its way by another.
    if (lane === 0) this.order?.();
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
    const response = await requestPart(asking, span, this.target.remote);
    const body = new Body(response, asking);
    const { end } = span;
    try {
      for (let chunk = await body.next(); chunk; chunk = await body.next()) {
        if (chunk.length > end - span.at) throw new Changed('more came than was asked for');
        this.store(span, chunk.subarray(0, span.end - span.at), pieces);
        // It was shortened: the rest comes last.
        if (span.at >= span.end && span.end < end) return void body.cancel();
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
      this.lookAtHead();
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
      this.hashing?.reset();
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
