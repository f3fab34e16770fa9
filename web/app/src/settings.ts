// Settings of a conversation and of its sampling. What a person changes belongs to the conversation, and to those that follow if
// they say so; the rest is what the model's store recommends for it, else what Gemma 4's authors do.

import type { ChatOptions, GenerateOptions, PictureTokens } from 'rullama';
import type { Library } from './chats/library.ts';
import type { Values } from './chats/records.ts';
import { h } from './dom.ts';
import type { KeptKeys } from './kept-keys/keys.ts';
import type { PresetRow } from './preset-row.ts';
import { CHANGES, FIELDS, optionsOf, problemOf, readKept } from './sampling.ts';

/** What Gemma 4's authors recommend. */
const DEFAULTS: Values = { temperature: '1', topK: '64', topP: '0.95', minP: '0', repeatPenalty: '1', maxTokens: '', seed: '', system: '', thinking: '', pictureTokens: '' };
const STORE = 'rullama.settings';
/** Soft tokens of a picture, as the form has them. */
const PICTURE_TOKENS = [['', 'Usual (280 tokens)'], ['70', 'Least (70)'], ['140', 'Less (140)'], ['560', 'More (560)'], ['1120', 'Most (1,120)']] as const;

/** What a model's store says of it. */
export interface Recommended {
  system?: string;
  options: GenerateOptions;
}

export class Settings {
  readonly dialog: HTMLDialogElement;
  private readonly form: HTMLFormElement;
  private readonly problem = h('p', { className: 'problem', role: 'alert' });
  private readonly lasting = h('input', { type: 'checkbox', id: 'for-new' });
  private readonly keeps = h('input', { type: 'checkbox', id: 'keep-keys', 'aria-describedby': 'keep-keys-hint' });
  /** Where presets are chosen, and what does it, which is loaded when the dialog opens. */
  private readonly presetPlace = h('div');
  private presets: Promise<PresetRow> | undefined;
  /** What new conversations begin with, as far as it differs from the defaults. */
  private own: Values;
  private recommended: Recommended = { options: {} };

  /** `done` gets what differs from the defaults for the conversation that `open` was called for. */
  constructor(
    private readonly library: Library,
    private readonly keys: Pick<KeptKeys, 'on' | 'set'>,
    private readonly done: (own: Values) => void,
  ) {
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

  /** What a new conversation begins with. */
  get initial(): Values {
    return { ...this.own };
  }

  /** Shows the settings of a conversation. */
  open(own: Values): void {
    this.fill({ ...this.defaults(), ...own });
    void this.showPresets();
    this.lasting.checked = false;
    this.keeps.checked = this.keys.on;
    this.problem.textContent = '';
    this.dialog.showModal();
  }

  private async showPresets(): Promise<void> {
    this.presets ??= import('./preset-row.ts').then(({ PresetRow }) => new PresetRow(this.library, {
      write: (values) => this.fill({ ...this.defaults(), ...values }),
      read: () => (this.check() ? this.changes(this.written()) : undefined),
    }));
    try {
      const row = await this.presets;
      this.presetPlace.replaceChildren(row.element);
      row.show();
    } catch {
      // All else is there without them; the next opening tries again.
      this.presets = undefined;
    }
  }

  /** What a conversation with these settings tells the model. */
  chat(own: Values): ChatOptions {
    const { system = '', thinking, pictureTokens } = { ...this.defaults(), ...own };
    const tokens = Number(pictureTokens || 0) as PictureTokens;
    return { ...(system.trim() && { system: system.trim() }), thinking: thinking === 'on', ...(tokens > 0 && { pictureTokens: tokens }) };
  }

  generate(own: Values): GenerateOptions {
    return { ...this.recommended.options, ...optionsOf({ ...this.defaults(), ...own }) };
  }

  private defaults(): Values {
    const { system, options } = this.recommended;
    const given = FIELDS.flatMap(({ key }) => (options[key] === undefined ? [] : [[key, String(options[key])]]));
    return { ...DEFAULTS, ...(system && { system }), ...Object.fromEntries(given) };
  }

  private changes(values: Values): Values {
    const defaults = this.defaults();
    return Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== defaults[name]));
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
        h('h2', { id: 'settings-title' }, 'Settings of this chat'),
        h('button', { type: 'button', className: 'quiet', 'aria-label': 'Close settings', onclick: () => this.dialog.close() }, 'Close')),
      this.presetPlace,
      h('fieldset', {}, h('legend', {}, 'Conversation'),
        h('label', { className: 'field wide' }, h('span', {}, 'System prompt'), system),
        h('label', { className: 'check' }, thinking, h('span', {}, 'Let the model think before it answers')),
        h('label', { className: 'field wide' }, h('span', {}, 'Detail of pictures'),
          h('select', { name: 'pictureTokens' }, ...PICTURE_TOKENS.map(([value, text]) => h('option', { value }, text)))),
        h('small', {}, 'A change takes effect with the next answer.')),
      h('fieldset', {}, h('legend', {}, 'Sampling'), h('div', { className: 'grid' }, ...numbers)),
      this.problem,
      h('label', { className: 'check' }, this.lasting, h('span', {}, 'Begin new chats like this, too')),
      h('fieldset', {}, h('legend', {}, 'All chats'),
        h('label', { className: 'check' }, this.keeps, h('span', {}, 'Keep in this browser what the model has read of recent chats')),
        h('small', { id: 'keep-keys-hint' }, 'So that they go on at once, where that is faster than to read them again: 8 chats, 512 MB at most. It goes with the chat, and when this is switched off.')),
      h('footer', {},
        h('button', { type: 'button', className: 'quiet', onclick: () => this.reset() }, 'Reset to recommended'),
        h('button', { className: 'primary' }, 'Done')));
  }

  private fill(values: Values): void {
    for (const element of this.form.elements) {
      const { name } = element as HTMLInputElement;
      if (name === '') continue;
      if (element instanceof HTMLInputElement && element.type === 'checkbox') element.checked = values[name] === 'on';
      else if (element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement) element.value = values[name] ?? '';
    }
  }

  /** Puts the recommended sampling into the form; Done keeps it. */
  private reset(): void {
    const { system = '', thinking = '', pictureTokens = '' } = this.written();
    this.fill({ ...this.defaults(), system, thinking, pictureTokens });
    this.problem.textContent = '';
  }

  private written(): Values {
    const values: Values = { thinking: '' };
    for (const [name, value] of new FormData(this.form)) values[name] = String(value);
    return values;
  }

  /** Whether all fields are in range; the first that is not is named. */
  private check(): boolean {
    const values = this.written();
    for (const field of FIELDS) {
      const input = this.form.elements.namedItem(field.key) as HTMLInputElement;
      // What is not a number at all leaves a number field's value empty.
      const problem = problemOf(field, input.validity.badInput ? 'none' : (values[field.key] ?? ''));
      if (problem === '') continue;
      this.problem.textContent = problem;
      input.focus();
      return false;
    }
    this.problem.textContent = '';
    return true;
  }

  /** The first field that is out of range keeps the dialog open. */
  private submit(event: Event): void {
    if (!this.check()) return event.preventDefault();
    const own = this.changes(this.written());
    if (this.lasting.checked) this.keep(own);
    if (this.keeps.checked !== this.keys.on) void this.keys.set(this.keeps.checked);
    this.done(own);
  }

  private keep(own: Values): void {
    this.own = own;
    try {
      localStorage.setItem(STORE, JSON.stringify({ ...own, ...CHANGES }));
    } catch {
      // Storage may be switched off; the settings then last as long as the page.
    }
  }
}

function keptText(): string | null {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}
