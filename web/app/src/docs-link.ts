// The documentation beside the page, where it was built.

import { h } from './dom.ts';
import { languageChoice } from './texts/choice.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

declare const __DOCS__: boolean;

/** A link to a page of the documentation, in a tab of its own; nothing where there is none. */
export function docsLink(words: string, page = ''): HTMLAnchorElement | undefined {
  return __DOCS__ ? h('a', { href: `docs/${page}`, target: '_blank', rel: 'noopener', className: 'docs-link' }, words) : undefined;
}

/** Puts one at the end of the first view, with the choice of a language. */
export function offerDocs(): void {
  const link = docsLink(t(ChatText.documentation));
  document.getElementById('start')?.append(h('div', { className: 'start-end' }, languageChoice(() => true), link && h('p', {}, link)));
}
