// The conversations as the page works with them: kept in the browser, and the same in all of its tabs.

import { DatabaseStore } from './database.ts';
import { newId, type ChatRecord, type Draft, type MessageRecord, type Preset, type Values } from './records.ts';
import { SafeStore, troubleOf, type Trouble } from './safe-store.ts';
import type { Change } from './store.ts';

/** What has changed: a conversation's own fields, its messages, presets, or whether anything can be kept. */
export type News =
  | { of: 'chat'; chat: string; here: boolean }
  | { of: 'messages'; chat: string; here: boolean }
  | { of: 'presets'; here: boolean }
  /** What is kept has been read. */
  | { of: 'all'; here: boolean }
  | { of: 'trouble'; here: boolean }
  /** The browser has removed these conversations. */
  | { of: 'lost'; chats: string[]; here: boolean };

/** Milliseconds in which a deletion can be undone. */
export const UNDO_MS = 12_000;
/** How long a deletion of an earlier visit may have been left open. */
const STALE_MS = 60_000;
const CHANNEL = 'rullama.chats';

export class Library {
  /** All conversations that are not deleted. */
  readonly chats = new Map<string, ChatRecord>();
  presets: Preset[] = [];
  private readonly store: SafeStore;
  private db: DatabaseStore | undefined;
  private readonly channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(CHANNEL);
  private readonly listeners = new Set<(news: News) => void>();
  /** Whether it was asked not to remove anything. */
  private asked = false;

  /** Settles when what is kept has been read, or cannot be. */
  readonly ready: Promise<void>;

  /**
   * Opens what is kept. Until it is there, and where nothing can be kept, the library works in memory; `trouble` then says why.
   */
  constructor() {
    this.store = new SafeStore(undefined, () => this.tell({ of: 'trouble', here: true }));
    if (this.channel) this.channel.onmessage = (event: MessageEvent<News>) => void this.heard(event.data);
    this.ready = this.connect();
  }

  get trouble(): Trouble | undefined {
    return this.store.trouble;
  }

  /** Whether something would go with the page. */
  get unsaved(): boolean {
    return this.store.unsaved;
  }

  listen(listener: (news: News) => void): void {
    this.listeners.add(listener);
  }

  /** Tries to keep again what could not be kept. */
  async retry(): Promise<void> {
    if (this.db) await this.store.write([]);
    else await this.connect();
  }

  /** Newest first, pinned ones before the others. */
  list(): ChatRecord[] {
    return [...this.chats.values()].sort((a, b) => Number(b.pinned) - Number(a.pinned) || b.changed - a.changed || (a.id < b.id ? 1 : -1));
  }

  messages(chat: string): Promise<MessageRecord[]> {
    return this.store.ofChat(chat);
  }

  allMessages(): AsyncGenerator<MessageRecord[], void, void> {
    return this.store.batches();
  }

  newChat(settings: Values, tools: string[]): ChatRecord {
    const now = Date.now();
    return { id: newId(), title: '', named: false, pinned: false, created: now, changed: now, leaf: null, settings, tools };
  }

  /** Keeps a new conversation, or new messages of one that is kept, with what they change in it. */
  async add(chat: ChatRecord, messages: MessageRecord[]): Promise<void> {
    const known = this.chats.has(chat.id);
    this.chats.set(chat.id, chat);
    const { title, named, leaf, changed } = chat;
    // A title that another tab gave stays.
    const fields = { leaf, changed, ...(!named && { title }) };
    const own: Change = known ? { patch: 'chats', id: chat.id, fields } : { put: 'chats', record: { ...chat } };
    const puts = messages.map((record): Change => ({ put: 'messages', record: { ...record } }));
    await this.write([own, ...puts], [{ of: 'chat', chat: chat.id, here: true }, { of: 'messages', chat: chat.id, here: true }]);
  }

  /** Keeps whole conversations that come from elsewhere. */
  async addAll(chats: { chat: ChatRecord; messages: MessageRecord[] }[], presets: Preset[] = []): Promise<void> {
    const changes: Change[] = presets.map((record) => ({ put: 'presets', record }));
    this.presets.push(...presets);
    const news: News[] = presets.length > 0 ? [{ of: 'presets', here: true }] : [];
    for (const { chat, messages } of chats) {
      this.chats.set(chat.id, chat);
      changes.push({ put: 'chats', record: chat }, ...messages.map((record): Change => ({ put: 'messages', record })));
      news.push({ of: 'chat', chat: chat.id, here: true });
    }
    await this.write(changes, news);
  }

  /** Keeps the present state of a message that this tab alone writes. */
  async putMessage(message: MessageRecord): Promise<void> {
    await this.write([{ put: 'messages', record: { ...message } }], [{ of: 'messages', chat: message.chat, here: true }]);
  }

  async patchMessage({ id, chat }: MessageRecord, fields: Partial<MessageRecord>): Promise<void> {
    await this.write([{ patch: 'messages', id, fields }], [{ of: 'messages', chat, here: true }]);
  }

  /** Takes back messages that were never answered. */
  async removeMessages(chat: ChatRecord, messages: MessageRecord[]): Promise<void> {
    const removals = messages.map(({ id }): Change => ({ remove: 'messages', id }));
    const own: Change = { patch: 'chats', id: chat.id, fields: { leaf: chat.leaf } };
    await this.write([own, ...removals], [{ of: 'messages', chat: chat.id, here: true }]);
  }

  /** Changes fields of a conversation; the others stay as any tab has left them. */
  async patch(id: string, fields: Partial<ChatRecord>): Promise<void> {
    const chat = this.chats.get(id);
    if (!chat) return;
    Object.assign(chat, fields);
    await this.write([{ patch: 'chats', id, fields }], [{ of: 'chat', chat: id, here: true }]);
  }

  /** Hides a conversation, until `restore` brings it back or `forget` removes it. */
  async delete(id: string): Promise<void> {
    const deleted = Date.now();
    this.chats.delete(id);
    await this.write([{ patch: 'chats', id, fields: { deleted } }], [{ of: 'chat', chat: id, here: true }]);
  }

  async restore(id: string): Promise<void> {
    const chat = await this.store.get('chats', id);
    if (!chat) return;
    delete chat.deleted;
    this.chats.set(id, chat);
    await this.write([{ patch: 'chats', id, fields: { deleted: undefined } }], [{ of: 'chat', chat: id, here: true }]);
  }

  /** Removes a deleted conversation; nothing where another tab has brought it back. */
  async forget(id: string): Promise<void> {
    const chat = await this.store.get('chats', id);
    if (chat && chat.deleted === undefined) return;
    this.chats.delete(id);
    await this.write([{ forget: id }], [{ of: 'chat', chat: id, here: true }]);
  }

  /** Removes a conversation that never came about. */
  async discard(id: string): Promise<void> {
    this.chats.delete(id);
    await this.write([{ forget: id }], [{ of: 'chat', chat: id, here: true }]);
  }

  async savePreset(preset: Preset): Promise<void> {
    this.presets = [...this.presets.filter(({ id }) => id !== preset.id), preset].sort((a, b) => a.name.localeCompare(b.name));
    await this.write([{ put: 'presets', record: preset }], [{ of: 'presets', here: true }]);
  }

  async removePreset(id: string): Promise<void> {
    this.presets = this.presets.filter((preset) => preset.id !== id);
    await this.write([{ remove: 'presets', id }], [{ of: 'presets', here: true }]);
  }

  /** What was being written in a conversation, or for the next new one. */
  async draft(id: string): Promise<string> {
    await this.ready;
    return (await this.store.get('drafts', id))?.text ?? '';
  }

  async saveDraft(draft: Draft): Promise<void> {
    await this.write([draft.text === '' ? { remove: 'drafts', id: draft.id } : { put: 'drafts', record: draft }], []);
  }

  /** Asks the browser, once, not to remove what is kept here when it needs room. */
  async askToPersist(): Promise<void> {
    if (this.asked || !this.db) return;
    this.asked = true;
    const { storage } = navigator;
    if ((await storage?.persisted?.().catch(() => true)) === false) await storage.persist().catch(() => false);
  }

  private async connect(): Promise<void> {
    if (typeof indexedDB === 'undefined') return this.store.move(undefined, 'absent');
    try {
      const db = await DatabaseStore.open((why) => void this.closed(why));
      this.db = db;
      await this.store.move(db);
      await this.load();
      void db.sweep().catch(() => undefined);
    } catch (thrown) {
      this.db = undefined;
      await this.store.move(undefined, troubleOf(thrown));
    }
  }

  private async load(): Promise<void> {
    const now = Date.now();
    for (const chat of await this.store.all('chats')) {
      if (chat.deleted === undefined) this.chats.set(chat.id, Object.assign(this.chats.get(chat.id) ?? chat, chat));
      else if (now - chat.deleted > STALE_MS) await this.forget(chat.id);
    }
    await this.loadPresets();
    this.tell({ of: 'all', here: true });
  }

  private async loadPresets(): Promise<void> {
    this.presets = (await this.store.all('presets')).sort((a, b) => a.name.localeCompare(b.name));
  }

  /** The database went away under the page. */
  private async closed(why: 'newer' | 'lost'): Promise<void> {
    this.db = undefined;
    if (why === 'newer') return this.store.move(undefined, 'outdated');
    await this.store.move(undefined, 'lost');
    const before = [...this.chats.keys()];
    // Whoever removes it is not done yet.
    for (const ms of [100, 400, 1600]) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      await this.connect();
      if (this.db) break;
    }
    if (!this.db) return;
    const kept = new Set((await this.store.all('chats')).map(({ id }) => id));
    const chats = before.filter((id) => !kept.has(id));
    for (const id of chats) this.chats.delete(id);
    if (chats.length > 0) this.tell({ of: 'lost', chats, here: true });
  }

  private async write(changes: Change[], news: News[]): Promise<void> {
    for (const one of news) this.tell(one);
    await this.store.write(changes);
    for (const one of news) this.channel?.postMessage({ ...one, here: false });
  }

  private tell(news: News): void {
    for (const listener of this.listeners) listener(news);
  }

  /** Another tab has changed something. */
  private async heard(news: News): Promise<void> {
    if (news.of === 'presets') await this.loadPresets();
    else if (news.of === 'chat') {
      const chat = await this.store.get('chats', news.chat);
      if (chat && chat.deleted === undefined) {
        const known = this.chats.get(news.chat);
        // Whoever holds the record sees what has changed.
        if (known) Object.assign(known, chat);
        else this.chats.set(news.chat, chat);
      } else this.chats.delete(news.chat);
    }
    this.tell(news);
  }
}
