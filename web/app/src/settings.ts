// Settings of the conversation and of sampling, kept between visits.

import type { ChatOptions, GenerateOptions } from 'rullama';
import { h } from './dom.ts';

interface Field {
  key: keyof GenerateOptions & string;
  label: string;
  hint: string;
  min: number;
  max?: number;
  step: number;
}

const FIELDS: Field[] = [
  { key: 'temperature', label: 'Temperature', hint: '0 always takes the likeliest word', min: 0, max: 5, step: 0.05 },
  { key: 'topK', label: 'Top-k', hint: '0 considers all words', min: 0, step: 1 },
  { key: 'topP', label: 'Top-p', hint: '1 switches it off', min: 0, max: 1, step: 0.01 },
  { key: 'minP', label: 'Min-p', hint: '0 switches it off', min: 0, max: 1, step: 0.01 },
  { key: 'repeatPenalty', label: 'Repeat penalty', hint: '1 switches it off', min: 0.1, max: 5, step: 0.05 },
  { key: 'maxTokens', label: 'Longest answer', hint: 'tokens', min: 1, step: 1 },
  { key: 'seed', label: 'Seed', hint: 'empty: another answer each time', min: 0, step: 1 },
];

/** What Gemma 4's authors recommend. */
const DEFAULTS: Record<string, string> = { temperature: '1', topK: '64', topP: '0.95', minP: '0', repeatPenalty: '1', maxTokens: '', seed: '' };
const STORE = 'rullama.settings';

type Values = Record<string, string>;

export class Settings {
  readonly dialog: HTMLDialogElement;
  private readonly form: HTMLFormElement;
  private values: Values;

  /** `changed` runs when the dialog closes with other chat settings than before. */
  constructor(private readonly changed: () => void) {
    this.values = { ...DEFAULTS, ...readStore() };
    this.form = this.build();
    this.dialog = h('dialog', { className: 'settings', 'aria-labelledby': 'settings-title' }, this.form);
    this.dialog.addEventListener('close', () => this.keep());
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    document.body.append(this.dialog);
  }

  open(): void {
    this.fill();
    this.dialog.showModal();
  }

  chat(): ChatOptions {
    const system = (this.values['system'] ?? '').trim();
    return { ...(system && { system }), thinking: this.values['thinking'] === 'on' };
  }

  generate(): GenerateOptions {
    const options: Record<string, number> = {};
    for (const { key } of FIELDS) {
      const text = (this.values[key] ?? '').trim();
      if (text !== '' && Number.isFinite(Number(text))) options[key] = Number(text);
    }
    return options as GenerateOptions;
  }

  private build(): HTMLFormElement {
    const system = h('textarea', { id: 'system', name: 'system', rows: 4, placeholder: 'You are a helpful assistant.' });
    const thinking = h('input', { type: 'checkbox', name: 'thinking', id: 'thinking' });
    const numbers = FIELDS.map(({ key, label, hint, min, max, step }) =>
      h(
        'label',
        { className: 'field' },
        h('span', {}, label),
        h('input', { type: 'number', name: key, min: String(min), max: max === undefined ? '' : String(max), step: String(step), inputMode: 'decimal' }),
        h('small', {}, hint),
      ),
    );
    return h(
      'form',
      { method: 'dialog' },
      h('header', {}, h('h2', { id: 'settings-title' }, 'Settings'), h('button', { className: 'quiet', 'aria-label': 'Close settings' }, 'Close')),
      h('fieldset', {}, h('legend', {}, 'Conversation'),
        h('label', { className: 'field wide' }, h('span', {}, 'System prompt'), system),
        h('label', { className: 'check' }, thinking, h('span', {}, 'Let the model think before it answers')),
        h('small', {}, 'A change takes effect with a new chat.')),
      h('fieldset', {}, h('legend', {}, 'Sampling'), h('div', { className: 'grid' }, ...numbers)),
      h('footer', {},
        h('button', { type: 'button', className: 'quiet', onclick: () => this.reset() }, 'Reset to recommended'),
        h('button', { className: 'primary' }, 'Done')),
    );
  }

  private fill(): void {
    for (const element of this.form.elements) {
      if (element instanceof HTMLInputElement && element.type === 'checkbox') element.checked = this.values[element.name] === 'on';
      else if (element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement) element.value = this.values[element.name] ?? '';
    }
  }

  private reset(): void {
    this.values = { ...DEFAULTS, system: this.values['system'] ?? '', thinking: this.values['thinking'] ?? '' };
    this.fill();
  }

  private keep(): void {
    const before = JSON.stringify(this.chat());
    const data = new FormData(this.form);
    this.values = { ...DEFAULTS, thinking: '' };
    for (const [name, value] of data) this.values[name] = String(value);
    try {
      localStorage.setItem(STORE, JSON.stringify(this.values));
    } catch {
      // Storage may be switched off; the settings then last as long as the page.
    }
    if (JSON.stringify(this.chat()) !== before) this.changed();
  }
}

function readStore(): Values {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? '{}') as Values;
  } catch {
    return {};
  }
}
