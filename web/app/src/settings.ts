// Settings of a conversation and of its sampling. What a person changes belongs to the conversation, and to those that follow if
// they say so; the rest is what the model's store recommends for it, else what Gemma 4's authors do.

import type { ChatOptions, GenerateOptions, PictureTokens } from 'rullama';
import type { Library } from './chats/library.ts';
import { languageChoice } from './texts/choice.ts';
import type { Values } from './chats/records.ts';
import { h } from './dom.ts';
import { PresetRow } from './preset-row.ts';
import { CHANGES, FIELDS, optionsOf, problemOf, readKept } from './sampling.ts';
import { CommonText } from './texts/en/common.ts';
import { SettingsText } from './texts/en/settings.ts';
import { t } from './texts/text.ts';

/** What Gemma 4's authors recommend. */
const DEFAULTS: Values = { temperature: '1', topK: '64', topP: '0.95', minP: '0', repeatPenalty: '1', maxTokens: '', seed: '', system: '', thinking: '', pictureTokens: '' };
const STORE = 'rullama.settings';
/** Soft tokens of a picture, as the form has them. */
const PICTURE_TOKENS = [['', t(SettingsText.usual280Tokens)], ['70', t(SettingsText.least70)], ['140', t(SettingsText.less140)], ['560', t(SettingsText.more560)], ['1120', t(SettingsText.most1120)]] as const;

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
  private readonly presets: PresetRow;
  /** What new conversations begin with, as far as it differs from the defaults. */
  private own: Values;
  private recommended: Recommended = { options: {} };

  /** `done` gets what differs from the defaults for the conversation that `open` was called for. */
  constructor(
    library: Library,
    private readonly done: (own: Values) => void,
  ) {
    this.own = readKept(keptText(), DEFAULTS);
    this.presets = new PresetRow(library, {
      write: (values) => this.fill({ ...this.defaults(), ...values }),
      read: () => (this.check() ? this.changes(this.written()) : undefined),
    });
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
    this.presets.show();
    this.lasting.checked = false;
    this.problem.textContent = '';
    this.dialog.showModal();
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

  /** All values of a conversation, those that it leaves to the defaults too. */
  values(own: Values): Values {
    return { ...this.defaults(), ...own };
  }

  /** Of values those that differ from the defaults. */
  changes(values: Values): Values {
    const defaults = this.defaults();
    return Object.fromEntries(Object.entries(values).filter(([name, value]) => value !== defaults[name]));
  }

  private build(): HTMLFormElement {
    const system = h('textarea', { id: 'system', name: 'system', rows: 4, dir: 'auto', placeholder: t(SettingsText.youAreAHelpful) });
    const thinking = h('input', { type: 'checkbox', name: 'thinking', id: 'thinking' });
    const numbers = FIELDS.map(({ key, label, hint, min, max, step }) =>
      h('label', { className: 'field' },
        h('span', {}, label),
        h('input', { type: 'number', name: key, min: String(min), max: String(max), step: String(step), inputMode: 'decimal' }),
        h('small', {}, hint)));
    return h('form', { method: 'dialog', noValidate: true, onsubmit: (event: Event) => this.submit(event) },
      h('header', {},
        h('h2', { id: 'settings-title' }, t(SettingsText.settingsOfThisChat)),
        h('button', { type: 'button', className: 'quiet', 'aria-label': t(SettingsText.closeSettings), onclick: () => this.dialog.close() }, t(CommonText.close))),
      this.presets.element,
      h('fieldset', {}, h('legend', {}, t(CommonText.conversation)),
        h('label', { className: 'field wide' }, h('span', {}, t(CommonText.systemPrompt)), system),
        h('label', { className: 'check' }, thinking, h('span', {}, t(SettingsText.letTheModelThink))),
        h('label', { className: 'field wide' }, h('span', {}, t(SettingsText.detailOfPictures)),
          h('select', { name: 'pictureTokens' }, ...PICTURE_TOKENS.map(([value, text]) => h('option', { value }, text)))),
        h('small', {}, t(SettingsText.aChangeTakesEffect))),
      h('fieldset', {}, h('legend', {}, t(SettingsText.sampling)), h('div', { className: 'grid' }, ...numbers)),
      this.problem,
      languageChoice(() => false),
      h('label', { className: 'check' }, this.lasting, h('span', {}, t(SettingsText.beginNewChatsLike))),
      h('footer', {},
        h('button', { type: 'button', className: 'quiet', onclick: () => this.reset() }, t(SettingsText.resetToRecommended)),
        h('button', { className: 'primary' }, t(CommonText.done))));
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
