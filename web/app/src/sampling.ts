// The settings of sampling that the page offers, and what counts as a value of theirs.

import type { GenerateOptions } from 'rullama';

export interface Field {
  key: keyof GenerateOptions & string;
  min: number;
  max: number;
  step: number;
  /** Whether only whole numbers will do. */
  whole?: boolean;
}

/** Fields that go as far have no end that is worth a word. */
export const MOST = 2 ** 32 - 1;

export const FIELDS: Field[] = [
  { key: 'temperature', min: 0, max: 5, step: 0.05 },
  { key: 'topK', min: 0, max: MOST, step: 1, whole: true },
  { key: 'topP', min: 0, max: 1, step: 0.01 },
  { key: 'minP', min: 0, max: 1, step: 0.01 },
  { key: 'repeatPenalty', min: 0.1, max: 5, step: 0.05 },
  { key: 'maxTokens', min: 1, max: MOST, step: 1, whole: true },
  { key: 'seed', min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, whole: true },
];

/** Whether a field's text will do; empty text does, and means the engine's default. */
export function inRange({ min, max, whole }: Field, text: string): boolean {
  if (text.trim() === '') return true;
  const value = Number(text);
  return Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value));
}

/** The values among `texts` that are right, as options. */
export function optionsOf(texts: Record<string, string>): GenerateOptions {
  const given = FIELDS.filter((field) => (texts[field.key] ?? '').trim() !== '' && inRange(field, texts[field.key] as string));
  return Object.fromEntries(given.map(({ key }) => [key, Number(texts[key])])) as GenerateOptions;
}

/** What a setting's text holds answers to: the word json or a JSON schema; nothing where it is neither. */
export function formatOf(text = ''): GenerateOptions['format'] {
  if (text.trim() === 'json') return 'json';
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Says of kept settings that they are only those which a person changed. */
export const CHANGES = { kept: 'changes' };

/**
 * What a person changed in an earlier visit, without what is not a setting or not in range. Settings kept in full, as
 * by earlier versions, count as changed where they differ from `defaults`.
 */
export function readKept(json: string | null, defaults: Record<string, string>): Record<string, string> {
  let kept: unknown;
  try {
    kept = JSON.parse(json ?? '{}');
  } catch {
    return {};
  }
  if (typeof kept !== 'object' || kept === null) return {};
  const texts = Object.entries(kept).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  const full = (kept as Record<string, unknown>)['kept'] !== CHANGES.kept;
  return Object.fromEntries(texts.filter(([name, text]) => {
    if (full && text === defaults[name]) return false;
    const field = FIELDS.find(({ key }) => key === name);
    return field ? inRange(field, text) : name === 'system' || name === 'thinking' || (name === 'format' && formatOf(text) !== undefined) || (name === 'pictureTokens' && ['70', '140', '560', '1120'].includes(text));
  }));
}
