// What the model has read of recent conversations, as files in the browser's private storage: one a conversation. What is damaged counts
// as not there, since it can be computed again.

const FOLDER = 'rullama-keys';
const ENDING = '.keys';
const MAGIC = 'RULLAMAK';
/** Before the description: what it is, and the length of it. */
const START = 12;
const MOST_DESCRIPTION = 1 << 20;
/** Bytes that are written at once: between two of them a question may come. */
const PIECE = 4 << 20;
const CHAT = /^[\w-]{1,64}$/;

/** What kept keys belong to, and what they save. */
export interface Description {
  chat: string;
  /** The model and its type of caches. */
  model: string;
  /** What the model was told apart from the messages, and the adapters that it answered with. */
  told: string;
  /** The messages that it has read, by name. */
  path: string[];
  tokens: number;
}

/** A file of them. */
export interface KeptFile {
  chat: string;
  bytes: number;
  /** Milliseconds since 1970. */
  written: number;
}

/** Whether this browser can keep them. */
export const canKeep = (): boolean => typeof FileSystemFileHandle !== 'undefined' && 'createWritable' in FileSystemFileHandle.prototype && Boolean(navigator.storage?.getDirectory);

async function folder(create = false): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create });
  } catch {
    return undefined;
  }
}

/** All that is kept, oldest first. */
export async function keptFiles(): Promise<KeptFile[]> {
  const found: KeptFile[] = [];
  try {
    for await (const [name, entry] of (await folder())?.entries() ?? []) {
      if (entry.kind !== 'file' || !name.endsWith(ENDING)) continue;
      const { size, lastModified } = await (entry as FileSystemFileHandle).getFile();
      found.push({ chat: name.slice(0, -ENDING.length), bytes: size, written: lastModified });
    }
  } catch {
    // A file that went meanwhile; the others are counted the next time.
  }
  return found.sort((a, b) => a.written - b.written);
}

/** What is kept of a conversation: its description, and what reads the rest. */
export async function openKept(chat: string): Promise<{ description: Description; bytes: number; read: () => Promise<Uint8Array<ArrayBuffer>> } | undefined> {
  try {
    const handle = await (await folder())?.getFileHandle(chat + ENDING);
    const file = await handle?.getFile();
    if (!file) return undefined;
    const start = new DataView(await file.slice(0, START).arrayBuffer());
    const magic = new TextDecoder().decode(start.buffer.slice(0, MAGIC.length));
    const length = start.getUint32(MAGIC.length, true);
    if (magic !== MAGIC || length > MOST_DESCRIPTION) return undefined;
    const description = JSON.parse(await file.slice(START, START + length).text()) as Description;
    const { path, tokens } = description;
    if (description.chat !== chat || !Array.isArray(path) || !(tokens > 0)) return undefined;
    const rest = file.slice(START + length);
    return { description, bytes: rest.size, read: async () => new Uint8Array(await rest.arrayBuffer()) };
  } catch {
    return undefined;
  }
}

/**
 * Keeps keys in place of those that were kept of the conversation before; they are there as a whole, or as they were.
 *
 * @throws where there is no room, or `signal` stops it.
 */
export async function keep(description: Description, bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
  const into = CHAT.test(description.chat) ? await folder(true) : undefined;
  if (!into) return;
  const text = new TextEncoder().encode(JSON.stringify(description));
  const start = new Uint8Array(START);
  start.set(new TextEncoder().encode(MAGIC));
  new DataView(start.buffer).setUint32(MAGIC.length, text.length, true);
  const handle = await into.getFileHandle(description.chat + ENDING, { create: true });
  const out = await handle.createWritable();
  try {
    await out.write(start);
    await out.write(text);
    for (let at = 0; at < bytes.length; at += PIECE) {
      signal.throwIfAborted();
      await out.write(bytes.subarray(at, at + PIECE));
    }
    signal.throwIfAborted();
    await out.close();
  } catch (thrown) {
    await out.abort().catch(() => undefined);
    const { size } = await handle.getFile();
    if (size === 0) await forget(description.chat);
    throw thrown;
  }
}

export async function forget(chat: string): Promise<void> {
  await (await folder())?.removeEntry(chat + ENDING).catch(() => undefined);
}

/** Deletes all of them. */
export async function forgetAll(): Promise<void> {
  try {
    await (await navigator.storage.getDirectory()).removeEntry(FOLDER, { recursive: true });
  } catch {
    // There is none, or another tab writes in it: its next look finds what is left.
  }
}
