// The dialog of a conversation's settings, loaded when it is first opened.

import type { Library } from './chats/library.ts';
import type { Values } from './chats/records.ts';
import { h } from './dom.ts';
import { showKeys } from './keys/keys.ts';
import type { KeptKeys } from './kept-keys/keys.ts';
import { PresetRow } from './preset-row.ts';
import { FIELDS, formatOf, inRange, MOST, type Field } from './sampling.ts';
import type { Settings } from './settings.ts';
import { languageChoice } from './texts/choice.ts';
import { CommonText } from './texts/en/common.ts';
import { SettingsText } from './texts/en/settings.ts';
import { t } from './texts/text.ts';

/** Soft tokens of a picture, as the form has them. */
const PICTURE_TOKENS = [['', t(SettingsText.usual280Tokens)], ['70', t(SettingsText.least70)], ['140', t(SettingsText.less140)], ['560', t(SettingsText.more560)], ['1120', t(SettingsText.most1120)]] as const;

/** What fields are called, and what to know of them. */
export const WORDS: Record<string, { label: string; hint: string }> = {
  temperature: { label: t(SettingsText.temperature), hint: t(SettingsText.n0AlwaysTakesThe) },
  topK: { label: t(SettingsText.topK), hint: t(SettingsText.n0ConsidersAllWords) },
  topP: { label: t(SettingsText.topP), hint: t(SettingsText.n1SwitchesItOff) },
  minP: { label: t(SettingsText.minP), hint: t(SettingsText.n0SwitchesItOff) },
  repeatPenalty: { label: t(SettingsText.repeatPenalty), hint: t(SettingsText.n1SwitchesItOff) },
  maxTokens: { label: t(SettingsText.longestAnswer), hint: t(SettingsText.tokensEmptyAsLong) },
  seed: { label: t(CommonText.seed), hint: t(SettingsText.emptyAnotherAnswerEach) },
};

/** What is wrong with a field's text, in words; empty text is right and means the engine's default. */
export function problemOf(field: Field, text: string): string {
  if (inRange(field, text)) return '';
  const { key, min, max, whole } = field;
  const { label = key } = WORDS[key] ?? {};
  const kind = whole ? t(SettingsText.aWholeNumber) : t(CommonText.aNumber);
  return max >= MOST ? t(SettingsText.labelIsKindOf, { label, kind, min }) : t(SettingsText.labelIsKindFrom, { label, kind, min, max });
}

export class SettingsDialog {
  private readonly dialog: HTMLDialogElement;
  private readonly form: HTMLFormElement;
  private readonly problem = h('p', { className: 'problem', role: 'alert' });
  private readonly lasting = h('input', { type: 'checkbox', id: 'for-new' });
  private readonly keeps = h('input', { type: 'checkbox', id: 'keep-keys', 'aria-describedby': 'keep-keys-hint' });
  private readonly presets: PresetRow;

  /** `done` gets what differs from the defaults, and whether new conversations begin with it. */
  constructor(
    library: Library,
    private readonly settings: Settings,
    private readonly keys: Pick<KeptKeys, 'on' | 'set'>,
    private readonly done: (own: Values, lasting: boolean) => void,
  ) {
    this.presets = new PresetRow(library, {
      write: (values) => this.fill(settings.values(values)),
      read: () => (this.check() ? settings.changes(this.written()) : undefined),
    });
    this.form = this.build();
    this.dialog = h('dialog', { className: 'settings', 'aria-labelledby': 'settings-title' }, this.form);
    // Escape and a click beside the dialog leave everything as it was.
    this.dialog.addEventListener('click', (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    document.body.append(this.dialog);
  }

  open(own: Values): void {
    this.fill(this.settings.values(own));
    this.presets.show();
    this.lasting.checked = false;
    this.keeps.checked = this.keys.on;
    this.problem.textContent = '';
    this.dialog.showModal();
  }

  private build(): HTMLFormElement {
    const system = h('textarea', { id: 'system', name: 'system', rows: 4, dir: 'auto', placeholder: t(SettingsText.youAreAHelpful) });
    const thinking = h('input', { type: 'checkbox', name: 'thinking', id: 'thinking' });
    const format = h('textarea', { id: 'format', name: 'format', rows: 3, dir: 'ltr', spellcheck: false, className: 'schema', placeholder: '{"type": "object", "properties": {}}' });
    const numbers = FIELDS.map(({ key, min, max, step }) =>
      h('label', { className: 'field' },
        h('span', {}, WORDS[key]?.label ?? key),
        h('input', { type: 'number', name: key, min: String(min), max: String(max), step: String(step), inputMode: 'decimal' }),
        h('small', {}, WORDS[key]?.hint ?? '')));
    return h('form', { method: 'dialog', noValidate: true, onsubmit: (event: Event) => this.submit(event) },
      h('header', {},
        h('h2', { id: 'settings-title' }, t(SettingsText.settingsOfThisChat)),
        h('button', { type: 'button', className: 'quiet', 'aria-label': t(SettingsText.closeSettings), onclick: () => this.dialog.close() }, t(CommonText.close))),
      this.presets.element,
      h('fieldset', {}, h('legend', {}, t(CommonText.conversation)),
        h('label', { className: 'field wide' }, h('span', {}, t(CommonText.systemPrompt)), system),
        h('label', { className: 'field wide' }, h('span', {}, t(SettingsText.formOfAnswers)), format, h('small', {}, t(SettingsText.aJSONSchemaThat))),
        h('label', { className: 'check' }, thinking, h('span', {}, t(SettingsText.letTheModelThink))),
        h('label', { className: 'field wide' }, h('span', {}, t(SettingsText.detailOfPictures)),
          h('select', { name: 'pictureTokens' }, ...PICTURE_TOKENS.map(([value, text]) => h('option', { value }, text)))),
        h('small', {}, t(SettingsText.aChangeTakesEffect))),
      h('fieldset', {}, h('legend', {}, t(SettingsText.sampling)), h('div', { className: 'grid' }, ...numbers)),
      this.problem,
      h('label', { className: 'check' }, this.lasting, h('span', {}, t(SettingsText.beginNewChatsLike))),
      h('fieldset', {}, h('legend', {}, t(SettingsText.allChats)),
        h('label', { className: 'check' }, this.keeps, h('span', {}, t(SettingsText.keepInThisBrowser))),
        h('small', { id: 'keep-keys-hint' }, t(SettingsText.soThatTheyGo))),
      languageChoice(() => false),
      h('p', {}, h('button', { type: 'button', className: 'quiet', id: 'show-keys', onclick: () => void showKeys() }, t(SettingsText.keyboardShortcuts))),
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
    const { system = '', thinking = '', format = '', pictureTokens = '' } = this.written();
    this.fill(this.settings.values({ system, thinking, format, pictureTokens }));
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
      if (problem !== '') return this.refuse(input, problem);
    }
    const { format = '' } = values;
    if (format.trim() !== '' && !formatOf(format)) return this.refuse(this.form.elements.namedItem('format') as HTMLElement, t(SettingsText.theFormOfAnswers));
    this.problem.textContent = '';
    return true;
  }

  private refuse(input: HTMLElement, problem: string): false {
    this.problem.textContent = problem;
    input.focus();
    return false;
  }

  /** The first field that is out of range keeps the dialog open. */
  private submit(event: Event): void {
    if (!this.check()) return event.preventDefault();
    if (this.keeps.checked !== this.keys.on) void this.keys.set(this.keeps.checked);
    this.done(this.settings.changes(this.written()), this.lasting.checked);
  }
}
