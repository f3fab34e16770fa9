// From the APIs' parameters to the engine's options.

import type { GenerateOptions } from '../types.ts';
import { Failure } from './failure.ts';
import { Fields } from './fields.ts';

/** Most log-probabilities beside a token's own. */
const MOST_LOGPROBS = 20;
/** Tokens that penalties can look back on. */
const HISTORY = 2048;
/** Most stop strings, and characters of each: every token is compared with all of them. */
const STOPS = { most: 64, longest: 1024 };

/** Sampling parameters that both APIs have, where `fields` stands; `top_p` and so on by their names there. */
export function sampling(fields: Fields): GenerateOptions {
  const within = (name: string, least: number, most: number, takes: string) => {
    const value = fields.number(name);
    if (value === undefined || (value >= least && value <= most)) return value;
    throw Failure.field(fields.at(name), `is ${value}, but must be ${takes}.`);
  };
  const share = (name: string) => within(name, 0, 1, 'from 0 to 1');
  const penalty = (name: string) => within(name, -100, 100, 'from -100 to 100');
  const topK = fields.number('top_k');
  const seed = fields.number('seed');
  const last = within('repeat_last_n', -1, HISTORY, `from 0 to ${HISTORY}, or -1`);
  const stop = fields.texts('stop').filter((text) => text !== '');
  if (stop.length > STOPS.most || stop.some((text) => text.length > STOPS.longest)) {
    throw Failure.field(fields.at('stop'), `may list at most ${STOPS.most} texts of at most ${STOPS.longest} characters each.`);
  }
  return without({
    temperature: within('temperature', 0, Infinity, 'at least 0'),
    // Like Ollama: 0 and less keep all, a negative seed draws anew.
    topK: topK === undefined ? undefined : Math.min(Math.max(0, Math.trunc(topK)), 2 ** 32 - 1),
    topP: share('top_p'),
    minP: share('min_p'),
    repeatPenalty: within('repeat_penalty', 0.01, 100, 'from 0.01 to 100'),
    presencePenalty: penalty('presence_penalty'),
    frequencyPenalty: penalty('frequency_penalty'),
    repeatLastN: last === -1 ? HISTORY : last === undefined ? undefined : Math.trunc(last),
    seed: seed === undefined || seed < 0 ? undefined : Math.min(Math.trunc(seed), Number.MAX_SAFE_INTEGER),
    stop: stop.length > 0 ? stop : undefined,
  });
}

/** The engine's number of log-probabilities for `logprobs` and `top_logprobs`. */
export function logprobs(fields: Fields, wanted = fields.flag('logprobs') ?? false): number | undefined {
  const top = fields.whole('top_logprobs', 0) ?? 0;
  if (top > MOST_LOGPROBS) throw Failure.field('top_logprobs', `is ${top}, but may be at most ${MOST_LOGPROBS}.`);
  if (!wanted && top > 0) throw Failure.field('top_logprobs', 'needs `logprobs` to be true.');
  return wanted ? top : undefined;
}

/** An object without the members that are undefined. */
export function without<T extends object>(object: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}
