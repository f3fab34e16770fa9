// Says that conversations cannot be kept, why, and what can be done about it.

import type { Library } from './chats/library.ts';
import type { Trouble } from './chats/safe-store.ts';
import { byId, h } from './dom.ts';
import { CommonText } from './texts/en/common.ts';
import { TroubleText } from './texts/en/trouble.ts';
import { t } from './texts/text.ts';

const WORDS: Record<Trouble, { what: string; remedy: string }> = {
  absent: { what: t(TroubleText.thisBrowserGivesPages), remedy: t(TroubleText.useAnotherBrowserOr) },
  refused: { what: t(TroubleText.theBrowserDoesNot), remedy: t(TroubleText.allowSiteDataFor) },
  slow: { what: t(TroubleText.theBrowsersStorageIndexedDB), remedy: t(TroubleText.closeTheOtherTabs) },
  quota: { what: t(TroubleText.theStorageThatThe), remedy: t(TroubleText.deleteConversationsRemoveStored) },
  newer: { what: t(TroubleText.theConversationsWereKept), remedy: t(TroubleText.reloadThePageWithout) },
  outdated: { what: t(TroubleText.aNewerVersionOf), remedy: t(TroubleText.reloadThisTab) },
  lost: { what: t(TroubleText.theBrowserHasClosed), remedy: t(CommonText.tryAgain) },
  failed: { what: t(TroubleText.theBrowsersStorageIndexedDBFailed), remedy: t(TroubleText.freeDiskSpaceOr) },
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
    const again = h('button', { type: 'button', onclick: () => void this.again(again) }, t(CommonText.tryAgain));
    this.root.replaceChildren(h('div', { className: 'trouble', 'data-trouble': trouble },
      h('p', {}, h('strong', {}, t(TroubleText.conversationsAreNotBeing)), ' ', what, ' ', t(TroubleText.whatYouWriteLasts, { remedy })),
      h('p', { className: 'actions' }, again, h('button', { type: 'button', className: 'quiet', onclick: this.exportAll }, t(CommonText.exportAll)))));
  }

  private async again(button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    await this.library.retry().catch(() => undefined);
    button.disabled = false;
  }
}
