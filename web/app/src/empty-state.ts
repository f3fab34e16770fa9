// A conversation before its first message: the model that is loaded, and what it can be asked.

import type { Engine, Example, Memory } from 'rullama';
import { h } from './dom.ts';
import { markOf } from './examples.ts';
import { bytes } from './format.ts';
import { readPrompts, startOf, starters, type Prompt } from './prompts/kept.ts';
import { ChatText } from './texts/en/chat.ts';
import { t, translated } from './texts/text.ts';

export interface Loaded {
  engine: Engine;
  name: string;
  /** What to know about the model before believing it. */
  caution?: string;
  examples: Example[];
}

/** Prompts that are offered where a model brings no examples. */
const OFFERED = 4;

export function emptyState(loaded: Loaded | undefined, ask: (example: Example) => void, begin: (prompt: string) => void): HTMLElement {
  const { caution, examples = [], name = t(ChatText.newChat) } = loaded ?? {};
  const example = (shown: Example) => {
    const mark = markOf(shown);
    return h('button', { type: 'button', className: 'example', dir: 'auto', onclick: () => ask(shown) }, shown.text, mark !== '' && h('small', {}, mark));
  };
  const prompt = ({ name, text }: Prompt) => h('button', { type: 'button', className: 'example', dir: 'auto', onclick: () => begin(text) }, name || startOf(text));
  return h('div', { className: 'empty' },
    h('h2', {}, name),
    caution ? h('p', { className: 'caution' }, translated(caution)) : null,
    loaded && examples.length === 0 && h('div', { className: 'examples' }, ...[...readPrompts(), ...starters()].slice(0, OFFERED).map(prompt)),
    examples.length > 0 && h('div', { className: 'examples' }, ...examples.map(example)));
}

/** What the model takes, and where it runs. */
export function memoryText({ info: { device, ple, experts, expertPlaces } }: Engine, memory: Memory): string {
  const parts = [t(ChatText.gPUGpuBytes, { gpuBytes: bytes(memory.gpuBytes) }), t(ChatText.wasmWasmBytes, { wasmBytes: bytes(memory.wasmBytes) })];
  // Browsers often keep the GPU's name to themselves.
  if (device) parts.push(device);
  if (ple !== 'none') parts.push(ple === 'streamed' ? t(ChatText.perLayerEmbeddingsStreamed) : t(ChatText.perLayerEmbeddingsResident));
  if (experts !== 'none') parts.push(experts === 'streamed' ? t(ChatText.expertsStreamedExpertPlacesA, { expertPlaces }) : t(ChatText.expertsResidentExpertPlacesA, { expertPlaces }));
  return parts.join(' · ');
}
