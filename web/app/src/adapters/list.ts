// The adapters beside the conversations: with size and model, to attach, compare, download, rename and delete.

import { h } from '../dom.ts';
import { bytes } from '../format.ts';
import { Menu, type Entry } from '../menu.ts';
import type { AdapterRecord } from './records.ts';
import type { Shelf } from './shelf.ts';
import { AdaptersText } from '../texts/en/adapters.ts';
import { CommonText } from '../texts/en/common.ts';
import { t } from '../texts/text.ts';

export interface Around {
  /** Entries of an adapter's menu before those of the list. */
  entries(adapter: AdapterRecord): Entry[];
  delete(adapter: AdapterRecord): void;
  /** Lets the person choose files of an adapter. */
  load(): void;
}

export class AdapterList {
  readonly element = h('section', { className: 'adapters', 'aria-label': t(AdaptersText.adapters), hidden: true });
  private readonly list = h('ul', {});
  private readonly menu = new Menu();
  private renaming: string | undefined;

  constructor(
    private readonly shelf: Shelf,
    private readonly around: Around,
  ) {
    const load = h('button', { type: 'button', className: 'quiet', id: 'load-adapter', onclick: () => around.load() }, t(AdaptersText.load));
    this.element.append(h('div', { className: 'side-head' }, h('p', { className: 'side-title', 'aria-hidden': 'true' }, t(AdaptersText.adapters)), load), this.list);
    shelf.listen(() => this.draw());
  }

  private draw(): void {
    document.body.classList.toggle('has-adapters', this.shelf.adapters.size > 0);
    this.element.hidden = this.shelf.adapters.size === 0;
    if (this.renaming === undefined) this.list.replaceChildren(...this.shelf.list().map((adapter) => this.item(adapter)));
  }

  private item(adapter: AdapterRecord): HTMLElement {
    const { id, name, model, about } = adapter;
    const more = h('button', { type: 'button', className: 'quiet more', 'aria-haspopup': 'menu', 'aria-label': t(AdaptersText.moreForAdapterName, { name }) }, '⋯');
    more.onclick = () => this.menu.open(more, [
      ...this.around.entries(adapter),
      { label: t(CommonText.rename), run: () => this.rename(adapter) },
      { label: t(CommonText.deleteIt), danger: true, run: () => this.around.delete(adapter) },
    ]);
    return h('li', { 'data-id': id },
      h('div', { className: 'chat-link', title: about ?? name }, h('span', { className: 'adapter-name', dir: 'auto' }, name), h('small', {}, `${bytes(adapter.bytes)} · ${model.name}`)),
      more);
  }

  private rename(adapter: AdapterRecord): void {
    const item = [...this.list.children].find((one) => (one as HTMLElement).dataset['id'] === adapter.id);
    if (!item) return;
    this.renaming = adapter.id;
    const field = h('input', { type: 'text', className: 'rename', value: adapter.name, maxLength: 80, dir: 'auto', 'aria-label': t(AdaptersText.newNameOfAdapter, { adapter: adapter.name }) });
    const end = (keep: boolean) => {
      if (this.renaming === undefined) return;
      this.renaming = undefined;
      const name = field.value.trim();
      if (keep && name !== '') void this.shelf.rename(adapter.id, name);
      this.draw();
      this.list.querySelector<HTMLElement>(`[data-id="${adapter.id}"] .more`)?.focus();
    };
    field.onkeydown = (event) => {
      if (event.key === 'Enter' && !event.isComposing) {
        event.preventDefault();
        end(true);
      } else if (event.key === 'Escape') {
        event.stopPropagation();
        end(false);
      }
    };
    field.onblur = () => end(true);
    item.replaceChildren(field);
    field.select();
  }
}
