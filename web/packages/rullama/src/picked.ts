// Files as they travel to the engine.

import { RullamaError } from './errors.ts';
import type { FileRef, SourceRef } from './protocol.ts';

/**
 * One file, or the parts of a model, which the engine puts in their order.
 *
 * @throws RullamaError `invalid-argument` for a list without files, or with something else in it.
 */
export function pickedRef(picked: Blob | Blob[]): SourceRef {
  if (picked instanceof Blob) return refOf(picked, 'model.gguf');
  if (picked.length > 0 && picked.every((file: unknown) => file instanceof Blob)) return { parts: picked.map((file, i) => refOf(file, `part ${i + 1}`)) };
  throw new RullamaError('invalid-argument', picked.length === 0 ? 'The list of files is empty.' : 'The list of files has something else in it.', {
    remedy: 'Give the files of all parts of one model.',
  });
}

const refOf = (blob: Blob, other: string): FileRef => ({ blob, name: blob instanceof File ? blob.name : other });
