// Says that conversations cannot be kept, why, and what can be done about it.

import type { Library } from './chats/library.ts';
import type { Trouble } from './chats/safe-store.ts';
import { byId, h } from './dom.ts';

const WORDS: Record<Trouble, { what: string; remedy: string }> = {
  absent: { what: 'This browser gives pages no storage (IndexedDB is missing).', remedy: 'Use another browser or window' },
  refused: { what: 'The browser does not let this page store anything (IndexedDB is blocked), as in some private windows or by its settings for cookies and site data.', remedy: 'Allow site data for this page, or use a normal window' },
  slow: { what: "The browser's storage (IndexedDB) does not open. Another tab may hold it.", remedy: 'Close the other tabs of this page' },
  quota: { what: 'The storage that the browser has for this page is full.', remedy: 'Delete conversations, remove stored models (start page, under Advanced), or free disk space' },
  newer: { what: 'The conversations were kept by a newer version of this page, which this one cannot read.', remedy: 'Reload the page without its cache' },
  outdated: { what: 'A newer version of this page was opened in another tab.', remedy: 'Reload this tab' },
  lost: { what: "The browser has closed the page's storage, and may have removed what was kept.", remedy: 'Try again' },
  failed: { what: "The browser's storage (IndexedDB) failed.", remedy: 'Free disk space, or restart the browser' },
};

export class TroubleView {
  private readonly root = byId('trouble');

  /** `exportAll` saves everything in a file. */
  constructor(
    private readonly library: Library,
    private readonly exportAll: () => void,
  ) {
    library.listen((news) => news.of === 'trouble' && this.draw());
    this.draw();
  }

  private draw(): void {
    const { trouble } = this.library;
    this.root.hidden = trouble === undefined;
    if (!trouble) return this.root.replaceChildren();
    const { what, remedy } = WORDS[trouble];
    const again = h('button', { type: 'button', onclick: () => void this.again(again) }, 'Try again');
    this.root.replaceChildren(h('div', { className: 'trouble', 'data-trouble': trouble },
      h('p', {}, h('strong', {}, 'Conversations are not being kept. '), what, ` What you write lasts until this tab is closed. ${remedy}, or export what you want to keep.`),
      h('p', { className: 'actions' }, again, h('button', { type: 'button', className: 'quiet', onclick: this.exportAll }, 'Export all'))));
  }

  private async again(button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    await this.library.retry().catch(() => undefined);
    button.disabled = false;
  }
}
