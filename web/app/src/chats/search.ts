// Search over the text of all conversations, and of the files beside it, on the messages as they are kept.

import { wordsOf as spoken } from '../media/records.ts';
import type { Library } from './library.ts';
import type { MessageRecord } from './records.ts';
import { excerpt, folded, has, wordsOf } from './words.ts';

/** What was found in a conversation: the place, or nothing where it is the title. */
export type Hits = Map<string, string>;

/** Characters that are looked through at once; the page draws and answers keys before the next ones. */
const AT_ONCE = 2 ** 20;

/** Looks for conversations in which one message, or the title, has all words; `found` is called as they are found. */
export async function search(library: Library, text: string, signal: AbortSignal, found: (hits: Hits) => void): Promise<void> {
  const words = wordsOf(text);
  const hits: Hits = new Map();
  if (words.length === 0) return;
  for (const { id, title } of library.chats.values()) if (has(folded(title), words)) hits.set(id, '');
  found(hits);
  let read = 0;
  for await (const batch of library.allMessages()) {
    const before = hits.size;
    for (const message of batch) {
      if (signal.aborted) return;
      if (hits.has(message.chat) || !library.chats.has(message.chat)) continue;
      const parts = partsOf(message);
      const place = placeIn(parts, words);
      if (place !== undefined) hits.set(message.chat, place);
      read += parts.reduce((sum, { text }) => sum + text.length, 0);
      if (read > AT_ONCE) {
        read = 0;
        await new Promise((resolve) => setTimeout(resolve));
      }
    }
    if (hits.size > before) found(hits);
  }
}

/** A text of a message; `name` is that of its file. */
interface Part {
  name?: string;
  text: string;
}

const partsOf = ({ content, media = [], documents = [] }: MessageRecord): Part[] => [{ text: [content, ...media.map(spoken)].join('\n') }, ...documents];

/** Where the first of the words stands, if the parts together have all of them. */
function placeIn(parts: Part[], words: readonly string[]): string | undefined {
  const all = parts.map(({ name = '', text }) => folded(`${name}\n${text}`));
  if (!words.every((word) => all.some((text) => text.includes(word)))) return undefined;
  const { name, text } = parts[all.findIndex((one) => one.includes(words[0] as string))] as Part;
  return [name, excerpt(text, words)].filter(Boolean).join(': ');
}
