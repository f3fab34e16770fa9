// How a question is asked again: of which model, with which adapter and settings.

import { Rullama, storedModels } from 'rullama';
import { nameOf } from '../address.ts';
import type { Conversation } from '../conversation.ts';
import { h } from '../dom.ts';
import { servedModels } from '../served.ts';
import type { Choice } from '../start-view.ts';
import { CommonText } from '../texts/en/common.ts';
import { CompareText } from '../texts/en/compare.ts';
import { SettingsText } from '../texts/en/settings.ts';
import { t } from '../texts/text.ts';
import type { Around } from './comparing.ts';
import type { Wanted } from './trial.ts';

/** Shows a form; nothing where a person leaves it. */
export async function askHow(around: Around, conversation: Conversation): Promise<Wanted | undefined> {
  const { settings, adapters, frame } = around;
  const now = settings.values(conversation.record.settings);
  const others = await otherModels(frame.choices(), around.modelName());
  const option = (value: string, text: string) => h('option', { value, dir: 'auto' }, text);
  const model = h('select', { name: 'model' }, option('', around.modelName()), ...others.map(({ name }, i) => option(String(i), name)));
  const adapter = h('select', { name: 'adapter' }, option('', t(CompareText.asInThisChat)), option('none', t(CompareText.noAdapter)), ...adapters.usable().map(({ id, name }) => option(id, name)));
  const temperature = h('input', { type: 'number', name: 'temperature', min: '0', max: '5', step: '0.05', inputMode: 'decimal', required: true, value: now['temperature'] ?? '' });
  const thinking = h('input', { type: 'checkbox', name: 'thinking', checked: now['thinking'] === 'on' });
  const system = h('textarea', { name: 'system', rows: 3, dir: 'auto', value: now['system'] ?? '' });
  const hint = h('p', { className: 'hint', role: 'status' });
  const field = (label: string, element: HTMLElement, wide = false) => h('label', { className: wide ? 'field wide' : 'field' }, h('span', {}, label), element);
  model.onchange = () => {
    const other = others[Number(model.value)];
    adapter.disabled = model.value !== '';
    hint.textContent = model.value !== '' && other ? t(CompareText.oneModelAtATime, { first: around.modelName(), second: other.name }) : '';
  };
  const form = h('form', { method: 'dialog' },
    h('header', {}, h('h2', { id: 'ask-again-title' }, t(CompareText.askAgainAndCompare))),
    h('div', { className: 'grid' }, field(t(CommonText.model), model), field(t(CompareText.adapter), adapter), field(t(SettingsText.temperature), temperature)),
    h('label', { className: 'check' }, thinking, h('span', {}, t(SettingsText.letTheModelThink))),
    field(t(CommonText.systemPrompt), system, true),
    hint,
    h('footer', {}, h('button', { type: 'button', className: 'quiet', onclick: () => dialog.close() }, t(CommonText.cancel)), h('button', { className: 'primary', value: 'ask' }, t(CompareText.ask))));
  const dialog = h('dialog', { className: 'settings ask-again', 'aria-labelledby': 'ask-again-title' }, form);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => (dialog.onclose = resolve));
  dialog.remove();
  if (dialog.returnValue !== 'ask') return undefined;
  const values = { ...now, temperature: temperature.value, thinking: thinking.checked ? 'on' : '', system: system.value };
  const other = model.value === '' ? undefined : others[Number(model.value)];
  const attached = adapter.value === 'none' ? [] : adapter.value === '' ? undefined : [{ id: adapter.value, scale: 1 }];
  return { settings: settings.changes(values), ...(!other && attached && { adapters: attached }), ...(other && { model: other }) };
}

/** Models that can be loaded from here: those of this visit, of the server and of this browser, and the embedded one. */
async function otherModels(choices: Choice[], current: string): Promise<Choice[]> {
  const [served, stored, embedded] = await Promise.all([servedModels(), storedModels().catch(() => []), Rullama.embedded().catch(() => undefined)]);
  const options = choices.find(({ name }) => name === current)?.options ?? {};
  const all: Choice[] = [
    ...choices,
    ...served.map(({ name, address, recommended }): Choice => ({ source: address, name, options, recommended })),
    ...stored.flatMap(({ url, complete }): Choice[] => (complete && url !== undefined ? [{ source: url, name: nameOf(url), options: { ...options, store: 'always' } }] : [])),
    ...(embedded ? [{ source: 'embedded', name: embedded.name, options, embedded } as Choice] : []),
  ];
  return all.filter(({ name }, i) => name !== current && all.findIndex((other) => other.name === name) === i);
}
