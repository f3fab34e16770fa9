// A file of the disk, read in place. What `fs.openAsBlob` gives is a multiple slower, and wrong beyond 4 GiB in Node 20.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { KeptSource } from './download/keep.ts';
import { RullamaError } from './errors.ts';
import type { Readers, ReadersOf } from './readers/pool.ts';

export class NodeFile implements KeptSource {
  readonly length: number;
  readonly arriving = false;
  private readonly handle: number;
  private readonly changed: number;
  private closed = false;
  private asked: { readers: Readers | undefined } | undefined;

  constructor(
    private readonly path: string,
    private readonly readersOf?: ReadersOf,
  ) {
    this.handle = openSync(path, 'r');
    const { size, mtimeMs } = fstatSync(this.handle);
    this.length = size;
    this.changed = mtimeMs;
  }

  /** Asked for when the engine is there, whose module they share. */
  get readers(): Readers | undefined {
    this.asked ??= { readers: this.readersOf?.({ path: this.path }, this.length) };
    return this.asked.readers;
  }

  read(at: number, into: Uint8Array): undefined {
    if (fstatSync(this.handle).mtimeMs !== this.changed) throw this.another();
    for (let done = 0; done < into.length; ) {
      const got = readSync(this.handle, into, done, into.length - done, at + done);
      if (got === 0) throw this.another();
      done += got;
    }
    return undefined;
  }

  close(): void {
    if (!this.closed) closeSync(this.handle);
    this.closed = true;
  }

  private another(): RullamaError {
    return new RullamaError('source-changed', `${this.path} was written to while it was read.`, { remedy: 'Load it again.' });
  }
}
