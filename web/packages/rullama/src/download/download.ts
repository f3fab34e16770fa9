// A model's file into the browser's private storage: what is there is continued or begun anew, fetched, checked and recorded.

import { RullamaError } from '../errors.ts';
import type { DownloadProgress, Downloaded } from '../download-types.ts';
import { Behind } from './behind.ts';
import { publishedDigest } from './digest.ts';
import type { FileAccess, Host, StoredFolder } from './host.ts';
import { digestOf } from './names.ts';
import { PIECE, Pieces } from './pieces.ts';
import { fileName, JournalFile, openFile, readJournal, readRecord, removeFiles, writeRecord, journalName, type Journal, type StoredRecord } from './record.ts';
import { Changed, probe, stopped, type Asking, type Remote } from './remote.ts';
import { Reporter } from './reporter.ts';
import { Transfer, type Target } from './transfer.ts';

/** A download as it travels to the worker. */
export interface DownloadRequest {
  url: string;
  sha256?: string | undefined;
  headers?: Record<string, string> | undefined;
}

/** A file that is to be read before it is whole. */
export interface Early {
  /** Is given what can be read already; the rest comes when that is asked to go on. */
  begins: (behind: Behind) => void;
  /** Nothing is stored of a file in which nothing can wait. */
  only: boolean;
}

/** Nothing of the file can wait, or nothing of it can be fetched later. */
export class NothingLater {}

/** Versions that one download begins with, when the file changes under it. */
const VERSIONS = 3;
/** Bytes of a file that is stored for nothing else than to be read before it is whole. */
const LEAST = 64 << 20;
/** Attempts to open a file that a tab has just let go of, and milliseconds between them. */
const OPENINGS = 6;
const OPENING = 150;

/**
 * Makes sure that the private storage has the whole file, with the digest that it should have where somebody says one.
 *
 * @throws RullamaError `quota` where there is no room, `network` and `source-changed` of the server, `cancelled` when it is paused: what
 * has arrived stays then, unless the server cannot continue it. With `early.only` it throws `NothingLater`.
 */
export async function download(
  request: DownloadRequest,
  host: Host,
  emit: (progress: DownloadProgress) => void,
  signal: AbortSignal,
  early?: Early,
): Promise<Downloaded> {
  const name = fileName(request.url);
  const reporter = new Reporter(request.url, (progress) => {
    emit(progress);
    if (progress.state !== 'elsewhere') host.tell(name, progress);
  });
  const asking = { host, url: request.url, headers: request.headers ?? {}, signal };
  let deaf: () => void = () => undefined;
  const wait = () => {
    reporter.is('elsewhere');
    deaf = host.hear(name, (message) => message !== null && reporter.follow(message as DownloadProgress));
  };
  try {
    return await host.locked(name, signal, wait, () => {
      deaf();
      stopped(signal);
      reporter.is('asking');
      return new Download(name, asking, reporter, digestOf(request.sha256), early).run();
    });
  } catch (thrown) {
    stopped(signal);
    throw thrown;
  } finally {
    deaf();
    reporter.end();
    host.tell(name, null);
  }
}

class Download {
  private folder!: StoredFolder;
  /** Whether what was stored before is gone. */
  private emptied = false;

  constructor(
    private readonly name: string,
    private readonly asking: Asking,
    private readonly reporter: Reporter,
    private readonly wanted: string | undefined,
    private readonly early: Early | undefined,
  ) {}

  async run(): Promise<Downloaded> {
    this.folder = await this.asking.host.folder();
    for (let version = 1; ; version++) {
      try {
        return await this.attempt();
      } catch (thrown) {
        if (thrown instanceof NothingLater && this.emptied) await removeFiles(this.folder, this.name);
        if (!(thrown instanceof Changed)) throw this.storageError(thrown);
        if (version >= VERSIONS) {
          await removeFiles(this.folder, this.name);
          throw new RullamaError('source-changed', `${this.asking.url} changed while it was downloaded: ${thrown.what}.`, {
            remedy: 'Try again when the file stays as it is.',
          });
        }
        this.reporter.notice = 'changed';
      }
    }
  }

  /** Continues or begins the version that the server has now. */
  private async attempt(): Promise<Downloaded> {
    const { folder, name, asking } = this;
    const record = await readRecord(folder, name);
    const size = await sizeOf(folder, name);
    const whole = record.complete && record.url === asking.url && record.len === size;
    let remote: Remote;
    try {
      remote = await probe(asking);
    } catch (thrown) {
      // While the server is away, its copy will do.
      const usable = whole && (this.wanted === undefined || this.wanted === record.sha256);
      if (usable && thrown instanceof RullamaError && thrown.code === 'network') return downloaded(name, record, size);
      throw thrown;
    }
    const published = await publishedDigest(asking, remote, this.wanted);
    const journalled = await readJournal(folder, name, record);
    // The file has its whole length from the beginning on; one that has not lost what the journal speaks of.
    const begun = journalled?.head.len === size ? journalled : undefined;
    // What was known of this version when it was begun is known still.
    const digest = published ?? (begun?.head.tag && begun.head.tag === remote.tag ? (begun.head.sha256 ?? undefined) : undefined);
    const same = whole && record.tag === (remote.tag ?? null) && (remote.len === undefined || remote.len === size);
    if (same && (digest === undefined || digest === record.sha256)) {
      const known = { ...record, verified: record.verified === true || digest !== undefined };
      if (known.verified !== (record.verified === true)) await writeRecord(folder, name, known);
      return downloaded(name, known, size);
    }
    // A copy of another version is not given up for it, and a short file is here before anybody waits.
    if (this.early?.only && (record.complete || !resumable(remote, digest) || (remote.len as number) < LEAST)) throw new NothingLater();
    const journal = same ? someOf(record, size, size) : (begun ?? engines(record, size, remote, digest));
    const usable = journal !== undefined && this.usable(journal, remote, digest);
    return this.fill(remote, digest, usable ? journal : undefined, journal !== undefined || record.complete).catch((thrown: unknown) => {
      // A whole copy that a model is read from cannot be hashed now.
      if (same && usable && (thrown as DOMException)?.name === 'NoModificationAllowedError') return downloaded(name, record, size);
      throw thrown;
    });
  }

  /** Whether stored pieces belong to the file that the server has now. */
  private usable(journal: Journal, remote: Remote, digest: string | undefined): boolean {
    const { url, len, tag, sha256 } = journal.head;
    if (url !== remote.url || len !== remote.len || !(remote.ranges || journal.pieces.length * PIECE >= len)) return false;
    if (journal.wrong !== undefined && journal.wrong !== digest) {
      this.reporter.notice = 'damaged';
      return false;
    }
    // A digest is of one version; without one the tag must say it.
    if (sha256 !== null && digest !== undefined) return sha256 === digest || journal.wrong === digest;
    return tag !== null && tag === remote.tag;
  }

  private async fill(remote: Remote, digest: string | undefined, kept: Journal | undefined, before: boolean): Promise<Downloaded> {
    const { folder, name, reporter } = this;
    if (!remote.ranges) reporter.notice ??= 'no-ranges';
    else if (remote.tag === undefined && digest === undefined) reporter.notice ??= 'no-version';
    else if (!kept && before) reporter.notice ??= 'changed';
    reporter.total = remote.len;
    const pieces = (remote.ranges || kept) && remote.len !== undefined ? new Pieces(remote.len, kept?.pieces) : undefined;
    reporter.done = pieces?.done ?? 0;
    const file = await this.open();
    const had = file.getSize();
    let journal: JournalFile | undefined;
    let finished: Downloaded | undefined;
    try {
      await this.reserve(file, remote.len, kept !== undefined);
      journal = await this.begin(remote, digest, kept);
      const { sha256, length } = await this.transfer({ file, remote, ...(pieces && { pieces }), ...(journal && { journal }) });
      if (digest !== undefined && sha256 !== digest) {
        journal?.append([`wrong ${sha256}`]);
        throw damaged(this.asking.url, digest, sha256);
      }
      const record = { url: remote.url, tag: remote.tag ?? null, len: length, complete: true, sha256, verified: digest !== undefined };
      if (file.getSize() !== length) file.truncate(length);
      file.flush();
      await writeRecord(folder, name, record);
      return (finished = downloaded(name, record, length));
    } finally {
      journal?.close();
      file.close();
      if (finished) await folder.removeEntry(journalName(name)).catch(() => undefined);
      // What there is no room for leaves what was there before.
      else if (!journal && (this.emptied || had === 0)) await this.leave(remote);
    }
  }

  /** Fetches what is missing; where it is wanted early, what a chat can wait for comes when it is asked for. */
  private async transfer(target: Target): Promise<{ sha256: string; length: number }> {
    const { early, asking, reporter } = this;
    const { pieces, journal } = target;
    const transfer = new Transfer(target, asking, reporter);
    if (!early || !pieces || !journal) return transfer.run();
    await transfer.begin(early.only ? () => new NothingLater() : undefined);
    if (pieces.complete) return transfer.run();
    const behind = new Behind({ ...target, pieces, transfer }, asking, reporter);
    early.begins(behind);
    return behind.run();
  }

  /** What cannot be continued takes no room; one that was paused is still listed. */
  private async leave(remote: Remote): Promise<void> {
    await removeFiles(this.folder, this.name);
    if (!this.asking.signal.aborted) return;
    const empty = await openFile(this.folder, this.name);
    empty.close();
    await writeRecord(this.folder, this.name, { url: remote.url, tag: null, len: remote.len ?? null, complete: false });
  }

  private async open(): Promise<FileAccess> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await openFile(this.folder, this.name);
      } catch (thrown) {
        if ((thrown as DOMException).name !== 'NoModificationAllowedError' || attempt >= OPENINGS) throw thrown;
        await this.asking.host.sleep(OPENING, this.asking.signal);
        stopped(this.asking.signal);
      }
    }
  }

  /** Takes the room of the whole file before the first byte of it: what is too large says so now. */
  private async reserve(file: FileAccess, length: number | undefined, kept: boolean): Promise<void> {
    const had = file.getSize();
    const need = length === undefined ? 0 : length - (kept ? had : 0);
    const room = await this.asking.host.room();
    const free = room === undefined ? undefined : room + (kept ? 0 : had);
    if (free !== undefined && need > free) throw noRoom(this.asking.url, need, free);
    if (!kept) {
      this.emptied = true;
      // What is there belongs to no version, until the new record says so.
      await writeRecord(this.folder, this.name, undefined);
      file.truncate(0);
    }
    if (length === undefined) return;
    try {
      file.truncate(length);
    } catch (thrown) {
      if ((thrown as DOMException).name !== 'QuotaExceededError') throw thrown;
      throw noRoom(this.asking.url, need, undefined);
    }
  }

  private async begin(remote: Remote, digest: string | undefined, kept: Journal | undefined): Promise<JournalFile | undefined> {
    const { folder, name } = this;
    if (!resumable(remote, digest) || remote.len === undefined) return undefined;
    // The journal of another digest is written anew, with its pieces.
    if (kept && kept.head.id !== NONE && kept.wrong === undefined && kept.head.sha256 === (digest ?? null)) return JournalFile.open(folder, name);
    const head = { id: randomId(), url: remote.url, tag: remote.tag ?? null, len: remote.len, piece: PIECE, sha256: digest ?? null };
    const journal = await JournalFile.open(folder, name, head);
    try {
      if (kept) journal.append(kept.pieces.map(String));
      await writeRecord(folder, name, { url: remote.url, tag: null, len: remote.len, complete: false, journal: head.id });
      return journal;
    } catch (thrown) {
      journal.close();
      throw thrown;
    }
  }

  /** What the storage threw, in words. */
  private storageError(thrown: unknown): unknown {
    if (thrown instanceof RullamaError) return thrown;
    const { name, message } = thrown as DOMException;
    const { url } = this.asking;
    if (name === 'QuotaExceededError') {
      return new RullamaError('quota', `${url}: the disk became full while it was downloaded.`, {
        remedy: 'Free disk space or delete kept models, then go on: what was stored until then is kept.',
        cause: thrown,
      });
    }
    if (name === 'NoModificationAllowedError') {
      return new RullamaError('quota', `${url}: another tab uses the stored file.`, { remedy: 'Close the tab that has it loaded, then try again.', cause: thrown });
    }
    // What no storage throws is a fault of this program.
    if (!(thrown instanceof DOMException)) return thrown;
    return new RullamaError('quota', `${url}: the browser's private storage failed: ${message || name}.`, {
      remedy: 'Free disk space or delete kept models, then try again.',
      cause: thrown,
    });
  }
}

const NONE = 'none';

/** Whether another visit can go on with a file: its parts can be asked for, and it is certain that they belong to one version. */
const resumable = ({ ranges, len, tag }: Remote, digest: string | undefined): boolean => ranges && len !== undefined && (tag !== undefined || digest !== undefined);

/** The first `bytes` of a file that has no journal, as a journal with its pieces. */
function someOf({ url, tag, sha256 }: StoredRecord, bytes: number, len: number): Journal {
  const count = bytes === len ? Math.ceil(len / PIECE) : Math.floor(bytes / PIECE);
  const pieces = Array.from({ length: count }, (_, piece) => piece);
  return { head: { id: NONE, url, tag, len, piece: PIECE, sha256: null }, pieces, ...(sha256 !== undefined && { wrong: sha256 }) };
}

/** What the engine began to store, from the beginning on. It keeps no journal: what is there is taken where a digest will tell. */
function engines(record: StoredRecord, size: number, remote: Remote, digest: string | undefined): Journal | undefined {
  const { len } = remote;
  const usable = !record.complete && record.journal === undefined && record.tag !== null && size > 0 && len !== undefined && size <= len;
  return usable && digest !== undefined ? someOf(record, size, len) : undefined;
}

const randomId = (): string => Array.from(crypto.getRandomValues(new Uint32Array(3)), (word) => word.toString(36)).join('');

function downloaded(name: string, { url, sha256, verified }: StoredRecord, bytes: number): Downloaded {
  return { name, url, bytes, ...(sha256 !== undefined && { sha256 }), verified: verified === true };
}

async function sizeOf(folder: StoredFolder, name: string): Promise<number> {
  return folder.getFileHandle(name).then((handle) => handle.getFile()).then(({ size }) => size, () => 0);
}

function damaged(url: string, expected: string, got: string): RullamaError {
  return new RullamaError('source-changed', `${url}: the file that came is not the one that was published: its SHA-256 is ${got}, expected was ${expected}.`, {
    remedy: 'Start again: what is stored of it is fetched anew. If it fails again, the file on the server is damaged or replaced.',
  });
}

function noRoom(url: string, need: number, room: number | undefined): RullamaError {
  const gb = (bytes: number) => (bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
  const has = room === undefined ? 'gives less' : `gives ${gb(room)}`;
  return new RullamaError('quota', `${url}: ${need} more bytes must be stored (${gb(need)}), and the browser ${has}.`, {
    remedy: 'Free disk space, delete kept models that are not needed, or choose the file from the disk.',
  });
}
