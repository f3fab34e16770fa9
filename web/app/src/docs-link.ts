// The documentation beside the page, where it was built.

import { h } from './dom.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

declare const __DOCS__: boolean;

/** A link to a page of the documentation, in a tab of its own; nothing where there is none. */
export function docsLink(words: string, page = ''): HTMLAnchorElement | undefined {
  return __DOCS__ ? h('a', { href: `docs/${page}`, target: '_blank', rel: 'noopener', className: 'docs-link' }, words) : undefined;
}

/** Puts one at the end of the first view. */
export function offerDocs(): void {
  const link = docsLink(t(ChatText.documentation));
  if (link) document.getElementById('start')?.append(h('p', {}, link));
}
