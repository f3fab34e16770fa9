// Files that a model is read from in the browser's private storage: whole ones, and such as are read while their rest arrives.

import type { Downloaded, DownloadProgress } from '../download-types.ts';
import { RullamaError } from '../errors.ts';
import type { Progress } from '../types.ts';
import { download, NothingLater } from './download.ts';
import type { Behind } from './behind.ts';
import { browserHost, type FileAccess, type Host } from './host.ts';
import { begun, downloadModel } from './parts.ts';
import { partAddresses } from './record.ts';
import type { Readers, ReadersOf } from '../readers/pool.ts';

/** What the engine reads, as it sees it. */
export interface KeptSource {
  readonly length: number;
  /** Whether some of its rows are still fetched one by one. */
  readonly arriving: boolean;
  /** Who reads it as well, once all of it is there. */
  readonly readers?: Readers | undefined;
  /** Fills `into` with what stands at `at`, or gives it later: memory that a view is of may have moved by then. */
  read(at: number, into: Uint8Array): undefined | Promise<Uint8Array>;
  close(): void;
}

/** Stores an address and opens its copy. `must` says that it cannot be read without one, `rows` that rows may be fetched meanwhile. */
export type Keep = (url: string, must: boolean, rows: boolean) => Promise<KeptSource | undefined>;

interface Wishes {
  /** Whether a chat is to begin before all has arrived. */
  early: boolean;
  emit: (progress: Progress) => void;
  /** The file turned out to be another one than it should be, after a model was loaded from it. */
  onLost: (error: RullamaError) => void;
  host?: () => Host;
  /** Who reads a file as well. */
  readersOf?: ReadersOf;
}

/** The files of one model. */
export class Keeper {
  private readonly host: Host;
  private readonly files: KeptFile[] = [];
  private parts: Promise<unknown> | undefined;

  constructor(private readonly wishes: Wishes) {
    this.host = (wishes.host ?? browserHost)();
  }

  readonly keep: Keep = async (url, must, rows) => {
    const split = partAddresses(url);
    const early = this.wishes.early && rows && !split;
    const wanted = must || (await begun(split ?? [url], this.host));
    if (!wanted && !early) return undefined;
    // Where there is no such storage, that is said before anything is asked.
    if (must) await this.host.folder();
    try {
      // All parts are stored before the first is read.
      if (split) await (this.parts ??= downloadModel({ url }, (progress) => this.tell(progress), NEVER, this.host));
      const file = await KeptFile.of(url, this.host, early ? (wanted ? 'early' : 'try') : 'whole', (progress) => this.tell(progress), this.wishes);
      this.files.push(file);
      return file;
    } catch (thrown) {
      // Without a copy it is read at its address, which says what is wrong with that.
      if (wanted || !(thrown instanceof RullamaError || thrown instanceof NothingLater)) throw thrown;
      return undefined;
    }
  };

  /** The file whose rest is still to come. */
  get arriving(): DownloadProgress | undefined {
    return this.files.find((file) => file.arriving)?.progress;
  }

  /** Stores the rest; `null` where nothing is missing. Aborting `signal` pauses. */
  async finish(emit: (progress: DownloadProgress) => void, signal: AbortSignal): Promise<Downloaded | null> {
    return this.files.find((file) => file.arriving)?.finish(emit, signal) ?? null;
  }

  private tell(download: DownloadProgress): void {
    const { done, total = 0, first = total } = download;
    this.wishes.emit({ phase: 'download', done, total: this.wishes.early ? first : total, download });
  }
}

const NEVER = new AbortController().signal;

class KeptFile implements KeptSource {
  length = 0;
  readers: Readers | undefined;
  progress!: DownloadProgress;
  private handle: FileAccess | undefined;
  private behind: Behind | undefined;
  /** Resolves when the whole file is open. */
  private done!: Promise<Downloaded>;
  private closed = false;

  private constructor(
    private told: (progress: DownloadProgress) => void,
    private readonly readersOf: ReadersOf | undefined,
  ) {}

  /** What can be read of a file, as soon as enough of it is stored. */
  static async of(url: string, host: Host, how: 'whole' | 'early' | 'try', told: (progress: DownloadProgress) => void, wishes: Wishes): Promise<KeptFile> {
    const file = new KeptFile(told, wishes.readersOf);
    const emit = (progress: DownloadProgress) => file.told((file.progress = progress));
    const begins = new Promise<void>((resolve) => {
      const early = (behind: Behind) => {
        file.behind = behind;
        file.length = behind.length;
        resolve();
      };
      file.done = download({ url }, host, emit, NEVER, how === 'whole' ? undefined : { begins: early, only: how === 'try' }).then(async (whole) => {
        if (!file.closed) await file.open(host, whole);
        return whole;
      });
    });
    file.done.catch((thrown: unknown) => {
      if (file.behind && !file.closed) wishes.onLost(suspect(RullamaError.from(thrown)));
    });
    await Promise.race([begins, file.done]);
    return file;
  }

  get arriving(): boolean {
    return this.behind !== undefined && this.handle === undefined;
  }

  read(at: number, into: Uint8Array): undefined | Promise<Uint8Array> {
    if (this.handle) {
      const got = this.handle.read(into, { at });
      if (got !== into.length) throw new DOMException(`the stored file gave ${got} bytes of ${into.length} at ${at}`, 'NotReadableError');
      return undefined;
    }
    if (this.behind?.readStored(at, into)) return undefined;
    const later = this.later(at, into.length);
    // Of several that fail the first is told.
    later.catch(() => undefined);
    return later;
  }

  private async later(at: number, length: number): Promise<Uint8Array> {
    if (this.behind && !this.behind.over) return this.behind.fetchRow(at, length);
    await this.done;
    const bytes = new Uint8Array(length);
    return (await this.read(at, bytes)) ?? bytes;
  }

  async finish(emit: (progress: DownloadProgress) => void, signal: AbortSignal): Promise<Downloaded> {
    this.told = emit;
    emit(this.progress);
    return Promise.race([this.done, (this.behind as Behind).goOn(signal)]);
  }

  close(): void {
    this.closed = true;
    this.behind?.end(new RullamaError('closed', 'The model was closed.'));
    this.handle?.close();
  }

  /** Opens what is whole, which several may read at a time; browsers that know no modes open it for one alone. */
  private async open(host: Host, { name, url, bytes }: Downloaded): Promise<void> {
    try {
      const folder = await host.folder();
      this.handle = await (await folder.getFileHandle(name)).createSyncAccessHandle({ mode: 'read-only' });
    } catch (thrown) {
      const busy = (thrown as DOMException).name === 'NoModificationAllowedError';
      throw new RullamaError('quota', `${url}: the stored file cannot be opened: ${busy ? 'another tab uses it' : RullamaError.from(thrown).message}.`, {
        remedy: busy ? 'Close the tab that has it loaded, then load it again.' : 'Load it again.',
        cause: thrown,
      });
    }
    this.length = bytes;
    if (this.closed) this.handle.close();
    else this.readers = this.readersOf?.({ stored: name }, bytes);
  }
}

/** What was loaded from a file that turns out to be another one has been used already. */
function suspect({ code, message, remedy }: RullamaError): RullamaError {
  return new RullamaError(code, code === 'source-changed' ? `${message} What the model has answered may be wrong.` : message, { remedy });
}
