// What stands beside a stored file: its record, which the engine reads and writes, too, and while it is not whole the journal of its
// pieces.
//
// The record of an unfinished download names its journal and has no tag, so that the engine never takes the file's length for what is
// stored; a record that the engine wrote names no journal, so that pieces of an earlier file are never taken for its. The journal is
// appended to only, a line when a piece was written and flushed: what a crash leaves of a last line does not count.

import type { FileAccess, StoredFolder } from './host.ts';
import { digestOf } from './names.ts';
import { PIECE } from './pieces.ts';

/** As the engine's `source/stored.rs` has it, with what this downloader knows besides. */
export interface StoredRecord {
  url: string;
  /** What identifies the version on the server. */
  tag: string | null;
  /** Bytes of the whole file. */
  len: number | null;
  complete: boolean;
  /** Of an unfinished download: the journal that speaks of its file. */
  journal?: string;
  /** Of a whole file: its digest, and whether that was asked for or published. */
  sha256?: string;
  verified?: boolean;
}

/** The first line of a journal. */
export interface JournalHead {
  id: string;
  url: string;
  tag: string | null;
  len: number;
  piece: number;
  sha256: string | null;
}

export interface Journal {
  head: JournalHead;
  pieces: number[];
  /** The digest of the whole file, where it is not the one that it should have. */
  wrong?: string;
}

export const recordName = (name: string): string => `${name}.json`;
export const journalName = (name: string): string => `${name}.journal`;

/** A name that shows what it is and differs for different addresses: the engine's `file_name`. */
export function fileName(url: string): string {
  // FNV-1a, 64 bits.
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(url)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  const path = (url.split(/[?#]/)[0] as string).split('/');
  const stem = (path.at(-1) as string).replace(/\.gguf$/, '');
  const plain = Array.from(stem).slice(0, 80).map((letter) => (/^[a-z\d._-]$/i.test(letter) ? letter : '_')).join('');
  return `${plain}-${hash.toString(16).padStart(16, '0')}.gguf`;
}

/** Parts that are believed. */
const MOST_PARTS = 512;

/** The addresses of all parts; nothing where the address is that of a whole model. */
export function partAddresses(url: string): string[] | undefined {
  const [, before, own, count, after] = /^([^?#]*-)(\d{5})-of-(\d{5})(\.gguf(?:[?#].*)?)$/i.exec(url) ?? [];
  const parts = Number(count);
  if (count === undefined || parts < 2 || parts > MOST_PARTS || Number(own) < 1 || Number(own) > parts) return undefined;
  return Array.from({ length: parts }, (_, part) => `${before}${String(part + 1).padStart(5, '0')}-of-${count}${after}`);
}

/** Attempts to read what is being written, which browsers refuse, and milliseconds between them. */
const READINGS = 4;
const READING = 30;

/** The text of a file; nothing where it is not there or cannot be read. */
async function textOf(folder: StoredFolder, name: string): Promise<string> {
  for (let reading = 1; ; reading++) {
    try {
      return await (await (await folder.getFileHandle(name)).getFile()).text();
    } catch (thrown) {
      if ((thrown as DOMException).name !== 'NotReadableError' || reading >= READINGS) return '';
      await new Promise((resolve) => setTimeout(resolve, READING));
    }
  }
}

export async function readRecord(folder: StoredFolder, name: string): Promise<StoredRecord> {
  const record = parsed(await textOf(folder, recordName(name)));
  const text = (key: string) => (typeof record[key] === 'string' && record[key] !== '' ? (record[key] as string) : undefined);
  const sha256 = digestOf(record['sha256']);
  const journal = text('journal');
  return {
    url: text('url') ?? '',
    tag: text('tag') ?? null,
    len: length(record['len']) ?? null,
    complete: record['complete'] === true,
    ...(journal !== undefined && { journal }),
    ...(sha256 !== undefined && { sha256, verified: record['verified'] === true }),
  };
}

/** The journal of a record's file; nothing where there is none that speaks of it. */
export async function readJournal(folder: StoredFolder, name: string, record: StoredRecord): Promise<Journal | undefined> {
  if (record.journal === undefined || record.complete) return undefined;
  // What follows the last line's end was not written whole.
  const lines = (await textOf(folder, journalName(name))).split('\n').slice(0, -1);
  const head = parsed(lines[0] ?? '');
  const len = length(head['len']);
  if (head['id'] !== record.journal || head['url'] !== record.url || head['piece'] !== PIECE || len === undefined) return undefined;
  const tag = typeof head['tag'] === 'string' ? head['tag'] : null;
  const journal: Journal = { head: { id: record.journal, url: record.url, tag, len, piece: PIECE, sha256: digestOf(head['sha256']) ?? null }, pieces: [] };
  for (const line of lines.slice(1)) {
    const wrong = digestOf(line.replace(/^wrong /, ''));
    if (wrong !== undefined) journal.wrong = wrong;
    else if (/^\d{1,9}$/.test(line) && Number(line) * PIECE < len) journal.pieces.push(Number(line));
  }
  return journal;
}

/** Bytes that a journal vouches for. */
export function bytesIn({ head, pieces }: Journal): number {
  return [...new Set(pieces)].reduce((sum, piece) => sum + Math.min(PIECE, head.len - piece * PIECE), 0);
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function length(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

/** Opens a file for writing, creating it where it is missing. */
export async function openFile(folder: StoredFolder, name: string): Promise<FileAccess> {
  return (await folder.getFileHandle(name, { create: true })).createSyncAccessHandle();
}

export async function writeRecord(folder: StoredFolder, name: string, record: StoredRecord | undefined): Promise<void> {
  const file = await openFile(folder, recordName(name));
  try {
    file.truncate(0);
    if (record) writeAll(file, new TextEncoder().encode(JSON.stringify(record)), 0);
    file.flush();
  } finally {
    file.close();
  }
}

/** Removes a file and what stands beside it, as far as it is there. */
export async function removeFiles(folder: StoredFolder, name: string): Promise<void> {
  for (const entry of [name, recordName(name), journalName(name)]) await folder.removeEntry(entry).catch(() => undefined);
}

/** A disk that takes less than it was given is full. */
export function writeAll(file: FileAccess, bytes: Uint8Array, at: number): void {
  const written = file.write(bytes, { at });
  if (written !== bytes.length) throw new DOMException('the disk took less than was written', 'QuotaExceededError');
}

/** A journal that is written to. */
export class JournalFile {
  private constructor(
    private readonly file: FileAccess,
    private end: number,
  ) {}

  /** Goes on with a journal, or begins one. */
  static async open(folder: StoredFolder, name: string, begin?: JournalHead): Promise<JournalFile> {
    const file = await openFile(folder, journalName(name));
    try {
      if (!begin) return new JournalFile(file, wholeLines(file));
      file.truncate(0);
      const journal = new JournalFile(file, 0);
      journal.append([JSON.stringify(begin)]);
      return journal;
    } catch (thrown) {
      file.close();
      throw thrown;
    }
  }

  append(lines: string[]): void {
    const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
    writeAll(this.file, bytes, this.end);
    this.end += bytes.length;
    this.file.flush();
  }

  close(): void {
    this.file.close();
  }
}

/** Where the last whole line ends: what a crash left behind it is written over. */
function wholeLines(file: FileAccess): number {
  const bytes = new Uint8Array(file.getSize());
  file.read(bytes, { at: 0 });
  const end = bytes.lastIndexOf(10) + 1;
  file.truncate(end);
  return end;
}
