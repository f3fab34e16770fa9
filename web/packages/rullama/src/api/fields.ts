// The members of a request, read by name: what is absent or null is undefined, what is of another type is refused by its name.

import { Failure } from './failure.ts';

const I32 = 2 ** 31;

/** A JSON object of a request. What is not asked for is ignored. */
export class Fields {
  private constructor(
    private readonly members: Record<string, unknown>,
    private readonly place: string,
  ) {}

  /** @throws Failure for what is no object; "" is the request itself. */
  static of(json: unknown, place = ''): Fields {
    if (typeof json === 'object' && json !== null && !Array.isArray(json)) return new Fields(json as Record<string, unknown>, place);
    throw place === '' ? new Failure(400, 'the request cannot be read: it must be a JSON object.') : Failure.field(place, 'must be an object.');
  }

  any(name: string): unknown {
    return Object.hasOwn(this.members, name) ? (this.members[name] ?? undefined) : undefined;
  }

  text(name: string): string | undefined {
    return this.read(name, 'a text', (value): value is string => typeof value === 'string');
  }

  /** @throws Failure for one that is missing, too. */
  required(name: string): string {
    const text = this.text(name);
    if (text === undefined) throw new Failure(400, `the request cannot be read: missing field \`${name}\`.`);
    return text;
  }

  /** As `required`, for a member of a part of the request. */
  needed(name: string): string {
    const text = this.text(name);
    if (text === undefined) throw Failure.field(this.place, `cannot be read: missing field \`${name}\`.`);
    return text;
  }

  flag(name: string): boolean | undefined {
    return this.read(name, 'true or false', (value): value is boolean => typeof value === 'boolean');
  }

  number(name: string): number | undefined {
    return this.read(name, 'a number', (value): value is number => typeof value === 'number' && Number.isFinite(value));
  }

  whole(name: string, least = -I32): number | undefined {
    const ok = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= least;
    return this.read(name, least === 0 ? 'a whole number of at least 0' : 'a whole number', ok);
  }

  list(name: string): unknown[] | undefined {
    return this.read(name, 'a list', (value): value is unknown[] => Array.isArray(value));
  }

  ids(name: string): number[] | undefined {
    const ok = (value: unknown): value is number[] => Array.isArray(value) && value.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 32);
    return this.read(name, 'a list of token ids', ok);
  }

  object(name: string): Fields | undefined {
    const value = this.any(name);
    return value === undefined ? undefined : Fields.of(value, this.at(name));
  }

  /** A text or a list of them. */
  texts(name: string): string[] {
    const value = this.any(name);
    if (value === undefined) return [];
    const list = Array.isArray(value) ? value : [value];
    if (list.every((text) => typeof text === 'string')) return list as string[];
    throw Failure.field(this.at(name), 'must be a text or a list of texts.');
  }

  entries(): [string, unknown][] {
    return Object.entries(this.members);
  }

  /** The full name of a member. */
  at(name: string): string {
    return this.place === '' ? name : `${this.place}.${name}`;
  }

  private read<T>(name: string, takes: string, ok: (value: unknown) => value is T): T | undefined {
    const value = this.any(name);
    if (value === undefined || ok(value)) return value;
    throw Failure.field(this.at(name), `is ${short(value)}, but must be ${takes}.`);
  }
}

/** A value as an error shows it. */
export function short(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
