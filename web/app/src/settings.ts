// Settings of a conversation and of its sampling. What a person changes belongs to the conversation, and to those that follow if
// they say so; the rest is what the model's store recommends for it, else what Gemma 4's authors do.

import type { ChatOptions, GenerateOptions, PictureTokens } from 'rullama';
import type { Library } from './chats/library.ts';
import type { Values } from './chats/records.ts';
import type { KeptKeys } from './kept-keys/keys.ts';
import { CHANGES, FIELDS, formatOf, optionsOf, readKept } from './sampling.ts';
import { SettingsText } from './texts/en/settings.ts';
import { t } from './texts/text.ts';
import { toast } from './toast.ts';

type SettingsDialog = import('./settings-dialog.ts').SettingsDialog;

/** What Gemma 4's authors recommend. */
const DEFAULTS: Values = { temperature: '1', topK: '64', topP: '0.95', minP: '0', repeatPenalty: '1', maxTokens: '', seed: '', system: '', thinking: '', format: '', pictureTokens: '' };
const STORE = 'rullama.settings';

/** What a model's store says of it. */
export interface Recommended {
  system?: string;
  options: GenerateOptions;
}

export class Settings {
  private dialog: SettingsDialog | undefined;
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
  async open(own: Values): Promise<void> {
    if (this.dialog) return this.dialog.open(own);
    try {
      const { SettingsDialog } = await import('./settings-dialog.ts');
      this.dialog ??= new SettingsDialog(this.library, this, this.keys, (chosen, lasting) => {
        if (lasting) this.keep(chosen);
        this.done(chosen);
      });
      this.dialog.open(own);
    } catch (thrown) {
      toast(t(SettingsText.cannotBeShown, { message: thrown instanceof Error ? thrown.message : String(thrown) }), { ms: 12_000 });
    }
  }

  /** What a conversation with these settings tells the model. */
  chat(own: Values): ChatOptions {
    const { system = '', thinking, pictureTokens } = { ...this.defaults(), ...own };
    const tokens = Number(pictureTokens || 0) as PictureTokens;
    return { ...(system.trim() && { system: system.trim() }), thinking: thinking === 'on', ...(tokens > 0 && { pictureTokens: tokens }) };
  }

  generate(own: Values): GenerateOptions {
    const format = formatOf(own['format']);
    return { ...this.recommended.options, ...optionsOf({ ...this.defaults(), ...own }), ...(format && { format }) };
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
