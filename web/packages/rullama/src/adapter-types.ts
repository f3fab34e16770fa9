// What adapters are read from, and how they are attached.

import type { Adapter } from './adapters.ts';

/** A file of an adapter: picked, fetched, or made by `tuner.save`. */
export type AdapterFile = Blob | { name: string; bytes: Uint8Array<ArrayBuffer> | ArrayBuffer };

/** An adapter's file or files; texts are addresses. Of PEFT's form both files, in any order. */
export type AdapterSource = string | URL | AdapterFile | (string | URL | AdapterFile)[];

/** An adapter to attach, and the factor on its scale, 1 by default. Several add up. */
export interface Attached {
  adapter: Adapter;
  scale?: number;
}
