// What a conversation offers that was left in the middle: its last question has no answer, or nobody ran the calls of its last answer.

import type { Answering } from './answering.ts';
import type { Conversation } from './conversation.ts';
import { h } from './dom.ts';
import type { LogView } from './log-view.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

/** Shows it at the end of the log, where there is something that `answering` can go on with. */
export function offerResume({ element }: LogView, conversation: Conversation, answering: Answering | undefined, act: (run: () => Promise<void>) => void): void {
  element.querySelector('.resume')?.remove();
  const calls = conversation.calling !== undefined;
  if (!(conversation.unanswered || calls) || conversation.running || !answering) return;
  const run = () => (calls ? answering.runCalls(conversation) : answering.regenerate(conversation, conversation.leaf));
  element.append(h('p', { className: 'note resume' }, h('button', { type: 'button', onclick: () => act(run) }, calls ? t(ChatText.runTheCalls) : t(ChatText.answerThis))));
}
