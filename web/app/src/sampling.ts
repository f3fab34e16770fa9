// The settings of sampling that the page offers, and what counts as a value of theirs.

import type { GenerateOptions } from 'rullama';
import { CommonText } from './texts/en/common.ts';
import { SettingsText } from './texts/en/settings.ts';
import { t } from './texts/text.ts';

export interface Field {
  key: keyof GenerateOptions & string;
  label: string;
  hint: string;
  min: number;
  max: number;
  step: number;
  /** Whether only whole numbers will do. */
  whole?: boolean;
}

const MOST = 2 ** 32 - 1;

export const FIELDS: Field[] = [
  { key: 'temperature', label: t(SettingsText.temperature), hint: t(SettingsText.n0AlwaysTakesThe), min: 0, max: 5, step: 0.05 },
  { key: 'topK', label: t(SettingsText.topK), hint: t(SettingsText.n0ConsidersAllWords), min: 0, max: MOST, step: 1, whole: true },
  { key: 'topP', label: t(SettingsText.topP), hint: t(SettingsText.n1SwitchesItOff), min: 0, max: 1, step: 0.01 },
  { key: 'minP', label: t(SettingsText.minP), hint: t(SettingsText.n0SwitchesItOff), min: 0, max: 1, step: 0.01 },
  { key: 'repeatPenalty', label: t(SettingsText.repeatPenalty), hint: t(SettingsText.n1SwitchesItOff), min: 0.1, max: 5, step: 0.05 },
  { key: 'maxTokens', label: t(SettingsText.longestAnswer), hint: t(SettingsText.tokensEmptyAsLong), min: 1, max: MOST, step: 1, whole: true },
  { key: 'seed', label: t(CommonText.seed), hint: t(SettingsText.emptyAnotherAnswerEach), min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, whole: true },
];

/** What is wrong with a field's text, in words; empty text is right and means the engine's default. */
export function problemOf({ label, min, max, whole }: Field, text: string): string {
  if (text.trim() === '') return '';
  const value = Number(text);
  if (Number.isFinite(value) && value >= min && value <= max && (!whole || Number.isInteger(value))) return '';
  const kind = whole ? t(SettingsText.aWholeNumber) : t(CommonText.aNumber);
  return max >= MOST ? t(SettingsText.labelIsKindOf, { label, kind, min }) : t(SettingsText.labelIsKindFrom, { label, kind, min, max });
}

/** The values among `texts` that are right, as options. */
export function optionsOf(texts: Record<string, string>): GenerateOptions {
  const given = FIELDS.filter((field) => (texts[field.key] ?? '').trim() !== '' && problemOf(field, texts[field.key] as string) === '');
  return Object.fromEntries(given.map(({ key }) => [key, Number(texts[key])])) as GenerateOptions;
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
    return field ? problemOf(field, text) === '' : name === 'system' || name === 'thinking' || (name === 'pictureTokens' && ['70', '140', '560', '1120'].includes(text));
  }));
}
