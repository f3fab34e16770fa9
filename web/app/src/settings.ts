// Settings of the conversation and of sampling. What a person changes is kept between visits; the rest is what the model's
// store recommends for it, else what Gemma 4's authors do.

import type { ChatOptions, GenerateOptions } from 'rullama';
import { h } from './dom.ts';
import { CHANGES, FIELDS, optionsOf, problemOf, readKept } from './sampling.ts';

/** What Gemma 4's authors recommend. */
const DEFAULTS: Values = { temperature: '1', topK: '64', topP: '0.95', minP: '0', repeatPenalty: '1', maxTokens: '', seed: '', system: '', thinking: '' };
const STORE = 'rullama.settings';

type Values = Record<string, string>;

/** What a model's store says of it. */
export interface Recommended {
  system?: string;
  options: GenerateOptions;
}

export class Settings {
  readonly dialog: HTMLDialogElement;
  private readonly form: HTMLFormElement;
  private readonly problem = h('p', { className: 'problem', role: 'alert' });
  /** What differs from the defaults because a person said so. */
  private own: Values;
  private recommended: Recommended = { options: {} };

  /** `changed` runs when the dialog closes with other chat settings than before. */
  constructor(private readonly changed: () => void) {
    this.own = readKept(keptText(), DEFAULTS);
    this.form = this.build();
    this.dialog = h('dialog', { className: 'settings', 'aria-labelledby': 'settings-title' }, this.form);
    // Escape and a click beside the dialog leave everything as it was.
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    document.body.append(this.dialog);
  }

  /** Takes what is recommended for the model that is loaded. */
  recommend(recommended: Recommended = { options: {} }): void {
    this.recommended = recommended;
  }

  open(): void {
    this.fill(this.values());
    this.problem.textContent = '';
    this.dialog.showModal();
  }

  chat(): ChatOptions {
    const { system = '', thinking } = this.values();
    return { ...(system.trim() && { system: system.trim() }), thinking: thinking === 'on' };
  }

  generate(): GenerateOptions {
    return { ...this.recommended.options, ...optionsOf(this.values()) };
  }

  private defaults(): Values {
    const { system, options } = this.recommended;
    const given = FIELDS.flatMap(({ key }) => (options[key] === undefined ? [] : [[key, String(options[key])]]));
    return { ...DEFAULTS, ...(system && { system }), ...Object.fromEntries(given) };
  }

  private values(): Values {
    return { ...this.defaults(), ...this.own };
  }

  private build(): HTMLFormElement {
    const system = h('textarea', { id: 'system', name: 'system', rows: 4, dir: 'auto', placeholder: 'You are a helpful assistant.' });
    const thinking = h('input', { type: 'checkbox', name: 'thinking', id: 'thinking' });
    const numbers = FIELDS.map(({ key, label, hint, min, max, step }) =>
      h('label', { className: 'field' },
        h('span', {}, label),
        h('input', { type: 'number', name: key, min: String(min), max: String(max), step: String(step), inputMode: 'decimal' }),
        h('small', {}, hint)));
    return h('form', { method: 'dialog', noValidate: true, onsubmit: (event: Event) => this.submit(event) },
      h('header', {},
        h('h2', { id: 'settings-title' }, 'Settings'),
        h('button', { type: 'button', className: 'quiet', 'aria-label': 'Close settings', onclick: () => this.dialog.close() }, 'Close')),
      h('fieldset', {}, h('legend', {}, 'Conversation'),
        h('label', { className: 'field wide' }, h('span', {}, 'System prompt'), system),
        h('label', { className: 'check' }, thinking, h('span', {}, 'Let the model think before it answers')),
        h('small', {}, 'A change takes effect with a new chat.')),
      h('fieldset', {}, h('legend', {}, 'Sampling'), h('div', { className: 'grid' }, ...numbers)),
      this.problem,
      h('footer', {},
        h('button', { type: 'button', className: 'quiet', onclick: () => this.reset() }, 'Reset to recommended'),
        h('button', { className: 'primary' }, 'Done')));
  }

  private fill(values: Values): void {
    for (const element of this.form.elements) {
      if (element instanceof HTMLInputElement && element.type === 'checkbox') element.checked = values[element.name] === 'on';
      else if (element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement) element.value = values[element.name] ?? '';
    }
  }

  /** Puts the recommended sampling into the form; Done keeps it. */
  private reset(): void {
    const { system = '', thinking = '' } = this.written();
    this.fill({ ...this.defaults(), system, thinking });
    this.problem.textContent = '';
  }

  private written(): Values {
    const values: Values = { thinking: '' };
    for (const [name, value] of new FormData(this.form)) values[name] = String(value);
    return values;
  }

  /** The first field that is out of range keeps the dialog open. */
  private submit(event: Event): void {
    const values = this.written();
    for (const field of FIELDS) {
      const input = this.form.elements.namedItem(field.key) as HTMLInputElement;
      // What is not a number at all leaves a number field's value empty.
      const problem = problemOf(field, input.validity.badInput ? 'none' : (values[field.key] ?? ''));
      if (problem === '') continue;
      event.preventDefault();
      this.problem.textContent = problem;
      return input.focus();
    }
    this.keep(values);
  }

  private keep(values: Values): void {
    const before = JSON.stringify(this.chat());
    const defaults = this.defaults();
    this.own = Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== defaults[name]));
    try {
      localStorage.setItem(STORE, JSON.stringify({ ...this.own, ...CHANGES }));
    } catch {
      // Storage may be switched off; the settings then last as long as the page.
    }
    if (JSON.stringify(this.chat()) !== before) this.changed();
  }
}

function keptText(): string | null {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}
