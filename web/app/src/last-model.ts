// The model that was loaded last, so that a conversation can go on after a reload. A picked file cannot be opened again by itself, but a
// folder can where it is remembered.

import { Rullama } from 'rullama';
import { FIELDS, inRange } from './sampling.ts';
import type { Choice } from './start-view.ts';

const STORE = 'rullama.model';
/** What the address of a model in Ollama's folder begins with. */
const FOLDER = 'ollama-folder:';

export interface Again {
  /** The choice of that time. */
  (): Promise<Choice>;
  title: string;
}

export function remember(choice: Choice): void {
  const { name, options, recommended } = choice;
  const address = addressOf(choice);
  try {
    if (address !== undefined) localStorage.setItem(STORE, JSON.stringify({ address, name, options, recommended }));
    else localStorage.removeItem(STORE);
  } catch {
    // Storage may be switched off; the model is then chosen again.
  }
}

/** What loads it once more; nothing where it is not known. */
export function chosenBefore(): Again | undefined {
  const kept = read();
  if (!kept) return undefined;
  const { address, name, options, recommended } = kept;
  const again = () => choiceOf(address, name, options, recommended);
  return Object.assign(again, { title: name });
}

/** A choice from what is kept of it. */
export async function choiceOf(address: string, name: string, options: Choice['options'], recommended?: Choice['recommended']): Promise<Choice> {
  if (address.startsWith(FOLDER)) {
    const folder = address.slice(FOLDER.length);
    const model = await (await import('./ollama/reopen.ts')).reopened(folder);
    return { source: model.file, name, options, folder, recommended: model.recommended };
  }
  const embedded = address === 'embedded' ? await Rullama.embedded() : undefined;
  return { source: address, name: embedded?.name ?? name, options, ...(embedded && { embedded }), ...(recommended && { recommended }) };
}

/** The address that a choice is loaded from again; a picked file has none. */
export function addressOf({ source, folder }: Choice): string | undefined {
  if (folder !== undefined) return `${FOLDER}${folder}`;
  if (source instanceof URL) return source.href;
  return typeof source === 'string' ? source : undefined;
}

function read() {
  let kept: unknown;
  try {
    kept = JSON.parse(localStorage.getItem(STORE) ?? 'null');
  } catch {
    return undefined;
  }
  const { address, name, options, recommended } = (kept ?? {}) as Record<string, unknown>;
  if (typeof address !== 'string' || typeof name !== 'string') return undefined;
  const given = (value: unknown) => (typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {});
  const { system, options: sampling } = given(recommended);
  const numbers = FIELDS.flatMap((field) => {
    const value = given(sampling)[field.key];
    return typeof value === 'number' && inRange(field, String(value)) ? [[field.key, value]] : [];
  });
  const stop = given(sampling)['stop'];
  const stops = Array.isArray(stop) && stop.length > 0 && stop.every((text) => typeof text === 'string' && text !== '') ? { stop } : {};
  const told = { ...(typeof system === 'string' && { system }), options: { ...Object.fromEntries(numbers), ...stops } };
  return { address, name, options: given(options) as Choice['options'], recommended: told };
}
