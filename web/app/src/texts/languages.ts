// The languages that the page speaks, and which of them a person wants.

/** Each with its own name. What stands for English in the others is loaded when it is chosen. */
export const LANGUAGES: Record<string, string> = { en: 'English', de: 'Deutsch', ar: 'العربية' };
const RTL = ['ar'];

const STORE = 'rullama.language';

/** What a person chose, else the first of the browser's languages that is here; with the region that the browser knows it by. */
export function wanted(kept: string | null, browsers: readonly string[]): { code: string; locale: string; rtl: boolean } {
  const base = (tag: string) => tag.split('-')[0]?.toLowerCase() ?? '';
  const known = (code: string) => Object.hasOwn(LANGUAGES, code);
  const code = kept !== null && known(kept) ? kept : (browsers.map(base).find(known) ?? 'en');
  return { code, locale: browsers.find((tag) => base(tag) === code) ?? code, rtl: RTL.includes(code) };
}

export function keptLanguage(): string | null {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}

/** Keeps the choice for the next time that the page is opened; whether that could be done. */
export function keepLanguage(code: string): boolean {
  try {
    localStorage.setItem(STORE, code);
    return true;
  } catch {
    return false;
  }
}
