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

  /** The next bytes that nobody fetches yet, for one of `lanes` connections; nothing where all are taken. */
  take(lanes: number): Span | undefined {
    const first = this.taken.indexOf(0);
    if (first < 0) return undefined;
    // A small file is shared out, too.
    const most = Math.max(1, Math.min(SPAN / PIECE, Math.ceil(this.count / lanes)));
    let end = first;
    while (end < this.count && end - first < most && this.taken[end] === 0) this.taken[end++] = 1;
    return { at: first * PIECE, end: Math.min(end * PIECE, this.length) };
  }
}
