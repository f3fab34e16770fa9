// The copies of downloaded models in the browser's private storage: what is there, and making room.

import { RullamaError } from './errors.ts';

/** Folder of the origin's private file system; the engine's download writes there. */
const FOLDER = 'rullama-models';

export interface StoredModel {
  /** Its file in the folder, by which it is removed. */
  name: string;
  /** Bytes that are stored. */
  bytes: number;
  /** Where it came from; absent where its record is damaged: it is then downloaded anew. */
  url?: string;
  /** Bytes of the whole file, where they are known. */
  total?: number;
  /** Whether all of it is there; loading the address goes on with what is not. */
  complete: boolean;
}

/** Models that were stored by earlier loads, unfinished downloads included. */
export async function storedModels(): Promise<StoredModel[]> {
  const folder = await openFolder();
  if (!folder) return [];
  const models: StoredModel[] = [];
  for await (const [name, entry] of folder.entries()) {
    if (!name.endsWith('.gguf') || entry.kind !== 'file') continue;
    const { size } = await (entry as FileSystemFileHandle).getFile();
    models.push({ name, bytes: size, ...(await recordOf(folder, name, size)) });
  }
  return models;
}

/** What the download wrote beside a copy. */
async function recordOf(folder: FileSystemDirectoryHandle, name: string, size: number): Promise<Omit<StoredModel, 'name' | 'bytes'>> {
  try {
    const file = await (await folder.getFileHandle(recordName(name))).getFile();
    const { url, len, complete } = JSON.parse(await file.text()) as Record<string, unknown>;
    const total = typeof len === 'number' ? { total: len } : {};
    return { complete: complete === true && len === size, ...total, ...(typeof url === 'string' && url !== '' && { url }) };
  } catch {
    return { complete: false };
  }
}

const recordName = (name: string) => `${name}.json`;

/**
 * Removes one stored model by its name in `storedModels`; one that is not there is no error.
 *
 * @throws RullamaError `quota` while a tab uses it: nothing of it is removed.
 */
export async function removeStoredModel(name: string): Promise<void> {
  const folder = await openFolder();
  if (!folder) return;
  // The copy goes first: without its record it would count as a download that was never finished.
  for (const entry of [name, recordName(name)]) {
    await folder.removeEntry(entry).catch((thrown: DOMException) => {
      if (thrown.name === 'NotFoundError') return;
      if (thrown.name !== 'NoModificationAllowedError' && thrown.name !== 'InvalidModificationError') throw RullamaError.from(thrown);
      throw new RullamaError('quota', `${name} is in use.`, { remedy: 'Close the tabs that have it loaded, then remove it.', cause: thrown });
    });
  }
}

/** Removes all stored models. A model that is in use stays until it is closed, and makes this reject. */
export async function clearStoredModels(): Promise<void> {
  const root = await navigator.storage?.getDirectory?.();
  if (!root || !(await openFolder())) return;
  await root.removeEntry(FOLDER, { recursive: true }).catch((thrown) => {
    throw RullamaError.from(thrown);
  });
}

async function openFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER);
  } catch {
    return undefined; // no private storage here, or nothing stored yet
  }
}
