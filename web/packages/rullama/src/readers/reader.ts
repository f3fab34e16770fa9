// A thread that reads a model's file beside the engine's: its own end.

import type { StoredFolder } from '../download/host.ts';
import type { KeptSource } from '../download/keep.ts';

/** Where a thread finds a file: a picked one, in the private storage by its name, in Node on the disk. */
export type FileAt = { blob: Blob } | { stored: string } | { path: string };

/** To a thread: the engine, once, then rows of files, by number. `spare` is memory to put them into. */
export type ToReader =
  | { module: WebAssembly.Module }
  | { job: number; file: number; at: FileAt; rows: Float64Array; spare?: Uint8Array };

/** From it: that it is there, then what it made; no bytes of what it could not read. */
export type FromReader = { ready: true } | { job: number; bytes?: Uint8Array };

/** A file as the engine's module takes it. */
export type EngineFile = { blob: Blob } | { file: KeptSource };

/** The engine's bindings, as far as a thread needs them. */
export interface ReaderGlue {
  initSync(options: { module: WebAssembly.Module }): unknown;
  rearrangeRows(file: EngineFile, rows: Float64Array, spare: Uint8Array | undefined): Promise<Uint8Array<ArrayBuffer>>;
}

/** What receives the messages of a thread. */
export function reader(
  glue: ReaderGlue,
  open: (at: FileAt) => Promise<EngineFile>,
  post: (message: FromReader, transfer: ArrayBuffer[]) => void,
): (message: ToReader) => Promise<void> {
  const files = new Map<number, Promise<EngineFile>>();
  return async (message) => {
    if ('module' in message) {
      glue.initSync({ module: message.module });
      post({ ready: true }, []);
      return;
    }
    const { job, file, at, rows, spare } = message;
    try {
      const opened = files.get(file) ?? open(at);
      files.set(file, opened);
      const bytes = await glue.rearrangeRows(await opened, rows, spare);
      post({ job, bytes }, [bytes.buffer]);
    } catch {
      post({ job }, []);
    }
  };
}

/** A picked file or one of the private storage. Browsers without modes open the latter for one thread alone, which is the engine's. */
export async function openInBrowser(at: FileAt, folder: () => Promise<StoredFolder>): Promise<EngineFile> {
  if ('blob' in at) return at;
  if ('path' in at) throw new DOMException('a path', 'NotFoundError');
  const access = await (await (await folder()).getFileHandle(at.stored)).createSyncAccessHandle({ mode: 'read-only' });
  const file: KeptSource = {
    length: access.getSize(),
    arriving: false,
    read(at, into) {
      if (access.read(into, { at }) !== into.length) throw new DOMException('the file is shorter', 'NotReadableError');
      return undefined;
    },
    // It is read as long as the thread is there.
    close: () => undefined,
  };
  return { file };
}
