// The folder that was picked last, in a database of its own: handles cannot be kept as text.

import { openDB } from 'idb';

const STORE = 'folders';
const KEY = 'ollama';
const open = () => openDB('rullama-folders', 1, { upgrade: (db) => void db.createObjectStore(STORE) });

/** The permission API of handles, which Chromium has. */
export interface Permitted extends FileSystemDirectoryHandle {
  queryPermission?(options: { mode: 'read' }): Promise<PermissionState>;
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>;
}

/** Keeps a folder, or forgets it. Where nothing can be kept, it is picked again. */
export async function rememberFolder(handle: FileSystemDirectoryHandle | undefined): Promise<void> {
  try {
    const db = await open();
    if (handle) await db.put(STORE, handle, KEY);
    else await db.delete(STORE, KEY);
    db.close();
  } catch {
    // Storage may be switched off.
  }
}

export async function rememberedFolder(): Promise<Permitted | undefined> {
  try {
    const db = await open();
    const handle = (await db.get(STORE, KEY)) as Permitted | undefined;
    db.close();
    return handle;
  } catch {
    return undefined;
  }
}
