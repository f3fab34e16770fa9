// Reading conversations from a file: the page's own, ChatGPT's or Open WebUI's. All of a file is read, or nothing.

import { Checked, LIMITS, Refusal } from './checked.ts';
import { FORMAT } from './export.ts';
import { readChatGpt } from './import-chatgpt.ts';
import { readOpenWebUi } from './import-open-webui.ts';
import { readOwn, readPresets } from './import-own.ts';
import type { Library } from './library.ts';
import { newId, type ChatRecord, type MessageRecord, type Preset } from './records.ts';
import { Tree } from './tree.ts';
import { titleFrom, titleOf } from './words.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';

/** A message of a file, under the name that it has there. */
export type Node = Omit<MessageRecord, 'chat'>;

/** A conversation of a file. Parents stand before what follows them, or are `null`. */
export interface Foreign {
  origin: string;
  chat: Partial<ChatRecord>;
  nodes: Node[];
  /** The last message that was shown. */
  current: string | null;
}

export interface Imported {
  chats: { chat: ChatRecord; messages: MessageRecord[] }[];
  presets: Preset[];
  /** Conversations of the file that are here already. */
  known: number;
  /** What the page cannot keep, and how often it came. */
  leftOut: Map<string, number>;
}

/** Counts what is left out. */
export type LeftOut = Map<string, number>;

export const count = (leftOut: LeftOut, what: string): unknown => leftOut.set(what, (leftOut.get(what) ?? 0) + 1);

/**
 * Reads a file. Conversations that are in the library already, with as many messages, are not read again; all others get names
 * of their own, so that nothing that is kept is overwritten.
 *
 * @throws Refusal that names what is wrong, and where.
 */
export async function readChats(file: File, library: Pick<Library, 'chats' | 'messages' | 'presets'>): Promise<Imported> {
  const { foreign, presets, leftOut } = readText(await textOf(file), file.name);
  const total = foreign.reduce((sum, { nodes }) => sum + nodes.length, 0);
  if (total > LIMITS.allMessages) throw new Refusal(t(FilesText.fileHasTotalMessages, { file: file.name, total, allMessages: LIMITS.allMessages }));
  const here = new Map<string, ChatRecord>();
  for (const chat of library.chats.values()) {
    here.set(chat.id, chat);
    if (chat.origin) here.set(chat.origin, chat);
  }
  const imported: Imported = { chats: [], presets: [], known: 0, leftOut };
  for (const one of foreign) {
    const same = here.get(one.origin) ?? here.get(one.chat.origin ?? '');
    if (same && (await library.messages(same.id)).length >= one.nodes.length) imported.known += 1;
    else if (one.nodes.length > 0) imported.chats.push(build(one));
    else count(leftOut, t(FilesText.emptyConversations));
  }
  const names = new Set(library.presets.map(({ name }) => name));
  imported.presets = presets.filter(({ name }) => !names.has(name));
  return imported;
}

async function textOf(file: File): Promise<string> {
  if (file.size > LIMITS.file) throw new Refusal(t(FilesText.fileHasSizeBytes, { file: file.name, size: file.size, file2: LIMITS.file }));
  const text = await file.text().catch((error: unknown) => {
    throw new Refusal(t(FilesText.fileCannotBeRead, { file: file.name, value: error instanceof Error ? error.message : String(error) }));
  });
  if (text.startsWith('PK\u0003\u0004')) throw new Refusal(t(FilesText.fileIsAZip, { file: file.name }));
  return text.replace(/^\ufeff/, '');
}

/** What a text holds; `name` is the file's. */
export function readText(text: string, name: string): { foreign: Foreign[]; presets: Preset[]; leftOut: LeftOut } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Refusal(t(FilesText.nameIsNotJSON, { name, value: error instanceof Error ? error.message : String(error) }));
  }
  const leftOut: LeftOut = new Map();
  const within = <T>(read: () => T): T => {
    try {
      return read();
    } catch (thrown) {
      throw thrown instanceof Refusal ? new Refusal(t(FilesText.nameIsNotImported, { name, message: thrown.message })) : thrown;
    }
  };
  return within(() => {
    const root = new Checked(value, '');
    if (isObject(value) && value['format'] === FORMAT) return { foreign: readOwn(root), presets: readPresets(root), leftOut };
    const list = Array.isArray(value) ? root.list(LIMITS.chats, t(FilesText.conversations)) : [root];
    const kind = kindOf(list);
    if (kind === 'chatgpt') return { foreign: list.map((chat) => readChatGpt(chat, leftOut)), presets: [], leftOut };
    if (kind === 'open-webui') return { foreign: list.map((chat) => readOpenWebUi(chat, leftOut)), presets: [], leftOut };
    throw new Refusal(t(FilesText.itIsNoneOf));
  });
}

function kindOf(list: Checked[]): 'chatgpt' | 'open-webui' | undefined {
  const first = list.find(({ value }) => isObject(value))?.value as Record<string, unknown> | undefined;
  if (isObject(first?.['mapping'])) return 'chatgpt';
  const chat = isObject(first?.['chat']) ? first['chat'] : first;
  return isObject(chat?.['history']) || (isObject(first?.['chat']) && Array.isArray(chat?.['messages'])) ? 'open-webui' : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Records with names of their own. */
function build({ origin, chat: given, nodes, current }: Foreign): { chat: ChatRecord; messages: MessageRecord[] } {
  const id = newId();
  const names = new Map(nodes.map((node) => [node.id, newId()]));
  const messages = nodes.map((node): MessageRecord => ({ ...node, id: names.get(node.id) as string, parent: names.get(node.parent ?? '') ?? null, chat: id }));
  const tree = new Tree(messages);
  const first = messages.find(({ role }) => role === 'user') ?? messages[0];
  const title = titleOf(given.title ?? '') || titleFrom(first?.content ?? '');
  const created = given.created ?? first?.created ?? Date.now();
  const chat: ChatRecord = {
    id,
    title,
    named: given.named ?? Boolean(given.title),
    pinned: given.pinned ?? false,
    created,
    changed: given.changed ?? Math.max(created, tree.latest),
    leaf: names.get(current ?? '') ?? tree.latestLeaf(),
    settings: given.settings ?? {},
    tools: given.tools ?? [],
    origin: given.origin ?? origin,
  };
  return { chat, messages };
}
