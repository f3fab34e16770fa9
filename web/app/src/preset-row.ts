// Presets in the settings: named sets of settings and system prompt, to choose, save and delete.

import type { Library } from './chats/library.ts';
import { newId, type Preset, type Values } from './chats/records.ts';
import { titleOf } from './chats/words.ts';
import { h } from './dom.ts';
import { CommonText } from './texts/en/common.ts';
import { SettingsText } from './texts/en/settings.ts';
import { t } from './texts/text.ts';

/** The form around it. */
export interface Form {
  write(values: Values): void;
  /** What it says, as far as it differs from the defaults; nothing where it says something wrong, which it then shows. */
  read(): Values | undefined;
}

export class PresetRow {
  readonly element: HTMLFieldSetElement;
  private readonly choice = h('select', { id: 'preset', 'aria-label': t(CommonText.preset), onchange: () => this.chosen() });
  private readonly name = h('input', { type: 'text', id: 'preset-name', maxLength: 80, dir: 'auto', placeholder: t(SettingsText.nameOfANew), 'aria-label': t(SettingsText.nameOfANew), autocomplete: 'off' });
  private readonly save = h('button', { type: 'button', id: 'save-preset', onclick: () => void this.keep() }, t(CommonText.save));
  private readonly remove = h('button', { type: 'button', id: 'delete-preset', className: 'quiet', onclick: () => void this.delete() }, t(CommonText.deleteIt));
  private readonly said = h('p', { className: 'hint', role: 'status' });
  private deleted: Preset | undefined;

  constructor(
    private readonly library: Library,
    private readonly form: Form,
  ) {
    this.name.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.isComposing) return;
      event.preventDefault();
      void this.keep();
    });
    this.element = h('fieldset', { className: 'presets' }, h('legend', {}, t(CommonText.preset)),
      h('div', { className: 'row' }, this.choice, this.remove),
      h('div', { className: 'row' }, this.name, this.save),
      this.said);
    library.listen((news) => news.of === 'presets' && this.list(this.choice.value));
  }

  /** As the dialog opens. */
  show(): void {
    this.name.value = '';
    this.said.replaceChildren();
    this.list('');
  }

  private list(chosen: string): void {
    const options = this.library.presets.map(({ id, name }) => h('option', { value: id }, name));
    this.choice.replaceChildren(h('option', { value: '' }, this.library.presets.length > 0 ? t(SettingsText.chooseAPreset) : t(SettingsText.noneSavedYet)), ...options);
    this.choice.value = this.library.presets.some(({ id }) => id === chosen) ? chosen : '';
    this.remove.disabled = this.choice.value === '';
  }

  private get preset(): Preset | undefined {
    return this.library.presets.find(({ id }) => id === this.choice.value);
  }

  private chosen(): void {
    const { preset } = this;
    this.remove.disabled = !preset;
    if (!preset) return;
    this.form.write(preset.values);
    this.said.textContent = t(SettingsText.presetIsFilledIn, { preset: preset.name });
  }

  /** Saves under the name that is written; one that exists already gets these settings. */
  private async keep(): Promise<void> {
    const name = titleOf(this.name.value);
    if (name === '') {
      this.said.textContent = t(SettingsText.writeANameFor);
      return this.name.focus();
    }
    const values = this.form.read();
    if (!values) return;
    const old = this.library.presets.find((preset) => preset.name === name);
    const preset = { id: old?.id ?? newId(), name, values };
    await this.library.savePreset(preset);
    this.list(preset.id);
    this.name.value = '';
    this.said.textContent = old ? t(SettingsText.nameHasTheseSettings, { name }) : t(SettingsText.nameIsSaved, { name });
  }

  private async delete(): Promise<void> {
    const { preset } = this;
    if (!preset) return;
    this.deleted = preset;
    await this.library.removePreset(preset.id);
    this.list('');
    const undo = h('button', { type: 'button', className: 'quiet', onclick: () => void this.undo() }, t(CommonText.undo));
    this.said.replaceChildren(t(SettingsText.presetIsDeleted, { preset: preset.name }), ' ', undo);
    undo.focus();
  }

  private async undo(): Promise<void> {
    const { deleted } = this;
    if (!deleted) return;
    await this.library.savePreset(deleted);
    this.list(deleted.id);
    this.said.textContent = t(SettingsText.deletedIsBack, { deleted: deleted.name });
    this.choice.focus();
  }
}
