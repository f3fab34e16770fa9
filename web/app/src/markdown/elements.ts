// Elements from the parser's tokens. Text becomes text nodes and nothing else; links are the only addresses.

import { codeFigure } from './code.ts';
import { create } from './create.ts';
import { directionOf } from './direction.ts';
import { formulaElement } from './formula.ts';
import { isLink, MAX_NESTING, type Block, type Token } from './parser.ts';
import { ChatText } from '../texts/en/chat.ts';
import { t } from '../texts/text.ts';

const INLINE: Readonly<Record<string, string>> = { strong_open: 'strong', em_open: 'em', s_open: 's' };
/** Levels of elements in a block. */
const MAX_DEPTH = 2 * MAX_NESTING;
const TASK = /^\[([ xX])\](?:\s+|$)/;
const ALIGNMENT = /text-align:(left|center|right)/;

/** What the elements of an answer need to know about it. */
export interface Options {
  /** More text will follow behind the last block. */
  writing: boolean;
  /** Called when something that had to be loaded changed the size of what is shown. */
  late: () => void;
}

/** The element of a block; nothing for one without content yet. */
export function blockElement(block: Block, source: string, options: Options): HTMLElement | undefined {
  if (block.tokens.some((token) => token.block && token.level >= MAX_NESTING - 1)) return asWritten(source);
  const builder = new Builder(options, source);
  for (const token of block.tokens) builder.add(token);
  return (builder.root.firstElementChild as HTMLElement | null) ?? undefined;
}

/** Text that is nested too deep to be laid out. */
function asWritten(source: string): HTMLElement {
  const element = create('p', 'as-written');
  element.dir = 'auto';
  element.textContent = source.trimEnd();
  return element;
}

class Builder {
  readonly root = document.createDocumentFragment();
  private readonly open: ParentNode[] = [this.root];

  constructor(
    private readonly options: Options,
    private readonly source: string,
  ) {}

  add(token: Token): void {
    if (token.nesting > 0) this.push(containerOf(token));
    else if (token.nesting < 0) this.pop();
    else if (token.type === 'inline') this.inline(token.children ?? []);
    else this.leaf(token);
  }

  private get top(): ParentNode {
    return this.open.at(-1) as ParentNode;
  }

  private push(element: HTMLElement): void {
    // A first paragraph takes the direction of its item, which is where the number or bullet is.
    if (this.top instanceof HTMLLIElement && !this.top.hasChildNodes() && element.matches('p')) element.removeAttribute('dir');
    this.top.append(element);
    this.open.push(element);
  }

  private pop(): void {
    const element = this.open.pop() as HTMLElement;
    if (element.matches('ul, ol, blockquote, table')) {
      const direction = directionOf(element.textContent ?? '');
      if (direction) element.dir = direction;
    }
    if (element.matches('li')) markTask(element);
    if (element.matches('table')) scrolled(element);
    const empty = element.matches('p, h3, h4, h5, h6') && !element.hasChildNodes();
    if (empty && this.options.writing) element.remove();
  }

  private leaf(token: Token): void {
    const { type, content } = token;
    if (type === 'hr') this.top.append(create('hr'));
    else if (type === 'formula_block') this.formulaBlock(token);
    else if (type === 'fence' && token.info.trim() === 'math') this.top.append(formulaElement(content, true, this.options.late));
    else if (type === 'fence' || type === 'code_block') {
      const language = /^[^\s{,:]+/.exec(token.info.trim())?.[0] ?? '';
      this.top.append(codeFigure(content.replace(/\n$/, ''), language, this.options.writing && !isClosed(token, this.source), this.options.late));
    }
  }

  private formulaBlock({ content, meta }: Token): void {
    if (!meta?.['open']) this.top.append(formulaElement(content, true, this.options.late));
    else if (content.includes('\n')) {
      const source = create('pre', 'tex');
      source.dir = 'ltr';
      source.textContent = content.trim();
      this.top.append(source);
    }
  }

  private inline(tokens: readonly Token[]): void {
    for (const token of tokens) {
      // Emphasis within emphasis and so forth: beyond sense it changes nothing more.
      if (token.nesting > 0 && this.open.length > MAX_DEPTH) this.open.push(this.top);
      else if (token.nesting > 0) this.push(token.type === 'link_open' ? linkElement(token) : create((INLINE[token.type] ?? 'span') as 'span'));
      else if (token.nesting < 0) this.open.pop();
      else this.inlineLeaf(token);
    }
  }

  private inlineLeaf(token: Token): void {
    switch (token.type) {
      case 'softbreak':
      case 'hardbreak':
        return this.top.append(create('br'));
      case 'code_inline': {
        const code = create('code');
        code.dir = 'ltr';
        code.textContent = token.content;
        return this.top.append(code);
      }
      case 'formula':
        return this.top.append(formulaElement(token.content, token.meta?.['display'] === true, this.options.late));
      case 'image':
        return this.top.append(imageLink(token, this.open.some((element) => element instanceof HTMLAnchorElement)));
      default:
        if (token.content !== '') this.top.append(token.content);
    }
  }
}

function containerOf(token: Token): HTMLElement {
  // The page's own headings take the first two levels.
  const tag = token.type === 'heading_open' ? `h${Math.min(Number(token.tag.slice(1)) + 2, 6)}` : token.tag;
  const element = create(tag as 'p');
  if (!element.matches('ul, ol, blockquote, table, thead, tbody, tr')) element.dir = 'auto';
  if (token.tag === 'p' && token.hidden) element.className = 'tight';
  const start = token.tag === 'ol' ? token.attrGet('start') : null;
  if (start !== null) element.setAttribute('start', String(start));
  const alignment = ALIGNMENT.exec(String(token.attrGet('style') ?? ''))?.[1];
  if (alignment) element.className = `align-${alignment}`;
  if (token.tag === 'th') element.setAttribute('scope', 'col');
  return element;
}

function linkElement(token: Token): HTMLElement {
  const href = String(token.attrGet('href') ?? '');
  // A place in the text itself leads nowhere on this page.
  if (!isLink(href)) return create('span');
  const link = anchor(href);
  const title = token.attrGet('title');
  if (title) link.title = String(title);
  return link;
}

function anchor(href: string): HTMLAnchorElement {
  const link = create('a');
  return Object.assign(link, { href, target: '_blank', rel: 'noopener noreferrer' });
}

/** The page loads no pictures from elsewhere: where one would be, a link leads to it. */
function imageLink(token: Token, inLink: boolean): HTMLElement {
  const href = String(token.attrGet('src') ?? '');
  const element = isLink(href) && !inLink ? anchor(href) : create('span');
  element.classList.add('image');
  element.textContent = token.content || 'image';
  return element;
}

/** A table wider than the column is scrolled. */
function scrolled(table: HTMLElement): void {
  const frame = create('div', 'table');
  frame.tabIndex = 0;
  frame.dir = table.dir;
  table.replaceWith(frame);
  frame.append(table);
}

/** `[ ]` and `[x]` at the beginning of an item are boxes. */
function markTask(item: HTMLElement): void {
  const first = item.firstElementChild;
  const text = first?.matches('p') ? first.firstChild : null;
  const match = text instanceof Text && TASK.exec(text.data);
  if (!match) return;
  text.data = text.data.slice(match[0].length);
  const box = create('input');
  box.type = 'checkbox';
  box.disabled = true;
  box.toggleAttribute('checked', match[1] !== ' ');
  box.setAttribute('aria-label', match[1] === ' ' ? t(ChatText.toDo) : t(ChatText.doneTask));
  item.classList.add('task');
  first?.prepend(box);
}

/** Whether the closing marks of a code block are there. */
function isClosed(token: Token, source: string): boolean {
  if (token.type === 'code_block') return true;
  const last = source.trimEnd().split('\n').at(-1)?.replace(/^[\s>]*/, '') ?? '';
  const lines = source.trimEnd().includes('\n');
  return lines && last.length >= token.markup.length && last === token.markup.charAt(0).repeat(last.length);
}
