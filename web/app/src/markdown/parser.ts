// The Markdown parser: markdown-it with GitHub's tables and strikethrough, bare links, formulas, and emphasis that knows
// Chinese, Japanese and Korean. Markup in the text is never markup here: it stays text.

import MarkdownIt, { type Env, type StateInline, type Token } from 'markdown-it';
import cjkFriendly from 'markdown-it-cjk-friendly';
import { formulaBlock, formulaSpan } from './formula-rules.ts';
import { withUnfinished, withoutPartialLine, type Unfinished } from './unfinished.ts';

export type { Token };

/** Levels of quotes and lists that are laid out; what lies deeper is shown as it was written. */
export const MAX_NESTING = 40;

export type References = NonNullable<Env['references']>;

/** A block of the uppermost level: its tokens, and where its lines lie in the text. */
export interface Block {
  tokens: Token[];
  start: number;
  end: number;
}

const LINK = /^(?:https?:\/\/|mailto:)/i;
const SCHEME = /^[a-z][a-z0-9+.-]*:/i;
const LINE_BREAK = /<br\s{0,9}\/?>/iy;

/** An address that a link may lead to. */
export const isLink = (href: string) => LINK.test(href);

const md = new MarkdownIt({ html: false, linkify: true, breaks: true, maxNesting: MAX_NESTING }).use(cjkFriendly);
// A file's name (`main.rs`) is no address.
md.linkify.set({ fuzzyLink: false });
// What begins like the name of a web server is an address without its scheme.
md.linkify.add('www.', {
  validate: (text, at, linkify) => linkify.testSchemaAt(`//${text.slice(at, at + 2000)}`, '//', 2),
  normalize: (match) => (match.url = `https://${match.url}`),
});
// Places in the text itself (`#part`) are read, to be shown without their marks; other schemes stay text.
md.validateLink = (url) => isLink(url) || !SCHEME.test(url.trim());
md.normalizeLinkText = (url) => url;
md.block.ruler.before('fence', 'formula', formulaBlock, { alt: ['paragraph', 'reference', 'blockquote', 'list'] });
md.inline.ruler.before('escape', 'formula', formulaSpan);
md.inline.ruler.before('autolink', 'line_break', lineBreak);
withUnfinished(md);

/**
 * The blocks of a text. `writing`: more will follow, so what may still become something else is kept back or closed.
 * `references` are link definitions known from before; those of this text are added.
 */
export function parse(text: string, writing = false, references: References = {}): Block[] {
  const env: Unfinished = { writing, references };
  const tokens = md.parse(writing ? withoutPartialLine(text) : text, env);
  const blocks: Block[] = [];
  const lines = lineStarts(text);
  const offset = (line: number) => lines[line] ?? text.length;
  for (let first = 0, i = 0; i < tokens.length; i++) {
    const { level, nesting } = tokens[i] as Token;
    if (level > 0 || nesting > 0) continue;
    const [start, end] = tokens[first]?.map ?? [0, lines.length];
    blocks.push({ tokens: tokens.slice(first, i + 1), start: offset(start), end: offset(end) });
    first = i + 1;
  }
  return blocks;
}

/** Where the lines begin, as the parser counts them. */
function lineStarts(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\r|\n/g)) starts.push(match.index + match[0].length);
  return starts;
}

function lineBreak(state: StateInline, silent: boolean): boolean {
  LINE_BREAK.lastIndex = state.pos;
  const match = LINE_BREAK.exec(state.src);
  if (!match) return false;
  if (!silent) state.push('hardbreak', 'br', 0);
  state.pos += match[0].length;
  return true;
}
