// Files of adapters: which dropped files are some, reading them with the model that is loaded, and saving them.

import type { Adapter, Engine } from 'rullama';
import { newId } from '../chats/records.ts';
import { saveFile } from '../save.ts';
import type { AdapterPool } from './pool.ts';
import { tagOf, type AdapterRecord, type ModelTag, type StoredFile } from './records.ts';
import type { Shelf } from './shelf.ts';
import { AdaptersText } from '../texts/en/adapters.ts';
import { t } from '../texts/text.ts';

const archive = () => import('./zip.ts');

/** What the header of a GGUF adapter says: the key `general.type`, a text of 7 bytes. */
const GGUF_TYPE = new TextEncoder().encode('general.type\x08\0\0\0\x07\0\0\0\0\0\0\0adapter');
/** Bytes of a header in which it stands. */
const HEADER = 1 << 16;

const isPart = (name: string) => name === 'adapter_config.json' || /\.safetensors$/i.test(name);
const isUseful = (name: string) => isPart(name) || /\.gguf$/i.test(name);

async function starts(file: Blob, text: string): Promise<boolean> {
  return (await file.slice(0, text.length).text().catch(() => '')) === text;
}

async function isGgufAdapter(file: Blob): Promise<boolean> {
  if (!(await starts(file, 'GGUF'))) return false;
  const header = new Uint8Array(await file.slice(0, HEADER).arrayBuffer());
  const last = header.length - GGUF_TYPE.length;
  for (let at = header.indexOf(GGUF_TYPE[0] as number); at >= 0 && at <= last; at = header.indexOf(GGUF_TYPE[0] as number, at + 1)) {
    if (GGUF_TYPE.every((byte, i) => header[at + i] === byte)) return true;
  }
  return false;
}

/** The files of an adapter among files that were dropped or chosen, and what to call it; nothing where there are none. */
export async function adapterIn(files: File[]): Promise<{ name: string; files: StoredFile[] } | undefined> {
  const read = async (file: File): Promise<StoredFile> => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
  const parts = files.filter(({ name }) => isPart(name));
  if (parts.length > 0) return { name: nameFrom(parts), files: await Promise.all(parts.map(read)) };
  for (const file of files) {
    if (await isGgufAdapter(file)) return { name: stem(file.name), files: [await read(file)] };
    if (!(await starts(file, 'PK\x03\x04'))) continue;
    const found = await (await archive()).unzip(file, isUseful);
    // An archive with both forms is read by the one that holds everything.
    const peft = found.filter(({ name }) => isPart(name));
    if (found.length > 0) return { name: stem(file.name).replace(/-(peft|gguf|both)$/, ''), files: peft.length > 0 ? peft : found };
  }
  return undefined;
}

const stem = (name: string) => name.replace(/\.[a-z]+$/i, '') || 'adapter';

/** A lone file's name, or that of the folder that was chosen. */
function nameFrom(parts: File[]): string {
  const folder = (parts[0] as File).webkitRelativePath.split('/').at(-2);
  const lone = parts.length === 1 ? stem((parts[0] as File).name) : 'adapter';
  return folder || lone;
}

export interface Kept {
  record: AdapterRecord;
  /** Whether it outlasts the page. */
  stored: boolean;
}

/** Reads an adapter with the model that is loaded, and keeps it. */
export async function take(engine: Engine, modelName: string, shelf: Shelf, pool: AdapterPool, { name, files }: { name: string; files: StoredFile[] }): Promise<Kept> {
  const adapter = await engine.loadAdapter(files);
  return keep(adapter, tagOf(engine.info, modelName), shelf, pool, { name, files });
}

/** Keeps an adapter that was read. */
export async function keep(adapter: Adapter, model: ModelTag, shelf: Shelf, pool: AdapterPool, { name, files, about }: { name: string; files: StoredFile[]; about?: string }): Promise<Kept> {
  const bytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
  const { rank, alpha } = adapter;
  const record: AdapterRecord = { id: newId(), name, created: Date.now(), bytes, rank, alpha, model, ...(about && { about }) };
  pool.put(record.id, adapter);
  return { record, stored: await shelf.add(record, files) };
}

export type Form = 'peft' | 'gguf' | 'both';

/** Saves an adapter as an archive. Its own form needs no model; `engine` writes the other. */
export async function download(record: AdapterRecord, form: Form, shelf: Shelf, engine: Engine | undefined): Promise<void> {
  const files = await shelf.files(record.id);
  const own: Form = files.some(({ name }) => name === 'adapter_config.json') ? 'peft' : 'gguf';
  const inForm = async (wanted: 'peft' | 'gguf'): Promise<StoredFile[]> => {
    // A GGUF file alone lacks the Modelfile, and one of rullama 0.4 its configuration.
    if (wanted === own && (own === 'peft' || !engine)) return files;
    if (!engine) throw new Error(t(AdaptersText.loadModelFirstIt, { model: record.model.name, record: record.name }));
    return engine.convertAdapter(files, wanted, record.name);
  };
  const all = form === 'both' ? [...(await inForm('peft')), ...(await inForm('gguf'))] : await inForm(form);
  const name = fileName(record.name);
  saveFile(`${name}-${form}.zip`, new Blob([(await archive()).zip(name, all)], { type: 'application/zip' }));
}

/** A name as that of a file. */
function fileName(name: string): string {
  return [...name.replace(/[^\p{L}\p{N}_-]+/gu, '-').replace(/^-+|-+$/g, '')].slice(0, 60).join('') || 'adapter';
}
