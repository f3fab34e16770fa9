// What Ollama's API says of the model that is loaded: `/api/tags`, `/api/ps`, `/api/show`, `/api/version`.

import { Failure } from './failure.ts';
import { Fields } from './fields.ts';
import type { Host } from './host.ts';

/** The version of Ollama whose API this is: programs look at it to know what they may ask. */
const LEVEL = '0.13.0';
/** What a model that stays is said to expire after: the field has no word for never. */
const AGES = 100 * 365 * 86_400_000;

export const version = () => ({ version: LEVEL, rullama: 'page' });

function details(host: Host) {
  const family = host.engine.info.embedding.length > 0 ? 'gemma-embedding' : 'gemma4';
  return { parent_model: '', format: 'gguf', family, families: [family], parameter_size: '', quantization_level: '' };
}

/** The name with its tag, as Ollama has it in `model` always. */
const tagged = (name: string) => (name.split('/').at(-1)?.includes(':') ? name : `${name}:latest`);

/** A model in a page has no manifest to take a digest of. */
const about = (host: Host) => ({ name: host.name, model: tagged(host.name), size: host.engine.info.loadedBytes, digest: '', details: details(host) });

export const tags = (host: Host) => ({ models: [{ ...about(host), modified_at: host.loaded.toISOString() }] });

export function running(host: Host) {
  const { loadedBytes, context } = host.engine.info;
  const expires_at = new Date(Date.now() + AGES).toISOString();
  return { models: [{ ...about(host), expires_at, size_vram: loadedBytes, context_length: context }] };
}

/** @throws Failure for a model that is not here. */
export function show(host: Host, json: unknown) {
  const fields = Fields.of(json);
  const model = fields.text('model') ?? fields.text('name') ?? '';
  if (model === '') throw Failure.field('model', `is empty, but must name a model. Here is ${host.name}.`);
  host.check(model);
  const { info } = host.engine;
  const family = details(host).family;
  const numbers = { block_count: info.layers, context_length: info.trainedContext, embedding_length: info.dim, 'attention.head_count': info.heads };
  const named = Object.entries(numbers).map(([name, value]) => [`${family}.${name}`, value]);
  return {
    license: '',
    modelfile: `FROM ${host.name}\n`,
    parameters: '',
    template: '',
    system: '',
    details: details(host),
    model_info: { 'general.architecture': family, 'general.name': info.name, ...Object.fromEntries(named) },
    capabilities: info.embedding.length > 0 ? ['embedding'] : ['completion', 'tools', 'thinking'],
    modified_at: host.loaded.toISOString(),
  };
}
