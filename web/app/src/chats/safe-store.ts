// A store that goes on when the browser's database cannot: what it does not take is held in memory, and offered again with each
// write that follows.

import { type Kind, type Kinds, type MessageRecord } from './records.ts';
import { MemoryStore, type Change, type Store } from './store.ts';

/** Why conversations are not kept. */
export type Trouble = 'absent' | 'refused' | 'slow' | 'quota' | 'newer' | 'outdated' | 'lost' | 'failed';

/** What an error of the browser's database means here. */
export function troubleOf(thrown: unknown): Trouble {
  const name = (thrown as { name?: unknown } | null)?.name;
  if (name === 'QuotaExceededError') return 'quota';
  if (name === 'VersionError') return 'newer';
  if (name === 'TimeoutError') return 'slow';
  if (name === 'SecurityError' || name === 'InvalidStateError' || name === 'NotAllowedError') return 'refused';
  return 'failed';
}

export class SafeStore implements Store {
  trouble: Trouble | undefined;
  /** What the database did not take, in order, and the state that it leads to. */
  private waiting: Change[] = [];
  private readonly memory = new MemoryStore();
  /** The latest state of each record that was to be written. */
  private readonly newest = new Map<string, Change>();
  private last: Promise<void> = Promise.resolve();

  /** `changed` runs when the trouble has come, gone or become another. */
  constructor(
    private db: Store | undefined,
    private readonly changed: () => void,
    trouble?: Trouble,
  ) {
    this.trouble = trouble;
  }

  /** Whether something is here that would go with the page. */
  get unsaved(): boolean {
    return this.waiting.length > 0;
  }

  /** Goes on with another database, or with none. */
  async move(db: Store | undefined, trouble?: Trouble): Promise<void> {
    this.db = db;
    this.tell(trouble);
    if (db) await this.write([]);
  }

  async all<K extends Kind>(kind: K): Promise<Kinds[K][]> {
    const kept = await this.read((db) => db.all(kind), []);
    return this.merged(kept, kind, () => true);
  }

  async get<K extends Kind>(kind: K, id: string): Promise<Kinds[K] | undefined> {
    const own = await this.memory.get(kind, id);
    if (own || this.gone(kind).has(id)) return own;
    return this.read((db) => db.get(kind, id), undefined);
  }

  async ofChat(chat: string): Promise<MessageRecord[]> {
    const kept = await this.read((db) => db.ofChat(chat), []);
    return this.merged(kept, 'messages', (message) => message.chat === chat);
  }

  async *batches(): AsyncGenerator<MessageRecord[], void, void> {
    yield* this.memory.batches();
    if (!this.db) return;
    const own = new Set((await this.memory.all('messages')).map(({ id }) => id));
    for await (const batch of this.db.batches()) yield batch.filter(({ id }) => !own.has(id) && !this.gone('messages').has(id));
  }

  async write(changes: Change[]): Promise<void> {
    for (const change of changes) if ('put' in change) this.newest.set(nameOf(change), change);
    // What waits goes first, and once. Where nothing does, the database gets the changes before this returns.
    if (this.waiting.length === 0) return this.attempt(changes);
    const turn = this.last.then(() => this.attempt(changes));
    this.last = turn;
    return turn;
  }

  private async attempt(changes: Change[]): Promise<void> {
    if (!this.db) return this.hold(changes);
    const before = new Set(this.waiting);
    try {
      await this.db.write([...this.waiting.filter((old) => !changes.some((change) => replaces(change, old))), ...changes]);
    } catch (thrown) {
      await this.hold(changes);
      return this.tell(troubleOf(thrown));
    }
    // What was held meanwhile waits on.
    this.waiting = this.waiting.filter((change) => !before.has(change));
    if (this.waiting.length === 0) this.memory.clear();
    this.tell(undefined);
  }

  private tell(trouble: Trouble | undefined): void {
    if (this.trouble === trouble) return;
    this.trouble = trouble;
    this.changed();
  }

  /** Keeps changes in memory, on top of what the database has. */
  private async hold(changes: Change[]): Promise<void> {
    for (const change of changes) {
      // A later state was written meanwhile, or is about to be.
      if ('put' in change && this.newest.get(nameOf(change)) !== change) continue;
      this.waiting = this.waiting.filter((old) => !replaces(change, old));
      this.waiting.push(change);
      if ('patch' in change && !(await this.memory.get(change.patch, change.id))) {
        const record = await this.read((db) => db.get(change.patch, change.id), undefined);
        if (record) await this.memory.write([{ put: change.patch, record } as Change]);
      }
      await this.memory.write([change]);
    }
  }

  /** Ids of what was removed, though the database may still have it. */
  private gone(kind: Kind): Set<string> {
    const removed = this.waiting.flatMap((change) => ('remove' in change && change.remove === kind ? [change.id] : 'forget' in change && kind !== 'messages' ? [change.forget] : []));
    return new Set(removed);
  }

  private async merged<K extends Kind>(kept: Kinds[K][], kind: K, wanted: (record: Kinds[K]) => boolean): Promise<Kinds[K][]> {
    if (this.waiting.length === 0) return kept;
    const own = (await this.memory.all(kind)).filter(wanted);
    const hidden = new Set([...own.map(({ id }) => id), ...this.gone(kind)]);
    return [...kept.filter(({ id }) => !hidden.has(id)), ...own];
  }

  private async read<T>(from: (db: Store) => Promise<T>, otherwise: T): Promise<T> {
    if (!this.db) return otherwise;
    try {
      return await from(this.db);
    } catch (thrown) {
      this.tell(troubleOf(thrown));
      return otherwise;
    }
  }
}

const nameOf = ({ put, record }: Extract<Change, { put: unknown }>) => `${put}/${record.id}`;

/** Whether nothing is left of an earlier change after a later one: of an answer that grows the latest state is enough, of what is gone nothing. */
function replaces(later: Change, earlier: Change): boolean {
  if (!('put' in earlier)) return false;
  const { put: kind, record } = earlier;
  if ('put' in later) return later.put === kind && later.record.id === record.id;
  if ('remove' in later) return later.remove === kind && later.id === record.id;
  return 'forget' in later && (kind === 'messages' ? earlier.record.chat === later.forget : kind !== 'presets' && record.id === later.forget);
}
