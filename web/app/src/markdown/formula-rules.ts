// Where formulas are: `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` set apart. What is in them is TeX and no Markdown.
//
// A dollar is a formula's only where pandoc would take it for one, and never before an amount of money.

import type { StateBlock, StateInline } from 'markdown-it';

/** Longest formula in a line of text, in characters, and longest block, in lines. */
const MAX_SPAN = 2000;
const MAX_LINES = 100;

/** "20 for the", the start of what lies between two amounts of money. */
const AMOUNT = /^\d[\d.,]*\p{P}?\s+\p{L}{2,}/u;

interface Span {
  open: string;
  close: string;
  display: boolean;
}

const SPANS: readonly Span[] = [
  { open: '$$', close: '$$', display: true },
  { open: '$', close: '$', display: false },
  { open: '\\(', close: '\\)', display: false },
  { open: '\\[', close: '\\]', display: true },
];
const BLOCKS = SPANS.filter((span) => span.display);

/** The kind of formula that may begin at a place. */
export function opening(text: string, at: number): Span | undefined {
  const first = text.charCodeAt(at);
  if (first !== 0x24 && first !== 0x5c) return undefined;
  const span = SPANS.find(({ open }) => text.startsWith(open, at));
  if (span?.open !== '$') return span;
  const before = text.charAt(at - 1);
  const after = text.charAt(at + 1);
  return /[\p{L}\p{N}$]/u.test(before) || after === '' || /\s/.test(after) ? undefined : span;
}

/** Where the formula that begins at `at` is closed: the place of its closing mark, or -1. */
export function closing(text: string, at: number, { open, close }: Span): number {
  const from = at + open.length;
  const end = next(marksOf(text).get(close) ?? [], open === '$' ? from + 1 : from);
  if (end === undefined || end - from > MAX_SPAN) return -1;
  const content = text.slice(from, end);
  return content.trim() === '' || (open === '$' && AMOUNT.test(content)) ? -1 : end;
}

/** The closing marks of the text that was last asked about: every opening mark asks. */
let marks: { text: string; places: Map<string, number[]> } = { text: '', places: new Map() };

function marksOf(text: string): Map<string, number[]> {
  if (marks.text === text) return marks.places;
  const places = new Map(SPANS.map(({ close }) => [close, [] as number[]]));
  for (const { 0: mark, index } of text.matchAll(/\\[^]|\$/g)) {
    places.get(mark)?.push(index);
    if (mark === '$' && !closesDollar(text, index)) places.get(mark)?.pop();
    if (text.startsWith('$$', index)) places.get('$$')?.push(index);
  }
  marks = { text, places };
  return places;
}

/** The first of ascending numbers that is not less than `least`. */
function next(numbers: readonly number[], least: number): number | undefined {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] as number) < least) low = middle + 1;
    else high = middle;
  }
  return numbers[low];
}

const closesDollar = (text: string, at: number) => !/\s/.test(text.charAt(at - 1)) && !/[\p{L}\p{N}]/u.test(text.charAt(at + 1));

export function formulaSpan(state: StateInline, silent: boolean): boolean {
  const span = opening(state.src, state.pos);
  if (!span) return false;
  const end = closing(state.src, state.pos, span);
  if (end < 0 || end + span.close.length > state.posMax) {
    // Two dollars are not one and another.
    if (span.open !== '$$') return false;
    if (!silent) state.pending += '$$';
    state.pos += 2;
    return true;
  }
  if (!silent) {
    const token = state.push('formula', 'math', 0);
    token.content = state.src.slice(state.pos + span.open.length, end);
    token.markup = span.open;
    token.meta = { display: span.display };
  }
  state.pos = end + span.close.length;
  return true;
}

/** A formula on lines of its own. One that is still being written reaches to the end of the text. */
export function formulaBlock(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const lineText = (line: number) => state.src.slice((state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0), state.eMarks[line]).trimEnd();
  const inside = (line: number) => state.isEmpty(line) || (state.sCount[line] ?? 0) >= state.blkIndent;
  const first = lineText(startLine);
  const span = BLOCKS.find(({ open }) => first.startsWith(open));
  if (!span || (state.sCount[startLine] ?? 0) - state.blkIndent >= 4) return false;
  const { open, close } = span;
  // The state has one line more than the text.
  const last = state.bMarks.length - 1;
  const writing = state.env['writing'] === true && endLine === last && startLine + MAX_LINES >= last;
  const reach = state.src.slice((state.bMarks[startLine] ?? 0) + open.length, state.eMarks[Math.min(startLine + MAX_LINES, endLine - 1)]);
  if (!writing && !reach.includes(close)) return false;
  const rest = first.slice(open.length);
  const lines = [rest];
  let line = startLine;
  while (!lines.at(-1)?.endsWith(close)) {
    // Text behind the closing mark makes it a formula within a paragraph.
    if (lines.at(-1)?.includes(close)) return false;
    line++;
    if (line >= endLine || !inside(line) || line - startLine > MAX_LINES) break;
    lines.push(lineText(line));
  }
  const closed = lines.at(-1)?.endsWith(close) === true;
  if (!closed && !(writing && line >= last)) return false;
  const text = lines.join('\n');
  const content = closed ? text.slice(0, -close.length) : text;
  if (closed && (content.trim() === '' || content.includes(close))) return false;
  if (silent) return true;
  state.line = closed ? line + 1 : endLine;
  const token = state.push('formula_block', 'math', 0);
  Object.assign(token, { block: true, content, markup: open, map: [startLine, state.line], meta: { display: true, open: !closed } });
  return true;
}
