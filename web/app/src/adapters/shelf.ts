// The adapters that the browser keeps, with their files, and the training in progress. What its database does not take lasts as long
// as the page. Tabs share it.

import { openDB, type DBSchema, type IDBPDatabase, type IDBPObjectStore } from 'idb';
import type { AdapterRecord, CheckpointRecord, StoredFile, TrainingRecord } from './records.ts';
import { AdaptersText } from '../texts/en/adapters.ts';
import { t } from '../texts/text.ts';

interface Schema extends DBSchema {
  adapters: { key: string; value: AdapterRecord };
  files: { key: string; value: { id: string; files: StoredFile[] } };
  trainings: { key: string; value: TrainingRecord };
  checkpoints: { key: number; value: CheckpointRecord };
}

const KINDS = ['adapters', 'files', 'trainings', 'checkpoints'] as const;
type Kind = (typeof KINDS)[number];
type Stores = <K extends Kind>(kind: K) => IDBPObjectStore<Schema, typeof KINDS, K, 'readwrite'>;

const DATABASE = 'rullama.adapters';
const VERSION = 1;
/** Milliseconds after which a database that does not open counts as one that never will. */
const PATIENCE = 8000;
/** How long a deletion of an earlier visit may have been left open. */
const STALE_MS = 60_000;

export class Shelf {
  /** All adapters that are not deleted. */
  readonly adapters = new Map<string, AdapterRecord>();
  /** Settles when what is kept has been read, or cannot be. */
  readonly ready: Promise<void>;
  private db: IDBPDatabase<Schema> | undefined;
  /** What the database did not take. */
  private readonly held = new Map<string, { record: AdapterRecord; files: StoredFile[] }>();
  private readonly channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(DATABASE);
  private readonly listeners = new Set<() => void>();

  constructor(name = DATABASE) {
    if (this.channel) this.channel.onmessage = () => void this.load();
    this.ready = this.connect(name);
  }

  /** Whether something would go with the page. */
  get unsaved(): boolean {
    return [...this.held.keys()].some((id) => this.adapters.has(id));
  }

  listen(listener: () => void): void {
    this.listeners.add(listener);
  }

  /** Newest first. */
  list(): AdapterRecord[] {
    return [...this.adapters.values()].sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
  }

  async files(id: string): Promise<StoredFile[]> {
    const kept = this.held.get(id) ?? (await this.db?.get('files', id));
    if (kept) return kept.files;
    throw new Error(t(AdaptersText.theFilesOfThis));
  }

  /** Keeps an adapter; gives whether it outlasts the page. */
  async add(record: AdapterRecord, files: StoredFile[]): Promise<boolean> {
    await this.ready;
    this.adapters.set(record.id, record);
    const puts = (stores: Stores) => [() => stores('files').put({ id: record.id, files }), () => stores('adapters').put(record)];
    const stored = await this.write(puts).then(() => true, () => false);
    if (!stored) this.held.set(record.id, { record, files });
    this.changed();
    return stored;
  }

  async rename(id: string, name: string): Promise<void> {
    await this.patch(id, { name });
  }

  /** Hides an adapter, until `restore` brings it back or `forget` removes it. */
  async delete(id: string): Promise<void> {
    await this.patch(id, { deleted: Date.now() });
  }

  async restore(id: string): Promise<void> {
    const record = this.held.get(id)?.record ?? (await this.db?.get('adapters', id));
    if (!record) return;
    this.adapters.set(id, record);
    await this.patch(id, { deleted: undefined });
  }

  async forget(id: string): Promise<void> {
    this.adapters.delete(id);
    this.held.delete(id);
    if (this.db) await this.write((stores) => [() => stores('adapters').delete(id), () => stores('files').delete(id)]).catch(() => undefined);
    this.changed();
  }

  /** The training that an earlier visit left, with its checkpoints, newest first. */
  async training(): Promise<{ record: TrainingRecord; checkpoints: CheckpointRecord[] } | undefined> {
    await this.ready;
    const record = (await this.db?.getAll('trainings'))?.[0];
    if (!record) return undefined;
    const all = (await this.db?.getAll('checkpoints')) ?? [];
    return { record, checkpoints: all.filter(({ training }) => training === record.id).sort((a, b) => b.step - a.step) };
  }

  /** Keeps a training in place of the one before it. Rejects where there is no place for it. */
  async beginTraining(record: TrainingRecord): Promise<void> {
    await this.write((stores) => [() => stores('trainings').clear(), () => stores('checkpoints').clear(), () => stores('trainings').put(record)]);
  }

  /** Keeps how far a training is: all of it, or nothing. */
  async keepTraining(record: TrainingRecord, checkpoint: CheckpointRecord): Promise<void> {
    await this.write((stores) => [() => stores('checkpoints').put(checkpoint), () => stores('trainings').put(record)]);
  }

  async endTraining(): Promise<void> {
    if (this.db) await this.write((stores) => [() => stores('trainings').clear(), () => stores('checkpoints').clear()]);
  }

  /** All of what `requests` asks for, or nothing. */
  private async write(requests: (stores: Stores) => (() => Promise<unknown>)[]): Promise<void> {
    if (!this.db) throw new Error(t(AdaptersText.thisBrowserLetsThe));
    const transaction = this.db.transaction(KINDS, 'readwrite');
    const { done } = transaction;
    done.catch(() => undefined); // reported below
    try {
      const all = requests((kind) => transaction.objectStore(kind)).map((request) => {
        const one = request();
        one.catch(() => undefined); // the transaction's error says it, too
        return one;
      });
      await Promise.all(all);
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

  private async patch(id: string, fields: Partial<AdapterRecord>): Promise<void> {
    const record = this.adapters.get(id);
    if (!record) return;
    Object.assign(record, fields);
    if (record.deleted !== undefined) this.adapters.delete(id);
    if (!this.held.has(id)) await this.db?.put('adapters', record).catch(() => undefined);
    this.changed();
  }

  private async connect(name: string): Promise<void> {
    try {
      const opening = openDB<Schema>(name, VERSION, {
        upgrade: (db) => {
          for (const store of ['adapters', 'files', 'trainings'] as const) db.createObjectStore(store, { keyPath: 'id' });
          db.createObjectStore('checkpoints', { keyPath: 'slot' });
        },
        blocking: (_current, _wanted, event) => {
          (event.target as IDBDatabase).close();
          this.db = undefined;
        },
        terminated: () => (this.db = undefined),
      });
      const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE));
      this.db = await Promise.race([opening, late]);
      await this.load();
    } catch {
      // Nothing is kept then; what comes lasts as long as the page.
      this.db = undefined;
    }
  }

  private async load(): Promise<void> {
    const all = (await this.db?.getAll('adapters').catch(() => [])) ?? [];
    for (const id of [...this.adapters.keys()]) if (!this.held.has(id)) this.adapters.delete(id);
    for (const record of all) {
      if (record.deleted === undefined) this.adapters.set(record.id, record);
      else if (Date.now() - record.deleted > STALE_MS) await this.forget(record.id);
    }
    this.tell();
  }

  private changed(): void {
    this.tell();
    this.channel?.postMessage('changed');
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
