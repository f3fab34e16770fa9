// A small, safe subset of Markdown: paragraphs, headings, lists, quotes, rules, code blocks; bold, emphasis,
// inline code and links. The model's text only ever becomes text nodes, and links only http(s).

export type Block =
  | { kind: 'paragraph' | 'heading' | 'quote'; text: string; level: number }
  | { kind: 'code'; text: string; language: string }
  | { kind: 'list'; ordered: boolean; start: number; items: string[] }
  | { kind: 'rule' };

const FENCE = /^\s{0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const ITEM = /^\s{0,6}(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const RULE = /^\s*(?:-{3,}|\*{3,}|_{3,})\s*$/;
const QUOTE = /^\s*>\s?(.*)$/;

/** Splits text into blocks. An unfinished code block reaches to the end, as it does while it is being written. */
export function parseBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  let paragraph: string[] = [];
  const endParagraph = () => {
    if (paragraph.length > 0) blocks.push({ kind: 'paragraph', text: paragraph.join('\n'), level: 0 });
    paragraph = [];
  };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string;
    const fence = FENCE.exec(line);
    if (fence) {
      endParagraph();
      const end = closingFence(lines, i + 1, fence[1] as string);
      blocks.push({ kind: 'code', text: lines.slice(i + 1, end).join('\n'), language: fence[2] as string });
      i = end;
      continue;
    }
    if (line.trim() === '') {
      endParagraph();
      continue;
    }
    const block = lineBlock(line, blocks.at(-1), paragraph.length > 0, i > 0 && (lines[i - 1] as string).trim() === '');
    if (block === 'joined') continue;
    if (block) {
      endParagraph();
      blocks.push(block);
    } else {
      paragraph.push(line);
    }
  }
  endParagraph();
  return blocks;
}

function closingFence(lines: string[], from: number, fence: string): number {
  for (let i = from; i < lines.length; i++) {
    const line = (lines[i] as string).trim();
    if (line.startsWith(fence) && line.replaceAll(fence.charAt(0), '') === '') return i;
  }
  return lines.length;
}

/** The block that a line starts, `joined` when it went into the block before, nothing for plain text. */
function lineBlock(line: string, last: Block | undefined, inParagraph: boolean, afterBlank: boolean): Block | 'joined' | undefined {
  const heading = HEADING.exec(line);
  if (heading) return { kind: 'heading', level: (heading[1] as string).length, text: heading[2] as string };
  if (RULE.test(line)) return { kind: 'rule' };
  const item = ITEM.exec(line);
  if (item) {
    const ordered = item[1] !== undefined;
    if (!inParagraph && last?.kind === 'list' && last.ordered === ordered) {
      last.items.push(item[2] as string);
      return 'joined';
    }
    return { kind: 'list', ordered, start: Number(item[1] ?? 1), items: [item[2] as string] };
  }
  const quote = QUOTE.exec(line);
  if (quote) {
    if (!inParagraph && !afterBlank && last?.kind === 'quote') {
      last.text += `\n${quote[1]}`;
      return 'joined';
    }
    return { kind: 'quote', text: quote[1] as string, level: 0 };
  }
  if (!inParagraph && !afterBlank && last?.kind === 'list') {
    last.items.push(`${last.items.pop() as string}\n${line.trim()}`);
    return 'joined';
  }
  return undefined;
}

export type Span = { kind: 'text' | 'bold' | 'emphasis' | 'code'; text: string } | { kind: 'link'; text: string; href: string };

// Every repetition is bounded or cannot match its own start, so that a row of marks costs linear time.
const SPAN =
  /(?<!`)(`{1,3})(?!`)([^`]{1,2000}?)\1(?!`)|\*\*(?=[^\s*])([^*]{1,2000}?)\*\*|(?<![\w*])\*(?=[^\s*])([^*\n]{0,500}?[^\s*])\*(?![\w*])|(?<!\w)_(?=[^\s_])([^_\n]{0,500}?[^\s_])_(?!\w)|\[([^[\]\n]{1,500})\]\((https?:\/\/[^\s()<>]{1,2000})\)/g;

/** Splits a block's text into spans. Marks without a partner stay as they are. */
export function parseSpans(text: string): Span[] {
  const spans: Span[] = [];
  let end = 0;
  for (const match of text.matchAll(SPAN)) {
    if (match.index > end) spans.push({ kind: 'text', text: text.slice(end, match.index) });
    end = match.index + match[0].length;
    const [, , code, bold, star, underscore, label, href] = match;
    if (code !== undefined) spans.push({ kind: 'code', text: code });
    else if (bold !== undefined) spans.push({ kind: 'bold', text: bold });
    else if (label !== undefined) spans.push({ kind: 'link', text: label, href: href as string });
    else spans.push({ kind: 'emphasis', text: (star ?? underscore) as string });
  }
  if (end < text.length) spans.push({ kind: 'text', text: text.slice(end) });
  return spans;
}

/** Shows growing text in an element: only blocks that changed since the last time are built anew. */
export class MarkdownView {
  private shown: string[] = [];

  constructor(private readonly root: HTMLElement) {}

  show(text: string): void {
    const blocks = parseBlocks(text);
    const keys = blocks.map((block) => JSON.stringify(block));
    keys.forEach((key, i) => {
      if (this.shown[i] === key) return;
      const element = blockElement(blocks[i] as Block);
      const old = this.root.children[i];
      if (old) old.replaceWith(element);
      else this.root.append(element);
    });
    while (this.root.children.length > keys.length) this.root.lastElementChild?.remove();
    this.shown = keys;
  }
}

function blockElement(block: Block): HTMLElement {
  switch (block.kind) {
    case 'code':
      return codeElement(block.text, block.language);
    case 'rule':
      return document.createElement('hr');
    case 'list': {
      const list = document.createElement(block.ordered ? 'ol' : 'ul');
      if (block.ordered) (list as HTMLOListElement).start = block.start;
      for (const item of block.items) list.append(withSpans('li', item));
      return list;
    }
    case 'heading':
      // The page's own headings take the first two levels.
      return withSpans(`h${Math.min(block.level + 2, 6)}`, block.text);
    case 'quote':
      return withSpans('blockquote', block.text);
    case 'paragraph':
      return withSpans('p', block.text);
  }
}

function codeElement(text: string, language: string): HTMLElement {
  const figure = document.createElement('figure');
  figure.className = 'code';
  const caption = document.createElement('figcaption');
  const copy = document.createElement('button');
  copy.type = 'button';
  copy.className = 'quiet';
  copy.textContent = 'Copy';
  copy.addEventListener('click', async () => {
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
    copy.textContent = done ? 'Copied' : 'Not allowed';
    setTimeout(() => (copy.textContent = 'Copy'), 1500);
  });
  const name = document.createElement('span');
  name.textContent = language || 'code';
  caption.append(name, copy);
  const pre = document.createElement('pre');
  pre.tabIndex = 0;
  const code = document.createElement('code');
  code.textContent = text;
  pre.append(code);
  figure.append(caption, pre);
  return figure;
}

const SPAN_TAGS = { bold: 'strong', emphasis: 'em', code: 'code' } as const;

function withSpans(tag: string, text: string): HTMLElement {
  const element = document.createElement(tag);
  for (const span of parseSpans(text)) {
    if (span.kind === 'text') {
      element.append(span.text);
      continue;
    }
    const child = document.createElement(span.kind === 'link' ? 'a' : SPAN_TAGS[span.kind]);
    child.textContent = span.text;
    if (span.kind === 'link') Object.assign(child, { href: span.href, target: '_blank', rel: 'noopener noreferrer' });
    element.append(child);
  }
  return element;
}
