// Which pieces of a file are stored, and which part of the rest a connection takes next.

/** Bytes of a piece, the last one of a file apart: what a crash can lose of a connection's work. */
export const PIECE = 4 << 20;
/** Bytes that a connection takes at a time, so that servers answer few requests and the connections end together. */
const SPAN = 32 << 20;

/** Bytes of a file from `at` to before `end`. */
export interface Span {
  at: number;
  end: number;
}

export class Pieces {
  readonly count: number;
  private readonly stored: Uint8Array;
  private readonly taken: Uint8Array;
  /** Pieces stored without a gap from the beginning. */
  private front = 0;
  private bytes = 0;
  /** Pieces that others come before, from the first to before the last. */
  private later = { first: 0, last: 0 };

  constructor(
    readonly length: number,
    stored: Iterable<number> = [],
  ) {
    this.count = Math.ceil(length / PIECE);
    this.stored = new Uint8Array(this.count);
    this.taken = new Uint8Array(this.count);
    for (const piece of stored) this.add(piece);
  }

  /** Marks a piece as stored; others than the file's are no pieces. */
  add(piece: number): void {
    if (this.stored[piece] !== 0) return;
    this.stored[piece] = 1;
    this.taken[piece] = 1;
    this.bytes += this.size(piece);
    while (this.stored[this.front] === 1) this.front++;
  }

  size(piece: number): number {
    return Math.min(PIECE, this.length - piece * PIECE);
  }

  /** Bytes in stored pieces. */
  get done(): number {
    return this.bytes;
  }

  get complete(): boolean {
    return this.front === this.count;
  }

  /** Bytes stored without a gap from the beginning. */
  get contiguous(): number {
    return Math.min(this.front * PIECE, this.length);
  }

  /** Pieces that lie whole within these bytes are fetched after all others. */
  setLater(start: number, end: number): void {
    const last = end >= this.length ? this.count : Math.floor(end / PIECE);
    const first = Math.min(Math.ceil(start / PIECE), last);
    this.later = { first, last };
  }

  /** Whether all is stored that does not come last. */
  get begun(): boolean {
    return this.without(this.stored, 0, this.later.first) < 0 && this.without(this.stored, this.later.last, this.count) < 0;
  }

  /** Whether bytes are stored. */
  has(at: number, end: number): boolean {
    return this.without(this.stored, Math.floor(at / PIECE), Math.ceil(end / PIECE)) < 0;
  }

  /** Bytes of the pieces that do not come last. */
  get first(): number {
    const { first, last } = this.later;
    return this.length - Math.max(0, Math.min(last * PIECE, this.length) - first * PIECE);
  }

  /** The next bytes that nobody fetches yet, for one of `lanes` connections; nothing where all are taken, or all but what comes last. */
  take(lanes: number, last = true): Span | undefined {
    const { later } = this;
    let [first, limit] = [this.without(this.taken, 0, later.first), later.first];
    if (first < 0) [first, limit] = [this.without(this.taken, later.last, this.count), this.count];
    if (first < 0 && last) [first, limit] = [this.without(this.taken, later.first, later.last), later.last];
    if (first < 0) return undefined;
    // A small file is shared out, too.
    const most = Math.max(1, Math.min(SPAN / PIECE, Math.ceil(this.count / lanes)));
    let end = first;
    while (end < limit && end - first < most && this.taken[end] === 0) this.taken[end++] = 1;
    return { at: first * PIECE, end: Math.min(end * PIECE, this.length) };
  }

  /** Leaves of bytes that were taken before it was known what comes last. */
  shorten(span: Span): void {
    const end = this.later.first * PIECE;
    if (this.later.first >= this.later.last || span.at >= end || span.end <= end) return;
    this.giveBack({ at: end, end: span.end });
    span.end = end;
  }

  /** Lets another connection take what one has not fetched of its bytes. */
  giveBack(span: Span): void {
    for (let piece = Math.floor(span.at / PIECE); piece * PIECE < span.end; piece++) if (this.stored[piece] === 0) this.taken[piece] = 0;
  }

  /** The first piece of some that has no mark in `marks`; -1 where all have. */
  private without(marks: Uint8Array, from: number, to: number): number {
    const found = marks.subarray(from, to).indexOf(0);
    return found < 0 ? -1 : from + found;
  }
}
