// Downloads as the page starts them: in a worker of their own each, so that a model that is loaded goes on answering.

import { modelAddress } from './address.ts';
import type { DownloadOptions, DownloadProgress } from './download-types.ts';
import { CHANNEL } from './download/names.ts';
import { RullamaError } from './errors.ts';

/** Milliseconds that a browser which asks the user about persistence is waited for. */
const ASKING = 3000;

/** What a download is asked for. The worker checks the rest. */
export async function downloadRequest(source: string | URL, { sha256, headers }: DownloadOptions) {
  if (source === 'embedded' || !(typeof source === 'string' || source instanceof URL)) {
    throw new RullamaError('invalid-argument', 'Only an address can be downloaded.', { remedy: 'Give it to `Rullama.load` as it is.' });
  }
  return { url: await modelAddress(source, globalThis.document?.baseURI), sha256, headers };
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
