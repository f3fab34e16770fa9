// How fast this adapter reads a prompt with a model, and how fast it gets back what was kept of one: measured, and remembered.

import type { ModelInfo, Summary } from 'rullama';

const STORE = 'rullama.paces';
/** Models that are remembered. */
const MOST = 16;
/** Tokens below which the time of a prompt says nothing. */
const LEAST = 16;
/** Bytes below which a restore's time is that of opening a file and calling the engine. */
const SMALL = 4e6;
/** Bytes a second, and seconds for any restore, until they are measured: few, so that it is tried. */
const FASTEST = 4e9;
const OPENING = 0.03;
/** How far a bad time fades each time it keeps something from being tried: the machine may have been busy. */
const FADE = 0.9;

/** What was measured. */
export interface Pace {
  /** Tokens of a prompt a second. */
  prompt?: number;
  /** Bytes of kept keys a second, read, checked and on the GPU again. */
  restored?: number;
  /** Seconds that this takes for few bytes. */
  opening?: number;
}

/** The adapter, the model and its type of caches. */
export const paceKey = ({ device, driver, name, layers, dim, kv }: ModelInfo): string => [device, driver, name, layers, dim, kv].join('|');

/** Seconds that a prompt of `tokens` takes to be computed; nothing where that was not measured. */
export function secondsToCompute({ prompt }: Pace, tokens: number): number | undefined {
  return prompt === undefined ? undefined : tokens / prompt;
}

/** Seconds that `bytes` take to be restored. */
export const secondsToRestore = ({ restored = FASTEST, opening = OPENING }: Pace, bytes: number): number => opening + bytes / restored;

/** Whether keys of `tokens` in `bytes` are there sooner than they are computed. */
export function isWorthIt(pace: Pace, tokens: number, bytes: number): boolean {
  const computed = secondsToCompute(pace, tokens);
  return computed !== undefined && secondsToRestore(pace, bytes) < computed;
}

/** Takes the time of an answer's prompt. */
export function learnPrompt(key: string, { timings: { prefilledTokens, prefillS } }: Summary): void {
  if (prefilledTokens < LEAST || !(prefillS > 0)) return;
  const { prompt, ...rest } = paceOf(key);
  const now = prefilledTokens / prefillS;
  // Longer prompts are faster by the token: the slower ones count little.
  put(key, { ...rest, prompt: prompt === undefined ? now : Math.max(now, 0.8 * prompt + 0.2 * now) });
}

/** Takes the time of a restore. */
export function learnRestore(key: string, bytes: number, seconds: number): void {
  const pace = paceOf(key);
  const { restored, opening = OPENING } = pace;
  const now = Math.min(FASTEST, bytes / Math.max(seconds - opening, 1e-3));
  if (bytes < SMALL) put(key, { ...pace, opening: pace.opening === undefined ? seconds : (opening + seconds) / 2 });
  else put(key, { ...pace, restored: restored === undefined ? now : (restored + now) / 2 });
}

/** A restore was not tried for the times that it is thought to take. */
export function fade(key: string): void {
  const { prompt, restored, opening } = paceOf(key);
  put(key, { ...(prompt && { prompt }), ...(restored && { restored: restored / FADE }), ...(opening && { opening: opening * FADE }) });
}

export function paceOf(key: string): Pace {
  return kept()[key] ?? {};
}

function put(key: string, pace: Pace): void {
  const { [key]: _, ...others } = kept();
  const newest = Object.entries({ ...others, [key]: pace }).slice(-MOST);
  try {
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(newest)));
  } catch {
    // Without a place to keep it, the next visit measures again.
  }
}

function kept(): Record<string, Pace> {
  try {
    const all = JSON.parse(localStorage.getItem(STORE) ?? '{}') as unknown;
    if (typeof all !== 'object' || all === null) return {};
    const isSpeed = (value: unknown) => typeof value === 'number' && value > 0 && Number.isFinite(value);
    return Object.fromEntries(Object.entries(all).map(([key, pace]) => [key, Object.fromEntries(Object.entries((pace ?? {}) as object).filter(([, value]) => isSpeed(value)))]));
  } catch {
    return {};
  }
}
