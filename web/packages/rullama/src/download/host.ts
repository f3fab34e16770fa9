// What a download uses of the browser, so that a test can put its own in place.

import { RullamaError } from '../errors.ts';
import { CHANNEL, FOLDER, lockName } from './names.ts';

/** A file of the private storage, opened by one user alone. */
export interface FileAccess {
  read(into: Uint8Array, options: { at: number }): number;
  write(bytes: Uint8Array, options?: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export interface StoredFile {
  getFile(): Promise<Pick<File, 'size' | 'text'>>;
  createSyncAccessHandle(options?: { mode: 'read-only' }): Promise<FileAccess>;
}

export interface StoredFolder {
  getFileHandle(name: string, options?: { create?: boolean }): Promise<StoredFile>;
  removeEntry(name: string): Promise<void>;
}

export interface Host {
  /** The folder of stored models, created where it is missing. */
  folder(): Promise<StoredFolder>;
  fetch(address: string, init: RequestInit): Promise<Response>;
  /** Bytes that may still be stored, where the browser tells. */
  room(): Promise<number | undefined>;
  /** Runs `work` while nobody else has the lock of this name; calls `wait` where somebody has it first. */
  locked<T>(name: string, signal: AbortSignal, wait: () => void, work: () => Promise<T>): Promise<T>;
  online(): boolean;
  /** Resolves when there may be a network again. */
  backOnline(signal: AbortSignal): Promise<void>;
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
  /** Tells the other tabs, and hears from them. */
  tell(name: string, message: unknown): void;
  hear(name: string, receive: (message: unknown) => void): () => void;
}

/** Milliseconds between two looks for a network, and looks before a request is tried all the same. */
const LOOK = 500;
const LOOKS = 20;

/** The browser itself, in a worker. */
export function browserHost(): Host {
  // Opened when it is first used: in Node an open one keeps the program from ending.
  let opened: BroadcastChannel | undefined;
  const channel = () => (opened ??= typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(CHANNEL));
  return {
    folder: openFolder,
    fetch: (address, init) => fetch(address, init),
    room: async () => {
      const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
      return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
    },
    locked,
    online: () => navigator.onLine !== false,
    backOnline,
    sleep,
    tell: (name, message) => channel()?.postMessage({ name, message }),
    hear: (name, receive) => {
      const listener = ({ data }: MessageEvent) => data?.name === name && receive(data.message);
      channel()?.addEventListener('message', listener);
      return () => channel()?.removeEventListener('message', listener);
    },
  };
}

async function openFolder(): Promise<StoredFolder> {
  const refused = (why: string, cause?: unknown) =>
    new RullamaError('quota', `The browser's private storage cannot be used: ${why}.`, {
      remedy: 'Leave the private window, or download the file with the browser and choose it from the disk.',
      cause,
    });
  const handles = globalThis.FileSystemFileHandle?.prototype;
  if (!globalThis.navigator?.storage?.getDirectory || !handles || !('createSyncAccessHandle' in handles)) throw refused('it is not offered here');
  try {
    const root = await navigator.storage.getDirectory();
    return (await root.getDirectoryHandle(FOLDER, { create: true })) as unknown as StoredFolder;
  } catch (cause) {
    throw refused(RullamaError.from(cause).message, cause);
  }
}

/** Browsers without locks have the file's own: it can be opened once. */
async function locked<T>(name: string, signal: AbortSignal, wait: () => void, work: () => Promise<T>): Promise<T> {
  const locks = navigator.locks as LockManager | undefined;
  if (!locks) return work();
  const busy = Symbol();
  const first = await locks.request(lockName(name), { ifAvailable: true }, (lock): Promise<T> | typeof busy => (lock ? work() : busy));
  if (first !== busy) return first as T;
  wait();
  return locks.request(lockName(name), { signal }, work) as Promise<T>;
}

export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    if (signal?.aborted) done();
    else signal?.addEventListener('abort', done);
  });
}

/**
 * Waits until the browser says that there is a network, or for a while: workers are not always told of it, and machines with networks
 * of an unusual kind are told that they have none.
 */
async function backOnline(signal: AbortSignal): Promise<void> {
  for (let looks = 0; looks < LOOKS && !signal.aborted && navigator.onLine === false; looks++) await sleep(LOOK, signal);
}
