// The line in a log from which on the model reads.

import type { ModelInfo } from 'rullama';
import { h } from './dom.ts';
import type { LogView } from './log-view.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

/** Offers to load the model with a larger context where it has one. */
export function droppedMark({ context, trainedContext }: ModelInfo, reload: (context: number) => void): HTMLElement {
  const larger = Math.min(trainedContext, 2 * context);
  return h('p', { className: 'note dropped', role: 'status' },
    t(ChatText.theContextOfToken, { context }), ' ',
    larger > context && h('button', { type: 'button', className: 'quiet', onclick: () => reload(larger) }, t(ChatText.reloadWithLarger, { larger })));
}

/** Puts the line before the first message that is read. */
export function markDropped(log: LogView, firstRead: string | undefined, mark: HTMLElement): void {
  log.sync(true);
  log.element.querySelector('.dropped')?.remove();
  const first = firstRead && log.elementOf(firstRead);
  if (first) first.before(mark);
  else if (firstRead) log.element.prepend(mark);
  else log.element.append(mark);
}
