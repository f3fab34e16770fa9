// Downloads as the page starts them: in a worker of their own each, so that a model that is loaded goes on answering.

import { modelAddress } from './address.ts';
import type { Downloaded, DownloadOptions, DownloadProgress } from './download-types.ts';
import { digestOf, fileName, partAddresses, readJournal, readRecord } from './download/record.ts';
import { CHANNEL, type StoredFolder } from './download/host.ts';
import { RullamaError } from './errors.ts';
import type { Client } from './client.ts';
import type { SourceRef } from './protocol.ts';
import { openFolder } from './stored.ts';
import type { EngineOptions, Progress } from './types.ts';

/** Milliseconds that a browser which asks the user about persistence is waited for. */
const ASKING = 3000;

const refusal = (message: string, remedy: string) => new RullamaError('invalid-argument', message, { remedy });

/** What a download is asked for, checked. */
export async function downloadRequest(source: string | URL, { sha256, headers }: DownloadOptions) {
  if (typeof source !== 'string' && !(source instanceof URL)) throw refusal('Only an address can be downloaded.', 'A file is read in place: give it to `Rullama.load`.');
  if (sha256 !== undefined && digestOf(sha256) === undefined) throw refusal('`sha256` is no digest.', 'Give 64 hexadecimal digits.');
  try {
    new Headers(headers);
  } catch (cause) {
    throw new RullamaError('invalid-argument', '`headers` has a name or a value that no header has.', { remedy: 'Give names and values as text.', cause });
  }
  if (source === 'embedded') throw refusal('The embedded model is served beside the page.', 'Load it, or give its address.');
  const url = await modelAddress(source, globalThis.document?.baseURI);
  return { url, sha256, headers };
}

/** Asks that the browser keeps what is stored also when the disk runs short; tells whether it will. */
export async function askPersistence(): Promise<boolean> {
  const storage = globalThis.navigator?.storage as StorageManager | undefined;
  if (!storage?.persist) return false;
  const late = new Promise<boolean>((resolve) => setTimeout(resolve, ASKING, false));
  const asked = storage.persisted().then((persisted) => persisted || storage.persist());
  return Promise.race([asked.catch(() => false), late]);
}

/**
 * Calls `told` with what the tabs of this page's origin tell of downloads: the name as in `storedModels()`, and how far it is, or `null`
 * when a tab has stopped. Gives what ends it.
 */
export function watchDownloads(told: (name: string, progress: DownloadProgress | null) => void): () => void {
  if (typeof BroadcastChannel === 'undefined') return () => undefined;
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = ({ data }: MessageEvent<{ name: string; message: DownloadProgress | null }>) => told(data.name, data.message);
  return () => channel.close();
}

/** Whether a load is to have its file downloaded first: always, or because a download of it was begun and not finished. */
export async function downloadsFirst(source: SourceRef, store: EngineOptions['store']): Promise<boolean> {
  if (!('url' in source) || store === 'never') return false;
  if (store === 'always') return true;
  const folder = (await openFolder()) as unknown as StoredFolder | undefined;
  if (!folder) return false;
  for (const url of partAddresses(source.url) ?? [source.url]) {
    const name = fileName(url);
    const record = await readRecord(folder, name);
    if (record.url === url && (await readJournal(folder, name, record))) return true;
  }
  return false;
}

/** Downloads the file of a load. */
export async function downloadFor(client: Client, url: string, signal: AbortSignal | undefined, onProgress: ((progress: Progress) => void) | undefined): Promise<Downloaded> {
  await askPersistence();
  const onEvent = (download: DownloadProgress) => onProgress?.({ phase: 'download', done: download.done, total: download.total ?? 0, download });
  return client.call('download', { url }, { signal, onEvent });
}
