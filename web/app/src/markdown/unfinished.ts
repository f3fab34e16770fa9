// Text that is still being written: its end may still become something else. What cannot be told yet is kept back until it
// can (at most a few hundred characters), emphasis and code that are open are closed, so that shown text stays where it is.

import type { MarkdownIt, Env, StateCore, StateInline, Token } from 'markdown-it';
import { closing, opening } from './formula-rules.ts';

export interface Unfinished extends Env {
  writing: boolean;
  /** The inline tokens at the end of the text, while it is being written. */
  open?: Token[];
}

/** How much of a formula or link is waited for, in characters. */
const PATIENCE = 400;

/** A last line of marks alone, or one that opens a code block. */
const MARKS = /^[\s>]*(?:[-*+]\s+|\d{1,9}[.)]\s+)?(?:[-=*+_~#>|:.`\s]+|[-*+]?\d{1,9}[.)]?\s*|(?:`{3,}|~{3,})[^`]*|\\\[?|\${1,2})$/;

/** The text without a last line that says too little to tell what it will be. */
export function withoutPartialLine(text: string): string {
  const start = text.lastIndexOf('\n') + 1;
  const line = text.slice(start, start + PATIENCE + 1);
  return line.length <= PATIENCE && MARKS.test(line) ? text.slice(0, start) : text;
}

/** Half a formula that begins with a number: letters in it stand alone. */
const NO_WORDS = /^\$(?:\\\p{L}+|\p{L}(?!\p{L})|[^\p{L}\\])*\\?$/u;

/** Ends of a line that are kept back. */
const PARTIAL = [
  // Links and images, up to their closing parenthesis; task boxes.
  /(?<!\\)!?\[(?:[^[\]\n]|\[[^[\]\n]{0,100}\]){0,300}(?:\](?:\((?:[^()\s]|\([^()\s]{0,100}\)){0,400}(?:\([^()\s]{0,100})?(?:\s+"[^"\n]{0,100}"?)?|\[[^\]\n]{0,100})?)?$/,
  // Addresses of links, which stand elsewhere.
  /(?<![^\n])\[[^\]\n]{1,100}\]:\s*\S{0,400}(?:\s+["'(][^\n]{0,100})?$/,
  // Addresses and line breaks in angle brackets.
  /<(?:\/?[A-Za-z][^\s<>]{0,400})?\s?\/?$/,
  // Half an entity, marks that may grow, half an escape.
  /&#?\w{0,31}$/,
  /[*_~`!]+$/,
  /\\$/,
];

/** Adds the rules for unfinished text. */
export function withUnfinished(md: MarkdownIt): void {
  md.core.ruler.before('inline', 'unfinished', keepBack);
  md.inline.ruler.before('backticks', 'open_code', openCode);
  md.inline.ruler2.after('balance_pairs', 'open_emphasis', closeEmphasis);
}

function keepBack(state: StateCore): void {
  const env = state.env as Unfinished;
  if (!env.writing) return;
  const { tokens } = state;
  let last = tokens.length - 1;
  const passed = (token: Token) => token.nesting < 0 || (token.type === 'inline' && token.content === '') || token.type === 'td_open';
  while (last >= 0 && passed(tokens[last] as Token)) last--;
  const token = tokens[last];
  if (token?.type !== 'inline' || !token.children) return;
  // An empty line, or anything else, has ended it.
  const end = lastLine(tokens, last);
  if (state.src.split('\n', end + 2).length > end + 1) return;
  env.open = token.children;
  token.content = kept(token.content, tokens[last - 1]?.type === 'paragraph_open');
}

/** The line behind the block that the token belongs to. */
function lastLine(tokens: readonly Token[], token: number): number {
  let at = token;
  while (at >= 0 && !tokens[at]?.map) at--;
  return tokens[at]?.map?.[1] ?? 0;
}

/** The part of a line or paragraph that can be shown. */
export function kept(text: string, paragraph: boolean): string {
  let shown = text;
  if (paragraph) {
    // Perhaps the head of a table: the next line tells.
    const line = shown.lastIndexOf('\n') + 1;
    if (/^\s*\|/.test(shown.slice(line))) shown = shown.slice(0, line);
  }
  shown = shown.slice(0, openFormula(shown));
  const cut = Math.max(0, shown.length - 2 * PATIENCE);
  let end = shown.slice(cut);
  // What is cut off may uncover another.
  for (const partial of [...PARTIAL, ...PARTIAL]) end = end.replace(partial, '');
  return (shown.slice(0, cut) + end).trimEnd();
}

/** Where a formula begins that is not closed yet; else the text's length. */
function openFormula(text: string): number {
  for (let at = 0; at < text.length; at++) {
    const span = opening(text, at);
    if (span) {
      const end = closing(text, at, span);
      // What follows a dollar tells whether it closes.
      const closed = end >= 0 && (span.open !== '$' || end + 1 < text.length);
      if (!closed && waitsFor(text.slice(at))) return at;
      at = closed ? end + span.close.length - 1 : at + span.open.length - 1;
    } else if (text.charCodeAt(at) === 0x60) {
      at = codeEnd(text, at) - 1;
    } else if (text.charCodeAt(at) === 0x5c) {
      at++;
    } else if (text.charAt(at) === '$' && at + 1 === text.length) {
      return at;
    }
  }
  return text.length;
}

/** Amounts of money are not waited for, once they are seen to be none but amounts. */
const waitsFor = (formula: string) => formula.length <= PATIENCE && (!/^\$\d/.test(formula) || NO_WORDS.test(formula));

/** Where the code ends that begins at `at`: it reaches to the end of the text while its closing marks are not there. */
function codeEnd(text: string, at: number): number {
  const runs = /`+/g;
  runs.lastIndex = at;
  const marks = runs.exec(text)?.[0].length;
  for (let run = runs.exec(text); run; run = runs.exec(text)) if (run[0].length === marks) return runs.lastIndex;
  return text.length;
}

/** Code whose end is not written yet reaches to the end. */
function openCode(state: StateInline, silent: boolean): boolean {
  const { src, pos, tokens, env } = state;
  if (silent || tokens !== (env as Unfinished).open || src.charAt(pos) !== '`') return false;
  const content = src.slice(pos).replace(/^`+\s*/, '').replaceAll('\n', ' ');
  if (content === '' || codeEnd(src, pos) < src.length || content.endsWith('`')) return false;
  state.push('code_inline', 'code', 0).content = content;
  state.pos = src.length;
  return true;
}

/** Closes at the end of the text what emphasis is open there. */
function closeEmphasis(state: StateInline): void {
  if (state.tokens !== (state.env as Unfinished).open) return;
  const { delimiters } = state;
  const open = [];
  let reach = -1;
  for (const [i, delimiter] of delimiters.entries()) {
    if (delimiter.end >= 0) reach = Math.max(reach, delimiter.end);
    else if (delimiter.open && i > reach) open.push(delimiter);
  }
  for (const opener of open.reverse()) {
    state.push('text', '', 0);
    const { marker } = opener;
    opener.end = delimiters.push({ marker, length: 0, token: state.tokens.length - 1, end: -1, open: false, close: true }) - 1;
  }
}
