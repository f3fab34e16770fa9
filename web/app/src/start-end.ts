// The end of the first view: the language, and the documentation.

import { docsLink } from './docs-link.ts';
import { byId, h } from './dom.ts';
import { languageChoice } from './texts/choice.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

export function endStart(): void {
  const link = docsLink(t(ChatText.documentation));
  byId('start').append(h('div', { className: 'start-end' }, link && h('p', {}, link), languageChoice(() => true)));
}
