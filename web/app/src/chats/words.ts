// Words for the list of conversations: titles from first turns, headings of days, what a search finds.

import { ChatText } from '../texts/en/chat.ts';
import { locale, t } from '../texts/text.ts';
/** Longest title that is made, in characters. */
const TITLE = 60;

/** A title from the first message: its first line with words, without Markdown's marks. */
export function titleFrom(text: string): string {
  const lines = text.slice(0, 2000).split('\n').map(plain);
  const line = lines.find((words) => /[\p{L}\p{N}]/u.test(words)) ?? lines.find((words) => words !== '') ?? '';
  return shortened(line) || t(ChatText.newChat);
}

/** The title that a person gave, in one line and of bounded length. */
export const titleOf = (text: string): string => plain(text.slice(0, 2000)).slice(0, 200);

function plain(line: string): string {
  // Marks at the beginning of a line, then controls and what turns the direction of text.
  const words = line.replace(/^[\s>#*+\-`~]+(?=\S)/u, '').replace(/[*`_~]{2,}|`/gu, '');
  return words.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, ' ').replace(/\s+/gu, ' ').trim();
}

function shortened(line: string): string {
  const characters = [...line];
  if (characters.length <= TITLE) return line;
  const cut = characters.slice(0, TITLE).join('');
  const space = cut.lastIndexOf(' ');
  return `${(space > TITLE / 2 ? cut.slice(0, space) : cut).trimEnd()}…`;
}

/** The heading under which a day's conversations stand. */
export function dayOf(time: number, now = Date.now()): string {
  const days = Math.round((midnight(now) - midnight(time)) / 86_400_000);
  if (days <= 0) return t(ChatText.today);
  if (days === 1) return t(ChatText.yesterday);
  const sameYear = new Date(time).getFullYear() === new Date(now).getFullYear();
  const format: Intl.DateTimeFormatOptions = { weekday: 'long', day: 'numeric', month: 'long', ...(!sameYear && { year: 'numeric' }) };
  return new Intl.DateTimeFormat(locale(), format).format(time);
}

const midnight = (time: number) => new Date(time).setHours(0, 0, 0, 0);

/** Text as searches compare it: without case, accents and forms of the same letter. */
export const folded = (text: string): string => text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();

/** Whether all words of a search are in a text. Both are folded. */
export const has = (text: string, words: readonly string[]): boolean => words.every((word) => text.includes(word));

/** The words of a search, folded. */
export const wordsOf = (search: string): string[] => folded(search).split(/\s+/u).filter((word) => word !== '');

/** Characters before and after what was found. */
const AROUND = 40;

/** The place of a text where the first of the words stands, in one line. */
export function excerpt(text: string, words: readonly string[]): string {
  const word = words[0] ?? '';
  // Where folding changes no lengths, as mostly, places are the same in both.
  const same = folded(text);
  let at = same.indexOf(word);
  if (at >= 0 && same.length !== text.length) at = placeIn(text, at);
  if (at < 0) return '';
  const [from, to] = [Math.max(0, at - AROUND), Math.min(text.length, at + word.length + AROUND)];
  const shown = text.slice(from, to).replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/gu, '').replace(/\s+/gu, ' ').trim();
  return `${from > 0 ? '…' : ''}${shown}${to < text.length ? '…' : ''}`;
}

/** The place in a text that stands at `at` in the folded text. */
function placeIn(text: string, at: number): number {
  let place = 0;
  let length = 0;
  for (const character of text) {
    if (length >= at) return place;
    length += folded(character).length;
    place += character.length;
  }
  return place;
}
