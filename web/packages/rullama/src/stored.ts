// The copies of downloaded models in the browser's private storage: what is there, and making room.

import { RullamaError } from './errors.ts';

/** Folder of the origin's private file system; the engine's download writes there. */
const FOLDER = 'rullama-models';

export interface StoredModel {
  name: string;
  bytes: number;
}

/** Models that were stored by earlier loads, unfinished downloads included. */
export async function storedModels(): Promise<StoredModel[]> {
  const folder = await openFolder();
  if (!folder) return [];
  const models: StoredModel[] = [];
  for await (const [name, entry] of folder.entries()) {
    if (!name.endsWith('.gguf') || entry.kind !== 'file') continue;
    models.push({ name, bytes: (await (entry as FileSystemFileHandle).getFile()).size });
  }
  return models;
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
