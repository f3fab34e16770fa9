// The store in the browser's database. Tabs share it: a write is one transaction, and transactions take turns.

import { openDB, type DBSchema, type IDBPDatabase, type IDBPTransaction, type StoreNames } from 'idb';
import { KINDS, type ChatRecord, type Draft, type Kind, type Kinds, type MessageRecord, type Preset } from './records.ts';
import type { Change, Store } from './store.ts';

interface Schema extends DBSchema {
  chats: { key: string; value: ChatRecord };
  messages: { key: string; value: MessageRecord; indexes: { chat: string } };
  presets: { key: string; value: Preset };
  drafts: { key: string; value: Draft };
}

type Upgrade = IDBPTransaction<Schema, StoreNames<Schema>[], 'versionchange'>;

/**
 * The way from each version of the store to the next; its length is the version. A step that people have is never changed:
 * what a later page needs is a step behind it.
 */
export const STEPS: ((db: IDBPDatabase<Schema>, upgrade: Upgrade) => void)[] = [
  (db) => {
    db.createObjectStore('chats', { keyPath: 'id' });
    db.createObjectStore('messages', { keyPath: 'id' }).createIndex('chat', 'chat');
    db.createObjectStore('presets', { keyPath: 'id' });
    db.createObjectStore('drafts', { keyPath: 'id' });
  },
];

export const DATABASE = 'rullama';
/** Milliseconds after which a database that does not open counts as one that never will. */
const PATIENCE = 8000;
const BATCH = 200;

export interface Closed {
  /** A newer version of the page wants to change the store, or the browser closed it, as it does when it removes what it holds. */
  (why: 'newer' | 'lost'): void;
}

export class DatabaseStore implements Store {
  private constructor(private readonly db: IDBPDatabase<Schema>) {}

  /** Opens the store, and brings it to the version of this page. */
  static async open(closed: Closed, { name = DATABASE, steps = STEPS, patience = PATIENCE } = {}): Promise<DatabaseStore> {
    let late = false;
    const opening = openDB<Schema>(name, steps.length, {
      upgrade: (db, from, _to, upgrade) => steps.slice(from).forEach((step) => step(db, upgrade as Upgrade)),
      blocking: (_current, _wanted, event) => {
        (event.target as IDBDatabase).close();
        closed('newer');
      },
      terminated: () => closed('lost'),
    });
    void opening.then((db) => late && db.close(), () => undefined);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        late = true;
        reject(new DOMException('The database does not open.', 'TimeoutError'));
      }, patience);
    });
    try {
      return new DatabaseStore(await Promise.race([opening, tooLate]));
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.db.close();
  }

  async all<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    return (await this.db.getAll(kind)) as Kinds[K][];
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    return (await this.db.get(kind, id)) as Kinds[K] | undefined;
  }

  async ofChat(chat: string): Promise<MessageRecord[]> {
    return this.db.getAllFromIndex('messages', 'chat', chat);
  }

  async *batches(): AsyncGenerator<MessageRecord[], void, void> {
    let last: string | undefined;
    for (;;) {
      const range: IDBKeyRange | undefined = last === undefined ? undefined : IDBKeyRange.lowerBound(last, true);
      const batch = await this.db.getAll('messages', range, BATCH);
      if (batch.length === 0) return;
      yield batch;
      last = batch.at(-1)?.id;
    }
  }

  /** What only puts is handed over at once, so that it is kept even where the page ends before it hears of it. */
  async write(changes: Change[]): Promise<void> {
    if (changes.length === 0) return;
    const transaction = this.db.transaction(KINDS, 'readwrite');
    const { done } = transaction;
    done.catch(() => undefined); // reported below
    try {
      const requests = changes.map((change) => {
        const request = apply(transaction, change);
        request.catch(() => undefined); // the transaction's error says it, too
        return request;
      });
      if (changes.every((change) => 'put' in change)) transaction.commit();
      await Promise.all(requests);
      await done;
    } catch (thrown) {
      try {
        transaction.abort();
      } catch {
        // It has ended already.
      }
      throw transaction.error ?? thrown;
    }
  }

  /** Removes messages whose conversation is gone, and drafts of what is gone. */
  async sweep(): Promise<void> {
    const transaction = this.db.transaction(['chats', 'messages', 'drafts'], 'readwrite');
    const messages = transaction.objectStore('messages');
    for (let at = await messages.index('chat').openKeyCursor(null, 'nextunique'); at; at = await at.continue()) {
      if (await transaction.objectStore('chats').getKey(at.key)) continue;
      for (const id of await messages.index('chat').getAllKeys(at.key)) void messages.delete(id);
    }
    for (const id of await transaction.objectStore('drafts').getAllKeys()) {
      const belongs = id === '' || (await transaction.objectStore('chats').getKey(id)) || (await messages.getKey(id));
      if (!belongs) void transaction.objectStore('drafts').delete(id);
    }
    await transaction.done;
  }
}

type Write = IDBPTransaction<Schema, Kind[], 'readwrite'>;

/** Throws at once for what cannot be kept at all. */
function apply(transaction: Write, change: Change): Promise<unknown> {
  if ('put' in change) return transaction.objectStore(change.put).put(change.record as never);
  if ('remove' in change) return transaction.objectStore(change.remove).delete(change.id);
  return 'forget' in change ? forget(transaction, change.forget) : patch(transaction, change.patch, change.id, change.fields);
}

async function forget(transaction: Write, chat: string): Promise<unknown> {
  const messages = transaction.objectStore('messages');
  await Promise.all([transaction.objectStore('chats').delete(chat), transaction.objectStore('drafts').delete(chat)]);
  const ids = await messages.index('chat').getAllKeys(chat);
  return Promise.all(ids.map((id) => messages.delete(id)));
}

async function patch(transaction: Write, kind: 'chats' | 'messages', id: string, fields: object): Promise<unknown> {
  const records = transaction.objectStore(kind);
  const record = await records.get(id);
  return record && records.put({ ...record, ...fields } as never);
}
