// Values of a file that strangers wrote: each is taken only as what it should be, and an error names its place.

import { CommonText } from '../texts/en/common.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';
/** Why a file is not imported, in words for a person. */
export class Refusal extends Error {}

export const LIMITS = {
  /** Bytes of a file. */
  file: 128 * 2 ** 20,
  chats: 20_000,
  /** Messages of a conversation, and of a file. */
  messages: 20_000,
  allMessages: 300_000,
  /** Characters of a text. */
  text: 4 * 2 ** 20,
  /** Characters of a name. */
  name: 300,
};

/** A value with its place in the file. */
export class Checked {
  constructor(
    readonly value: unknown,
    readonly place: string,
  ) {}

  /** The value of a field; `undefined` where there is none, as for `null`. */
  at(name: string): Checked {
    const object = this.object();
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    return new Checked(value ?? undefined, this.place === '' ? name : `${this.place}.${name}`);
  }

  get missing(): boolean {
    return this.value === undefined || this.value === null;
  }

  object(): Record<string, unknown> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value)) throw this.refusal(t(FilesText.anObject));
    return this.value as Record<string, unknown>;
  }

  list(most: number, what: string): Checked[] {
    if (!Array.isArray(this.value)) throw this.refusal(t(FilesText.aList));
    if (this.value.length > most) throw new Refusal(t(FilesText.whereHasValueWhat, { where: this.where, value: this.value.length, what, most }));
    return this.value.map((item, i) => new Checked(item, `${this.place}[${i}]`));
  }

  /** Fields of an object, each with its name. */
  entries(most: number, what: string): [string, Checked][] {
    const entries = Object.entries(this.object());
    if (entries.length > most) throw new Refusal(t(FilesText.whereHasEntriesWhat, { where: this.where, entries: entries.length, what, most }));
    return entries.map(([name, value]) => [name, new Checked(value, `${this.place}[${JSON.stringify(name.slice(0, 80))}]`)]);
  }

  text(most = LIMITS.text): string {
    if (typeof this.value !== 'string') throw this.refusal(t(FilesText.text));
    if (this.value.length > most) throw new Refusal(t(FilesText.whereHasValueCharacters, { where: this.where, value: this.value.length, most }));
    return this.value;
  }

  optionalText(most = LIMITS.text): string | undefined {
    return this.missing ? undefined : this.text(most);
  }

  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value)) throw this.refusal(t(CommonText.aNumber));
    return this.value;
  }

  flag(): boolean {
    if (this.missing) return false;
    if (typeof this.value !== 'boolean') throw this.refusal(t(FilesText.trueOrFalse));
    return this.value;
  }

  oneOf<T extends string>(words: readonly T[]): T {
    if (!words.includes(this.value as T)) throw this.refusal(t(FilesText.oneOfWords, { words: words.join(', ') }));
    return this.value as T;
  }

  refusal(wanted: string): Refusal {
    return new Refusal(t(FilesText.whereIsShownIt, { where: this.where, shown: shown(this.value), wanted }));
  }

  private get where(): string {
    return this.place === '' ? t(FilesText.theFile) : this.place;
  }
}

/** Latest time that dates have, in milliseconds. */
const LAST = 8.64e15;

/** A time in milliseconds from one in units of so many; nothing where it is none. */
export function timeOf({ value }: Checked, unit: number): number | undefined {
  const time = typeof value === 'number' ? value * unit : NaN;
  return time > 0 && time <= LAST ? Math.round(time) : undefined;
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return t(FilesText.missing);
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'object') return Array.isArray(value) ? t(FilesText.aList) : t(FilesText.anObject);
  return String(value);
}
