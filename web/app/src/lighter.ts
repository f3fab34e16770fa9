// What to load a model with when it took more memory than there is: what saves most comes first.

import type { EngineOptions, ModelInfo, RullamaError } from 'rullama';
import type { Action } from './error-card.ts';
import { TroubleText } from './texts/en/trouble.ts';
import { t } from './texts/text.ts';

/** A context that is enough for most chats; and the least that is offered. */
const USUAL = 4096;
const LEAST = 512;

export interface Lighter {
  label: string;
  options: EngineOptions;
}

/** Buttons for an error that less would help against. */
export function lighterFor({ code }: RullamaError, before: EngineOptions, load: (options: EngineOptions) => void, info?: ModelInfo): Action[] {
  if (code !== 'out-of-memory' && code !== 'limits') return [];
  return lighter(before, info).map(({ label, options }) => ({ label, run: () => load(options) }));
}

/** Ways to take less than `options` did; `info` is of the model, where it could be loaded. */
export function lighter(options: EngineOptions, info?: Pick<ModelInfo, 'context' | 'ple' | 'kv'>): Lighter[] {
  const ways: Lighter[] = [];
  const resident = info ? info.ple === 'resident' : options.ple !== 'streamed';
  // Which models have such embeddings is in the file, which could not be loaded.
  if (resident) ways.push({ label: info ? t(TroubleText.streamThePerLayer) : t(TroubleText.streamPerLayerEmbeddings), options: { ...options, ple: 'streamed' } });
  if ((info?.kv ?? options.kv ?? 'f16') !== 'q8') ways.push({ label: t(TroubleText.keepTheContextIn), options: { ...options, kv: 'q8' } });
  const now = info?.context ?? options.context;
  const context = now === undefined || now > USUAL ? USUAL : now >> 1;
  if (context >= LEAST) ways.push({ label: t(TroubleText.loadWithAContext, { context }), options: { ...options, context } });
  return ways;
}
