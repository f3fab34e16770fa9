// Where records are kept. A write is a list of changes of which all happen or none.

import { KINDS, type ChatRecord, type Draft, type Kind, type Kinds, type MessageRecord, type Preset } from './records.ts';

export type Change =
  | { put: 'chats'; record: ChatRecord }
  | { put: 'messages'; record: MessageRecord }
  | { put: 'presets'; record: Preset }
  | { put: 'drafts'; record: Draft }
  /** Some fields of a record, so that what another tab changed beside them stays; nothing where the record is gone. */
  | { patch: 'chats'; id: string; fields: Partial<ChatRecord> }
  | { patch: 'messages'; id: string; fields: Partial<MessageRecord> }
  | { remove: Kind; id: string }
  /** A conversation with all that belongs to it. */
  | { forget: string };

/** Records by kind and id. */
export interface Store {
  all<K extends Kind>(kind: K): Promise<Kinds[K][]>;
  get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined>;
  /** Messages of a conversation. */
  ofChat(chat: string): Promise<MessageRecord[]>;
  /** All messages, some at a time. */
  batches(): AsyncGenerator<MessageRecord[], void, void>;
  write(changes: Change[]): Promise<void>;
}

/** As long as the page lasts. */
export class MemoryStore implements Store {
  private readonly kept = Object.fromEntries(KINDS.map((kind) => [kind, new Map()])) as unknown as { [K in Kind]: Map<string, Kinds[K]> };

  get empty(): boolean {
    return KINDS.every((kind) => this.kept[kind].size === 0);
  }

  async all<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    return [...this.kept[kind].values()].map((record) => structuredClone(record));
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    return structuredClone(this.kept[kind].get(id));
  }

  async ofChat(chat: string): Promise<MessageRecord[]> {
    return (await this.all('messages')).filter((message) => message.chat === chat);
  }

  async *batches(): AsyncGenerator<MessageRecord[], void, void> {
    yield await this.all('messages');
  }

  async write(changes: Change[]): Promise<void> {
    for (const change of changes) this.apply(structuredClone(change));
  }

  /** Lets go of everything. */
  clear(): void {
    for (const kind of KINDS) this.kept[kind].clear();
  }

  private apply(change: Change): void {
    if ('put' in change) (this.kept[change.put] as Map<string, unknown>).set(change.record.id, change.record);
    else if ('remove' in change) this.kept[change.remove].delete(change.id);
    else if ('forget' in change) {
      this.kept.chats.delete(change.forget);
      this.kept.drafts.delete(change.forget);
      for (const { id, chat } of this.kept.messages.values()) if (chat === change.forget) this.kept.messages.delete(id);
    } else {
      const record = this.kept[change.patch].get(change.id);
      if (record) Object.assign(record, change.fields);
    }
  }
}
