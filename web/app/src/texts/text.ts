// What the page says, in the language that is chosen.
//
// A text is written in English, in a table of its area (en/); what stands for it in another language is found by it, so that scripts
// carry no more English than they use. In braces it has values by name, and what depends on a number: `{n|one=# token|other=# tokens}`.

/** A language as it was loaded. All scripts of the page share it. */
export interface Language {
  /** For numbers, plurals and dates. */
  locale: string;
  rtl: boolean;
  /** What stands for English texts; nothing in English. */
  texts: Record<string, string>;
}

const ENGLISH: Language = { locale: 'en', rtl: false, texts: {} };
const shared = globalThis as { rullamaLanguage?: Language };

export const language = (): Language => shared.rullamaLanguage ?? ENGLISH;
export const locale = (): string => language().locale;
export const setLanguage = (chosen: Language): void => void (shared.rullamaLanguage = chosen);

type Value = string | number;

/** The names of a text's values. */
export type Holes<S extends string> = S extends `${string}{${infer H}}${infer R}` ? (H extends ` ${string}` | '' ? never : H extends `${infer N}|${string}` ? N : H) | Holes<R> : never;
type Given<S extends string, V> = [Holes<`${S}`>] extends [never] ? [] : [values: Record<Holes<`${S}`>, V>];

/** A text, with its values in their places. Numbers are written, and chosen for, as the language does. */
export function t<S extends string>(text: S, ...[values]: Given<S, Value>): string {
  return pieces<Value>(text, values ?? {}).join('');
}

/** What stands for a text that is data, where the tables have it. */
export const translated = (text: string): string => language().texts[text] ?? text;

/** A text with elements in it. */
export function parts<S extends string>(text: S, ...[values]: Given<S, Value | Node>): (string | Node)[] {
  return pieces<Value | Node>(text, values ?? {}) as (string | Node)[];
}

const formats = new Map<string, Intl.NumberFormat>();

/** Making one takes longer than using it. */
function written(value: number, options: Intl.NumberFormatOptions = {}): string {
  const name = `${locale()} ${JSON.stringify(options)}`;
  const format = formats.get(name) ?? new Intl.NumberFormat(locale(), options);
  formats.set(name, format);
  return format.format(value);
}

/** A number with so many digits behind its point. */
export const fixed = (value: number, digits: number): string => written(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** A number with so many digits that count. */
export const significant = (value: number, digits: number): string => written(value, { minimumSignificantDigits: digits, maximumSignificantDigits: digits });

function pieces<V>(text: string, values: Partial<Record<string, V>>): (string | V)[] {
  const { texts } = language();
  return (texts[text] ?? text).split(/(\{\w+(?:\|[^}]*)?\})/).map((piece, i) => (i % 2 === 0 ? piece : filled(piece.slice(1, -1), values)));
}

function filled<V>(hole: string, values: Partial<Record<string, V>>): string | V {
  const [name = '', ...forms] = hole.split('|');
  const value = values[name] ?? '';
  const { locale, rtl } = language();
  if (typeof value !== 'number') return rtl && typeof value === 'string' && value !== '' ? `\u2068${value}\u2069` : value;
  const number = written(value);
  if (forms.length === 0) return number;
  const form = new Intl.PluralRules(locale).select(value);
  const words = forms.find((one) => one.startsWith(`${form}=`)) ?? forms.find((one) => one.startsWith('other=')) ?? '';
  return words.slice(words.indexOf('=') + 1).replace('#', number);
}
