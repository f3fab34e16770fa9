// The models that the page's server offers: models.json beside the page, as `rullama serve` writes it from Ollama's store.

import type { GenerateOptions } from 'rullama';
import { bytes } from './format.ts';
import { FIELDS, inRange } from './sampling.ts';
import type { Recommended } from './settings.ts';

/** A model that the server offers. */
export interface Served {
  name: string;
  /** Absolute address of its file. */
  address: string;
  /** Size, parameters and quantisation, as far as they are known. */
  about: string;
  recommended: Recommended;
}

/** What is served beside the page; nothing where there is no list. */
export async function servedModels(): Promise<Served[]> {
  try {
    const address = new URL('models.json', document.baseURI);
    const response = await fetch(address, { cache: 'no-store' });
    return response.ok ? readModels(await response.json(), address.href) : [];
  } catch {
    return []; // a server without a list, or with something else under its name
  }
}

/** The models of a list; entries that are none are left out. */
export function readModels(list: unknown, base: string): Served[] {
  const models: unknown = (list as { models?: unknown } | null)?.models;
  return Array.isArray(models) ? models.flatMap((model) => read(model as Record<string, unknown> | null, base)) : [];
}

function read(model: Record<string, unknown> | null, base: string): Served[] {
  if (typeof model !== 'object' || model === null) return [];
  const { name, url, size, system } = model;
  if (typeof name !== 'string' || typeof url !== 'string' || !URL.canParse(url, base)) return [];
  const known = [model['parameters'], model['type']].filter((text): text is string => typeof text === 'string' && text !== '');
  const about = [...known, ...(typeof size === 'number' && size > 0 ? [bytes(size)] : [])].join(' · ');
  const text = typeof system === 'string' ? system : '';
  return [{ name, address: new URL(url, base).href, about, recommended: { options: optionsIn(model['sampling']), ...(text && { system: text }) } }];
}

/** Ollama's parameters as options, those out of range left out. */
export function optionsIn(sampling: unknown): GenerateOptions {
  const given = typeof sampling === 'object' && sampling !== null ? (sampling as Record<string, unknown>) : {};
  const options: GenerateOptions = {};
  for (const field of FIELDS) {
    const value = given[field.key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
    if (typeof value === 'number' && inRange(field, String(value))) Object.assign(options, { [field.key]: value });
  }
  const stop = Array.isArray(given['stop']) ? given['stop'].filter((text): text is string => typeof text === 'string' && text !== '') : [];
  return stop.length > 0 ? { ...options, stop } : options;
}
