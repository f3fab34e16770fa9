// The copies of downloaded models in the browser's private storage: what is there, and making room.

import type { StoredFolder } from './download/host.ts';
import { FOLDER, lockName } from './download/names.ts';
import { bytesIn, journalName, readJournal, readRecord, recordName } from './download/record.ts';
import { RullamaError } from './errors.ts';


export interface StoredModel {
  /** Its file in the folder, by which it is removed. */
  name: string;
  /** Bytes that are stored. */
  bytes: number;
  /** Where it came from; absent where its record is damaged: it is then downloaded anew. */
  url?: string;
  /** Bytes of the whole file, where they are known. */
  total?: number;
  /** Whether all of it is there; downloading or loading the address goes on with what is not. */
  complete: boolean;
  /** Whether a tab downloads it now. */
  downloading: boolean;
  /** Of a whole file: its SHA-256, and whether that was asked for or published; absent for what the engine stored by itself. */
  sha256?: string;
  verified?: boolean;
  /** The SHA-256 that the stored bytes should have and the one that they have: downloading it starts again. */
  wrong?: { expected: string; got: string };
}

/** Models that were stored by earlier loads, unfinished downloads included. */
export async function storedModels(): Promise<StoredModel[]> {
  const folder = await openFolder();
  if (!folder) return [];
  const held = await heldLocks();
  const models: StoredModel[] = [];
  for await (const [name, entry] of folder.entries()) {
    if (!name.endsWith('.gguf') || entry.kind !== 'file') continue;
    const size = await (entry as FileSystemFileHandle).getFile().then(({ size }) => size, () => undefined);
    // It was removed meanwhile.
    if (size === undefined) continue;
    models.push({ name, downloading: held.has(lockName(name)), ...(await described(folder as unknown as StoredFolder, name, size)) });
  }
  return models;
}

async function heldLocks(): Promise<Set<string | undefined>> {
  const { held = [] } = (await globalThis.navigator?.locks?.query().catch(() => undefined)) ?? {};
  return new Set(held.map(({ name }) => name));
}

/** What stands beside a copy: its record, and the journal of an unfinished one, whose file has its whole length from the beginning. */
async function described(folder: StoredFolder, name: string, size: number): Promise<Omit<StoredModel, 'name' | 'downloading'>> {
  const record = await readRecord(folder, name);
  const { url, len, sha256, verified } = record;
  const journalled = await readJournal(folder, name, record);
  const journal = journalled?.head.len === size ? journalled : undefined;
  const complete = record.complete && len === size;
  return {
    bytes: journal ? bytesIn(journal) : record.journal !== undefined && !complete ? 0 : size,
    complete,
    ...(len !== null && { total: len }),
    ...(url !== '' && { url }),
    ...(complete && sha256 !== undefined && { sha256, verified: verified === true }),
    ...(journal?.wrong !== undefined && journal.head.sha256 !== null && { wrong: { expected: journal.head.sha256, got: journal.wrong } }),
  };
}

/**
 * Removes one stored model by its name in `storedModels`; one that is not there is no error.
 *
 * @throws RullamaError `quota` while a tab uses it: nothing of it is removed.
 */
export async function removeStoredModel(name: string): Promise<void> {
  const folder = await openFolder();
  if (!folder) return;
  // The copy goes first: without its record it would count as a download that was never finished.
  for (const entry of [name, journalName(name), recordName(name)]) {
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
