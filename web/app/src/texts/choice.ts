// Where a person chooses the page's language.

import { h } from '../dom.ts';
import { toast } from '../toast.ts';
import { AdaptersText } from './en/adapters.ts';
import { ChatText } from './en/chat.ts';
import { keepLanguage, LANGUAGES } from './languages.ts';
import { t } from './text.ts';

/** A field for it. The page is loaded again at once where `free` says that nothing is lost by it, else when a person says so. */
export function languageChoice(free: () => boolean): HTMLElement {
  const options = Object.entries(LANGUAGES).map(([code, name]) => h('option', { value: code, lang: code, dir: 'auto' }, name));
  const again = h('button', { type: 'button', onclick: () => location.reload() }, t(ChatText.loadThePageAgain));
  const warning = h('div', { className: 'language-warning', role: 'status' });
  const select = h('select', { className: 'language', onchange: () => {
    if (!keepLanguage(select.value)) return toast(t(AdaptersText.thisBrowserLetsThe), { ms: 12_000 });
    if (free()) return location.reload();
    warning.replaceChildren(h('p', { className: 'hint' }, t(ChatText.thePageIsLoaded)), again);
  } }, ...options);
  select.value = document.documentElement.dataset['language'] ?? 'en';
  return h('div', { className: 'language-choice' }, h('label', { className: 'field' }, h('span', {}, t(ChatText.language)), select), warning);
}
