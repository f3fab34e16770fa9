// Threads that read a model's file beside the engine's while it is loaded, and rearrange its rows for the GPU: the engine's end.
//
// Nothing depends on them. Rows that none of them has in time, or could not read, are read by the engine, which says what is wrong.

import type { FileAt, FromReader, ToReader } from './reader.ts';

/** The threads as the engine's source has them. */
export interface Readers {
  /** Threads that can be asked now. */
  readonly count: number;
  /** What `rearrangeRows` makes of rows; nothing where it cannot be had. */
  rearrange(rows: Float64Array): Promise<Uint8Array | undefined>;
  /** Takes memory back, which the next rows are put into. */
  giveBack(bytes: Uint8Array): void;
}

/** Readers of a file of so many bytes; none where they are not worth it or cannot be had. */
export type ReadersOf = (at: FileAt, bytes: number) => Readers | undefined;

/** A thread that was started. */
export interface ReaderThread {
  post(message: ToReader, transfer: ArrayBuffer[]): void;
  /** Whether a program may end although the thread is there. */
  rest(resting: boolean): void;
  end(): void;
}

/** Starts a thread with the engine's module; `broken` tells that it cannot be had, or not any more. */
export type StartReader = (told: (message: FromReader) => void, broken: () => void) => ReaderThread;

/** Files of fewer bytes are read before a thread is there. */
const LEAST = 64 << 20;
/** Threads where nobody says how many, and at most: more wait for the engine's, which alone writes to the GPU. */
const USUAL = 2;
const MOST = 4;
/** Cores that the engine and the browser's GPU process keep busy. */
const TAKEN = 2;
/** Milliseconds without rows after which they end. */
const IDLE = 10_000;

interface Thread {
  thread: ReaderThread;
  ready: boolean;
  jobs: Map<number, (bytes: Uint8Array | undefined) => void>;
}

export class ReaderPool {
  /** The engine, compiled, which the threads share. */
  module: WebAssembly.Module | undefined;
  private threads: Thread[] = [];
  private readonly spare: Uint8Array[] = [];
  private broken = false;
  private last = 0;
  private idle: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly start: StartReader,
    private readonly cores: number,
  ) {}

  /** Readers of a file. They are asked once they are there, and at once where it was said how many are `wanted`. */
  of(at: FileAt, bytes: number, wanted?: number): Readers | undefined {
    const count = Math.min(MOST, wanted ?? (bytes < LEAST ? 0 : Math.min(USUAL, this.cores - TAKEN)));
    if (this.broken || !this.module || count < 1) return undefined;
    try {
      while (this.threads.length < count) this.grow(this.module, wanted !== undefined);
    } catch {
      this.end(true);
      return undefined;
    }
    this.rest();
    return new FileReaders(this, at, ++this.last);
  }

  get ready(): number {
    return this.threads.filter(({ ready }) => ready).length;
  }

  /** Has rows rearranged by the thread that has the least to do. */
  ask(file: number, at: FileAt, rows: Float64Array): Promise<Uint8Array | undefined> {
    const thread = this.threads.filter(({ ready }) => ready).sort((a, b) => a.jobs.size - b.jobs.size)[0];
    if (!thread) return Promise.resolve(undefined);
    clearTimeout(this.idle);
    const job = ++this.last;
    const spare = this.spare.pop();
    return new Promise((resolve) => {
      thread.jobs.set(job, resolve);
      thread.thread.rest(false);
      try {
        thread.thread.post({ job, file, at, rows, ...(spare && { spare }) }, spare ? [spare.buffer as ArrayBuffer] : []);
      } catch {
        // What cannot travel, such as a `Blob` of another kind.
        this.settle(thread, job, undefined);
      }
    });
  }

  giveBack(bytes: Uint8Array): void {
    this.spare.push(new Uint8Array(bytes.buffer));
  }

  /** Ends all threads; `broken` says that none is to be started again. */
  end(broken = false): void {
    this.broken ||= broken;
    clearTimeout(this.idle);
    const threads = this.threads.splice(0);
    this.spare.length = 0;
    for (const { thread, jobs } of threads) {
      thread.end();
      for (const resolve of jobs.values()) resolve(undefined);
    }
  }

  private grow(module: WebAssembly.Module, ready: boolean): void {
    const jobs: Thread['jobs'] = new Map();
    const told = (message: FromReader) => {
      if ('ready' in message) grown.ready = true;
      else this.settle(grown, message.job, message.bytes);
    };
    const grown: Thread = { ready, jobs, thread: this.start(told, () => this.threads.includes(grown) && this.end(true)) };
    this.threads.push(grown);
    grown.thread.rest(true);
    grown.thread.post({ module }, []);
  }

  private settle(thread: Thread, job: number, bytes: Uint8Array | undefined): void {
    thread.jobs.get(job)?.(bytes);
    thread.jobs.delete(job);
    if (thread.jobs.size === 0) thread.thread.rest(true);
    if (this.threads.every(({ jobs }) => jobs.size === 0)) this.rest();
  }

  private rest(): void {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.end(), IDLE);
    // In Node it would keep the program from ending.
    (this.idle as { unref?: () => void }).unref?.();
  }
}

class FileReaders implements Readers {
  private failed = false;

  constructor(
    private readonly pool: ReaderPool,
    private readonly at: FileAt,
    private readonly file: number,
  ) {}

  get count(): number {
    return this.failed ? 0 : this.pool.ready;
  }

  async rearrange(rows: Float64Array): Promise<Uint8Array | undefined> {
    const bytes = await this.pool.ask(this.file, this.at, rows);
    // A file that they cannot open is not tried for each of its pieces.
    this.failed ||= bytes === undefined;
    return bytes;
  }

  giveBack(bytes: Uint8Array): void {
    this.pool.giveBack(bytes);
  }
}
