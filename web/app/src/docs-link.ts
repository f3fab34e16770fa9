// The documentation beside the page, where it was built.

import { h } from './dom.ts';

declare const __DOCS__: boolean;

/** A link to a page of the documentation, in a tab of its own; nothing where there is none. */
export function docsLink(words: string, page = ''): HTMLAnchorElement | undefined {
  return __DOCS__ ? h('a', { href: `docs/${page}`, target: '_blank', rel: 'noopener', className: 'docs-link' }, words) : undefined;
}
