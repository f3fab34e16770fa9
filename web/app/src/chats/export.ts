// Writing conversations: the page's own format, which holds everything, and Markdown, which people read.

import { quoted as quotedFile } from '../media/documents.ts';
import { blobOf, inFile, wordsOf } from '../media/records.ts';
import { Refusal } from './checked.ts';
import { fenced } from './fence.ts';
import type { ChatRecord, MessageRecord, Preset } from './records.ts';
import { Tree } from './tree.ts';
import { CommonText } from '../texts/en/common.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';

export const FORMAT = 'rullama-chats';
/** Raised when readers of the version before would read something wrongly. */
export const VERSION = 1;

/** The page's own format; docs/chats.md describes it. */
export function toJson(chats: { chat: ChatRecord; messages: MessageRecord[] }[], presets: Preset[]): string {
  const written = chats.map(({ chat: { deleted: _deleted, adapters: _adapters, allowed: _allowed, ...chat }, messages }) => ({
    ...chat,
    // The conversation is the one that they stand in.
    messages: messages.toSorted((a, b) => a.created - b.created).map(({ chat: _chat, state, ...message }) => ({ ...message, state: state === 'writing' ? 'cut' : state })),
  }));
  return JSON.stringify({ format: FORMAT, version: VERSION, exported: new Date().toISOString(), chats: written, ...(presets.length > 0 && { presets }) }, null, 1);
}

/** Bytes of media that a file has room for, which as text are a third more. */
const MEDIA_BYTES = 88 * 2 ** 20;

/**
 * Conversations as they stand in a file: the data of media as text.
 *
 * @throws Refusal for more of it than a file that can be read again has room for.
 */
export async function written<C extends { messages: MessageRecord[] }>(chats: C[]): Promise<C[]> {
  const media = chats.flatMap(({ messages }) => messages.flatMap((message) => message.media ?? []));
  const bytes = media.reduce((sum, medium) => sum + blobOf(medium).size, 0);
  if (bytes > MEDIA_BYTES) {
    const remedy = chats.length > 1 ? t(FilesText.exportTheConversationsOne) : t(FilesText.exportItAsMarkdown);
    throw new Refusal(t(FilesText.thePicturesAndSounds, { bytes: Math.ceil(bytes / 2 ** 20), most: MEDIA_BYTES / 2 ** 20, remedy }));
  }
  return Promise.all(chats.map(async (chat) => ({ ...chat, messages: await withData(chat.messages) })));
}

async function withData(messages: MessageRecord[]): Promise<MessageRecord[]> {
  return Promise.all(messages.map(async (message) => {
    const media = message.media && (await Promise.all(message.media.map(inFile)));
    return media ? ({ ...message, media } as unknown as MessageRecord) : message;
  }));
}

const NAMES = { user: t(CommonText.you), model: t(CommonText.model), tool: t(CommonText.tool) };

/** The version that is shown, as a text. */
export function toMarkdown(chat: ChatRecord, messages: MessageRecord[]): string {
  const tree = new Tree(messages);
  const path = tree.path(tree.get(chat.leaf) ? chat.leaf : tree.latestLeaf());
  const system = chat.settings['system'] ?? '';
  const parts = [`# ${chat.title || t(CommonText.chat)}`, new Date(chat.created).toISOString().slice(0, 10)];
  if (system !== '') parts.push(`## ${t(CommonText.systemPrompt)}`, system);
  for (const message of path) {
    const { role, content, media = [], documents = [], thinking, toolCalls = [], model, name, state } = message;
    parts.push(`## ${NAMES[role]}${role === 'model' && model ? ` (${model})` : ''}${name ? ` (${name})` : ''}`);
    if (thinking) parts.push(quoted(`${t(FilesText.thoughts)}\n\n${thinking}`));
    for (const document of documents) parts.push(quotedFile(document));
    for (const medium of media) parts.push(`*(${wordsOf(medium)})*`);
    if (role === 'tool') parts.push(fenced(content, ''));
    else if (content !== '') parts.push(content);
    for (const call of toolCalls) parts.push(fenced(JSON.stringify(call, null, 2), 'json'));
    if (state === 'cut') parts.push(`*(${t(CommonText.cutOffBeforeIts)})*`);
  }
  return `${parts.join('\n\n')}\n`;
}

const quoted = (text: string) => text.split('\n').map((line) => `> ${line}`.trimEnd()).join('\n');
