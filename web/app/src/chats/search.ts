// Search over the text of all conversations, on the messages as they are kept.

import { wordsOf as spoken } from '../media/records.ts';
import type { Library } from './library.ts';
import { excerpt, folded, has, wordsOf } from './words.ts';

/** What was found in a conversation: the place, or nothing where it is the title. */
export type Hits = Map<string, string>;

/** Looks for conversations in which one message, or the title, has all words; `found` is called as they are found. */
export async function search(library: Library, text: string, signal: AbortSignal, found: (hits: Hits) => void): Promise<void> {
  const words = wordsOf(text);
  const hits: Hits = new Map();
  if (words.length === 0) return;
  for (const { id, title } of library.chats.values()) if (has(folded(title), words)) hits.set(id, '');
  found(hits);
  for await (const batch of library.allMessages()) {
    if (signal.aborted) return;
    const before = hits.size;
    for (const { chat, content: written, media = [] } of batch) {
      const content = [written, ...media.map(spoken)].join('\n');
      if (hits.has(chat) || !library.chats.has(chat) || !has(folded(content), words)) continue;
      hits.set(chat, excerpt(content, words));
    }
    if (hits.size > before) found(hits);
  }
}
