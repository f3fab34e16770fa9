// A conversation in a link: its data stands behind the `#` of the page's address, which no browser sends to a server.

import type { Library } from './library.ts';
import { Refusal } from './checked.ts';
import { toJson } from './export.ts';
import { readChats } from './import.ts';
import type { ChatRecord, MessageRecord } from './records.ts';
import { Tree } from './tree.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';

/** Characters that most programs take for a link. */
const MOST = 32_000;
/** Bytes that a link may unfold to. */
const UNFOLDED = 4 * 2 ** 20;

/**
 * What a link holds of a conversation: the version that is shown, without its media and numbers.
 *
 * @throws Refusal for more than a link takes.
 */
export async function linkData(chat: ChatRecord, messages: MessageRecord[]): Promise<string> {
  const tree = new Tree(messages);
  const path = tree.path(tree.get(chat.leaf) ? chat.leaf : tree.latestLeaf());
  const { system } = chat.settings;
  const shown = path.map(({ media: _media, stats: _stats, settings: _settings, ...message }) => message);
  const text = toJson([{ chat: { ...chat, pinned: false, tools: [], settings: system ? { system } : {} }, messages: shown }], []);
  const data = base64(await through(new Blob([text]), new CompressionStream('deflate-raw')));
  if (data.length > MOST) throw new Refusal(t(FilesText.theLinkWouldHave, { length: data.length, most: MOST }));
  return data;
}

/** A conversation of a link, or one that is here already and holds all of it. */
export interface Linked {
  fresh?: { chat: ChatRecord; messages: MessageRecord[] };
  known?: ChatRecord;
}

/** What tells a message from others, whatever its name is here. */
const said = ({ role, created, content }: MessageRecord) => JSON.stringify([role, created, content]);

/**
 * Reads what a link holds. Tools and settings that it asks for are left out, all but the system prompt: they are for whoever keeps it.
 *
 * @throws Refusal for what is no whole conversation.
 */
export async function readLink(data: string, library: Pick<Library, 'chats' | 'messages'>): Promise<Linked> {
  const damaged = () => new Refusal(t(FilesText.theConversationInThis));
  const text = await unfolded(data).catch(() => {
    throw damaged();
  });
  const nothing = { chats: new Map<string, ChatRecord>(), presets: [], messages: () => Promise.resolve([]) };
  const { chats: [fresh] } = await readChats(new File([text], t(FilesText.theLink)), nothing);
  if (!fresh) throw damaged();
  const { id } = (JSON.parse(text) as { chats: { id?: string }[] }).chats[0] ?? {};
  const names = [id, fresh.chat.origin].filter((name) => name !== undefined);
  for (const chat of library.chats.values()) {
    if (!names.includes(chat.id) && !(chat.origin && names.includes(chat.origin))) continue;
    const here = new Set((await library.messages(chat.id)).map(said));
    if (fresh.messages.every((message) => here.has(said(message)))) return { known: chat };
  }
  const { system } = fresh.chat.settings;
  return { fresh: { ...fresh, chat: { ...fresh.chat, pinned: false, tools: [], settings: system ? { system } : {} } } };
}

async function unfolded(data: string): Promise<string> {
  const bytes = Uint8Array.from(atob(data.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
  return new TextDecoder('utf-8', { fatal: true }).decode(await through(new Blob([bytes]), new DecompressionStream('deflate-raw')));
}

async function through(blob: Blob, transform: CompressionStream | DecompressionStream): Promise<Uint8Array<ArrayBuffer>> {
  const parts: BlobPart[] = [];
  let size = 0;
  const reader = blob.stream().pipeThrough(transform).getReader();
  for (let { done, value } = await reader.read(); !done && value; { done, value } = await reader.read()) {
    size += value.byteLength;
    if (size > UNFOLDED) {
      void reader.cancel();
      throw new Refusal(t(FilesText.theConversationInThis));
    }
    parts.push(value as Uint8Array<ArrayBuffer>);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Letters that stand in an address as they are. */
function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
