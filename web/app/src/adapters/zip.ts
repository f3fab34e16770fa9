// Adapters as archives, loaded when one is saved or read.

import { unzipSync, zipSync } from 'fflate';
import type { StoredFile } from './records.ts';
import { AdaptersText } from '../texts/en/adapters.ts';
import { t } from '../texts/text.ts';

/** Largest archive, and largest file in one, that is read. */
const MOST = 2 ** 31;

/** Files in a folder, uncompressed: weights do not shrink. */
export function zip(folder: string, files: StoredFile[]): Uint8Array<ArrayBuffer> {
  return zipSync(Object.fromEntries(files.map(({ name, bytes }) => [`${folder}/${name}`, bytes])), { level: 0 }) as Uint8Array<ArrayBuffer>;
}

/**
 * The files of an archive that `wanted` names, by their names without folders.
 *
 * @throws Error where it is no archive, or too large.
 */
export async function unzip(file: Blob, wanted: (name: string) => boolean): Promise<StoredFile[]> {
  if (file.size > MOST) throw new Error(t(AdaptersText.theArchiveHasSize, { size: file.size, most: MOST }));
  const base = (path: string) => path.split('/').pop() ?? '';
  let total = 0;
  const filter = ({ name, originalSize }: { name: string; originalSize: number }) => {
    if (!wanted(base(name))) return false;
    total += originalSize;
    if (total > MOST) throw new Error(t(AdaptersText.theArchiveHoldsMore));
    return true;
  };
  const found = unzipSync(new Uint8Array(await file.arrayBuffer()), { filter });
  return Object.entries(found).map(([name, bytes]) => ({ name: base(name), bytes: bytes as Uint8Array<ArrayBuffer> }));
}
