// What a download of a model is asked for, tells and gives.

import type { RullamaError } from './errors.ts';

/** How a download is to be made. */
export interface DownloadOptions {
  /** Called a few times a second. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Aborting pauses: what has arrived stays, and the same call goes on from there. */
  signal?: AbortSignal;
  /**
   * The file's SHA-256, 64 hexadecimal digits. Without it the one that the address states is used (`.../sha256-...`, as in Ollama's
   * stores), or that which Hugging Face publishes; where there is none, nothing is compared.
   */
  sha256?: string;
  /** Headers for the file's server, such as `Authorization` with a token. They are not kept. */
  headers?: Record<string, string>;
  /** Address of the worker's script, as for `load`. */
  worker?: string | URL;
}

/** What is happening to a download. */
export type DownloadState =
  /** The server is asked what it has. */
  | 'asking'
  /** Another tab downloads the same file; this one follows, and goes on should that one stop. */
  | 'elsewhere'
  | 'downloading'
  /** A connection broke and is tried again. */
  | 'retrying'
  /** The machine has no network; it goes on by itself when there is one. */
  | 'offline'
  /** All is here, and the checksum is computed. */
  | 'checking'
  /** The model that reads it answers, and nothing more is fetched until `resume()`. */
  | 'paused';

/** Why bytes that were stored before are fetched once more, or cannot be continued later. */
export type DownloadNotice =
  /** The file on the server is another one than before. */
  | 'changed'
  /** The stored bytes did not have the right checksum. */
  | 'damaged'
  /** The server sends whole files only: one stream, and from the beginning after a pause. */
  | 'no-ranges'
  /** The server does not say which version of the file it sends, and no checksum is known: from the beginning after a pause. */
  | 'no-version';

export interface DownloadProgress {
  /** The file's address: what a page or a repository of Hugging Face's hub stands for. */
  url: string;
  state: DownloadState;
  /** Bytes that are stored. */
  done: number;
  /** Bytes in all, once the server has told them. */
  total?: number;
  /** Bytes with which a chat can begin, where that is less than all: those of all but the per-layer table. */
  first?: number;
  /** Over the last seconds. */
  bytesPerSecond?: number;
  /** At that speed. */
  secondsLeft?: number;
  /** What is to be known of this download. */
  notice?: DownloadNotice;
  /** Why it is tried again. */
  reason?: string;
}

/** A file that is stored as a whole. */
export interface Downloaded {
  /** Its name in `storedModels()`. */
  name: string;
  /** The address, which `Rullama.load(url, { store: 'always' })` takes. */
  url: string;
  bytes: number;
  /** What the stored bytes have; absent for a copy that an earlier version stored. */
  sha256?: string;
  /** Whether that is what was asked for or published. */
  verified: boolean;
}

/** The rest of a model's file, which is stored while the model answers. */
export interface Rest {
  /** All is stored, and its SHA-256 found right where one is known. Rejects with `closed` or what has made the model unusable. */
  readonly done: Promise<Downloaded>;
  /** Calls `told` with how it stands, now and a few times a second. Gives what ends it. */
  watch(told: (state: RestState) => void): () => void;
  /** Fetches nothing more of the file; rows that answers need are fetched all the same. */
  pause(): void;
  /** Goes on after `pause()` or an error. */
  resume(): void;
}

export interface RestState {
  progress: DownloadProgress;
  /** Why it does not go on by itself; `resume()` tries again. */
  error?: RullamaError;
}
