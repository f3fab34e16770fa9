// The list of conversations beside the page: by day, with a search over their text. In narrow windows it is a drawer.

import type { Library } from './chats/library.ts';
import type { ChatRecord } from './chats/records.ts';
import { search, type Hits } from './chats/search.ts';
import { dayOf, titleOf } from './chats/words.ts';
import { byId, h } from './dom.ts';
import { Menu, type Entry } from './menu.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

/** What the rest of the page does for the list. */
export interface Beside {
  open(id: string): void;
  /** Entries of a conversation's menu that are about files. */
  files(chat: ChatRecord): Entry[];
  /** Entries of the menu for all conversations. */
  allFiles(): Entry[];
  delete(chat: ChatRecord): void;
}

/** Conversations that are listed at once. */
const PAGE = 200;

/** Milliseconds without a key after which a search begins. */
const REST_MS = 150;

export class SideList {
  private readonly root = byId('side');
  private readonly toggle = byId<HTMLButtonElement>('open-chats');
  private readonly shade = h('div', { className: 'shade', hidden: true, onclick: () => this.close() });
  private readonly field = h('input', { type: 'search', id: 'search', placeholder: t(CommonText.search), 'aria-label': t(ChatText.searchConversations), dir: 'auto', autocomplete: 'off' });
  private readonly list = h('nav', { className: 'chat-list', 'aria-label': t(ChatText.conversations) });
  private readonly said = h('p', { className: 'visually-hidden', role: 'status' });
  private readonly menu = new Menu();
  private hits: Hits | undefined;
  private listed = PAGE;
  private searching: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private shown: string | undefined;
  private renaming: string | undefined;

  constructor(
    private readonly library: Library,
    private readonly beside: Beside,
  ) {
    const all = h('button', { type: 'button', className: 'quiet', id: 'all-chats', 'aria-haspopup': 'menu', onclick: () => this.menu.open(all, beside.allFiles()) }, t(ChatText.importExport));
    this.root.append(
      h('div', { className: 'side-top' },
        this.field,
        h('button', { type: 'button', className: 'quiet', id: 'close-chats', onclick: () => this.close() }, t(CommonText.close))),
      this.said, this.list, h('div', { className: 'side-end' }, all));
    document.body.append(this.shade);
    this.toggle.onclick = () => (this.isOpen ? this.close() : this.open());
    this.field.addEventListener('input', () => this.changed());
    this.root.addEventListener('keydown', (event) => this.key(event));
    library.listen((news) => news.of !== 'presets' && news.of !== 'trouble' && (news.of !== 'messages' || this.hits) && this.draw());
    this.draw();
  }

  /** Marks the conversation that is shown. */
  mark(id: string | undefined): void {
    if (this.shown === id) return;
    this.shown = id;
    this.draw();
  }

  private get isOpen(): boolean {
    return this.root.classList.contains('open');
  }

  /** The search gets the focus, wherever the list stands. */
  search(): void {
    if (this.toggle.offsetParent && !this.isOpen) return this.open();
    this.field.focus();
    this.field.select();
  }

  private open(): void {
    this.root.classList.add('open');
    this.shade.hidden = false;
    this.toggle.setAttribute('aria-expanded', 'true');
    for (const element of this.behind()) element.inert = true;
    this.field.focus();
  }

  close(): void {
    if (!this.isOpen) return;
    this.root.classList.remove('open');
    this.shade.hidden = true;
    this.toggle.setAttribute('aria-expanded', 'false');
    for (const element of this.behind()) element.inert = false;
    this.toggle.focus();
  }

  /** What cannot be reached while the drawer is open. */
  private behind(): HTMLElement[] {
    return [byId('bar'), byId('main')];
  }

  private chosen(run: () => void): void {
    this.close();
    run();
  }

  private key(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      // It would stop an answer otherwise.
      event.stopPropagation();
      if (this.field.value !== '' && event.target === this.field) {
        this.field.value = '';
        this.changed();
      } else this.close();
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const target = event.target as HTMLElement;
    if (!step || (target !== this.field && !target.matches('.chat-link'))) return;
    const links = [...this.list.querySelectorAll<HTMLElement>('.chat-link')];
    const next = links[links.indexOf(target) + step] ?? (step < 0 ? this.field : undefined);
    next?.focus();
    event.preventDefault();
  }

  private changed(): void {
    clearTimeout(this.timer);
    this.searching?.abort();
    const text = this.field.value.trim();
    if (text === '') {
      this.hits = undefined;
      this.said.textContent = '';
      return this.draw();
    }
    this.timer = setTimeout(() => void this.look(text), REST_MS);
  }

  private async look(text: string): Promise<void> {
    const { signal } = (this.searching = new AbortController());
    const found = (hits: Hits) => {
      if (signal.aborted) return;
      this.hits = new Map(hits);
      this.draw();
    };
    await search(this.library, text, signal, found).catch(() => undefined);
    if (signal.aborted) return;
    const { length } = this.found();
    this.said.textContent = t(ChatText.conversationFound, { length });
  }

  private found(): ChatRecord[] {
    const { hits } = this;
    return this.library.list().filter(({ id }) => !hits || hits.has(id));
  }

  private draw(): void {
    document.body.classList.toggle('has-chats', this.library.chats.size > 0);
    if (this.renaming) return;
    const active = document.activeElement as HTMLElement | null;
    const focus = active && this.list.contains(active) ? ([active.closest('li')?.dataset['id'], active.className] as const) : undefined;
    const all = this.found();
    const chats = all.slice(0, this.listed);
    const groups = new Map<string, ChatRecord[]>();
    for (const chat of chats) {
      const name = chat.pinned ? t(ChatText.pinned) : dayOf(chat.changed);
      groups.set(name, [...(groups.get(name) ?? []), chat]);
    }
    const empty = h('p', { className: 'hint' }, this.hits ? t(ChatText.nothingFound) : t(ChatText.conversationsThatYouHave));
    const shown = [...groups].map(([name, of]) => h('section', { 'aria-label': name }, h('p', { className: 'day', 'aria-hidden': 'true' }, name), h('ul', {}, ...of.map((chat) => this.item(chat)))));
    const more = h('button', { type: 'button', className: 'quiet older', onclick: () => this.showOlder() }, t(ChatText.showOlderChats));
    this.list.replaceChildren(...(chats.length === 0 ? [empty] : shown), ...(all.length > chats.length ? [more] : []));
    if (!focus) return;
    const again = [...this.list.querySelectorAll('li')].find((item) => item.dataset['id'] === focus[0]);
    [...(again?.querySelectorAll<HTMLElement>('a, button') ?? [])].find((element) => element.className === focus[1])?.focus();
  }

  private showOlder(): void {
    const { listed } = this;
    this.listed += PAGE;
    this.draw();
    this.list.querySelectorAll<HTMLElement>('.chat-link')[listed]?.focus();
  }

  private item(chat: ChatRecord): HTMLElement {
    const { id, title } = chat;
    const place = this.hits?.get(id);
    const link = h('a', { href: `#chat=${id}`, className: 'chat-link', 'aria-current': id === this.shown ? 'page' : undefined, title },
      h('span', { className: 'chat-title', dir: 'auto' }, title || t(ChatText.newChat)),
      place && h('small', { dir: 'auto' }, place));
    link.onclick = (event) => {
      // Another tab or window is the browser's affair.
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.chosen(() => this.beside.open(id));
    };
    const more = h('button', { type: 'button', className: 'quiet more', 'aria-haspopup': 'menu', 'aria-label': t(ChatText.moreForTitle, { title: title || t(ChatText.newChat) }) }, '⋯');
    more.onclick = () => this.menu.open(more, [
      { label: t(CommonText.rename), run: () => this.rename(chat) },
      { label: chat.pinned ? t(ChatText.unpin) : t(ChatText.pin), run: () => void this.library.patch(id, { pinned: !chat.pinned }) },
      ...this.beside.files(chat),
      { label: t(CommonText.deleteIt), danger: true, run: () => this.remove(chat) },
    ]);
    return h('li', { 'data-id': id }, link, more);
  }

  private remove(chat: ChatRecord): void {
    const links = [...this.list.querySelectorAll<HTMLElement>('.chat-link')];
    const at = links.findIndex((link) => link.closest('li')?.dataset['id'] === chat.id);
    const next = links[at + 1] ?? links[at - 1];
    const id = next?.closest('li')?.dataset['id'];
    this.beside.delete(chat);
    const neighbour = [...this.list.querySelectorAll('li')].find((item) => item.dataset['id'] === id);
    (neighbour?.querySelector<HTMLElement>('.chat-link') ?? this.field).focus();
  }

  private rename(chat: ChatRecord): void {
    const item = [...this.list.querySelectorAll('li')].find((one) => one.dataset['id'] === chat.id);
    if (!item) return;
    this.renaming = chat.id;
    const field = h('input', { type: 'text', className: 'rename', value: chat.title, maxLength: 200, dir: 'auto', 'aria-label': t(ChatText.newNameOfTitle, { title: chat.title }) });
    const end = (keep: boolean) => {
      if (this.renaming === undefined) return;
      this.renaming = undefined;
      const title = titleOf(field.value);
      if (keep && title !== '' && title !== chat.title) void this.library.patch(chat.id, { title, named: true });
      this.draw();
      [...this.list.querySelectorAll('li')].find((one) => one.dataset['id'] === chat.id)?.querySelector<HTMLElement>('.more')?.focus();
    };
    field.onkeydown = (event) => {
      if (event.key === 'Enter' && !event.isComposing) {
        // It would press the button that has the focus next.
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
