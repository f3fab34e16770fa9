// Before anything else of the page: its language. The page's script waits for it, in English for nothing.

import { keptLanguage, wanted } from './languages.ts';
import { setLanguage, translated } from './text.ts';

/** Milliseconds that a language is waited for. */
const PATIENCE_MS = 8000;

const { code, locale, rtl } = wanted(keptLanguage(), navigator.languages);
const texts = code === 'en' ? {} : await load().catch(() => undefined);
// Without its texts the page is in English as a whole.
if (texts) {
  setLanguage({ locale, rtl, texts });
  Object.assign(document.documentElement, { lang: code, dir: rtl ? 'rtl' : 'ltr' });
  for (const element of document.querySelectorAll('.skip, header button:not([hidden]), nav button')) element.textContent = translated(element.textContent);
  for (const element of document.querySelectorAll('[aria-label]')) element.setAttribute('aria-label', translated(element.getAttribute('aria-label') as string));
}
document.documentElement.dataset['language'] = texts ? code : 'en';

async function load(): Promise<Record<string, string>> {
  const response = await fetch(new URL(`texts/${code}.json`, document.baseURI), { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!response.ok) throw new Error(response.statusText);
  return (await response.json()) as Record<string, string>;
}
