// Code blocks: their language, a button that copies them, and colours as soon as the highlighter is there.

import { create } from './create.ts';
import { awaitDiagram, isDiagram } from './diagram.ts';
import { ChatText } from '../texts/en/chat.ts';
import { t } from '../texts/text.ts';

type Highlight = typeof import('./highlight.ts').highlight;

/** How much code is coloured, in characters: while it is being written, and when it is there. */
export const COLOURED = { open: 4000, closed: 10_000 };
const PLAIN = new Set(['', 'text', 'txt', 'plaintext', 'plain', 'output', 'none']);

let highlight: Highlight | undefined;
let loading: Promise<unknown> | undefined;

/** A code block. `open`: its end is not written yet. `late` is called when it becomes a diagram. */
export function codeFigure(text: string, language: string, open: boolean, late: () => void): HTMLElement {
  const figure = create('figure', 'code');
  figure.dir = 'ltr';
  const caption = create('figcaption');
  const name = create('span');
  name.textContent = language || t(ChatText.codeBlock);
  caption.append(name, copyButton());
  const pre = create('pre');
  pre.tabIndex = 0;
  const code = create('code');
  code.textContent = text;
  pre.append(code);
  figure.append(caption, pre);
  if (isDiagram(language)) {
    if (!open) awaitDiagram(figure, text, late);
  } else if (!PLAIN.has(language.toLowerCase())) colour(code, text, language.toLowerCase(), open);
  return figure;
}

function copyButton(): HTMLElement {
  const copy = create('button', 'quiet');
  copy.type = 'button';
  copy.textContent = t(ChatText.copy);
  copy.addEventListener('click', async () => {
    const text = copy.closest('figure')?.querySelector('code')?.textContent ?? '';
    const done = await navigator.clipboard.writeText(text).then(() => true, () => false);
    copy.textContent = done ? t(ChatText.copied) : t(ChatText.notAllowed);
    setTimeout(() => (copy.textContent = t(ChatText.copy)), 1500);
  });
  return copy;
}

function colour(code: HTMLElement, text: string, language: string, open: boolean): void {
  if (!highlight) {
    // Without the highlighter (the network may be gone) code stays as it is; the next block tries again.
    loading ??= import('./highlight.ts').then((module) => (highlight = module.highlight)).finally(() => (loading = undefined));
    // By then its text may have grown.
    loading.then(() => colour(code, code.textContent ?? '', language, open), () => undefined);
    return;
  }
  const limit = open ? COLOURED.open : COLOURED.closed;
  const end = text.length <= limit ? text.length : text.lastIndexOf('\n', limit) + 1;
  const coloured = highlight(text.slice(0, end), language);
  if (coloured) code.replaceChildren(...coloured, ...(end < text.length ? [text.slice(end)] : []));
}
