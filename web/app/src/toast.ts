// A remark at the edge of the window, with something to do about it for a moment.

import { h } from './dom.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

let shown: HTMLElement | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let ended: () => void = () => undefined;

/** Shows it for so many milliseconds, in place of the one before; `end` runs when it goes without its button having been used. */
export function toast(text: string, { action, ms, end = () => undefined }: { action?: { label: string; run(): void }; ms: number; end?: () => void }): void {
  const element = (shown ??= h('div', { className: 'toast', role: 'status', hidden: true }));
  if (!element.isConnected) document.body.append(element);
  close();
  const act = action && h('button', { type: 'button', onclick: () => {
    ended = () => undefined;
    close();
    action.run();
  } }, action.label);
  element.replaceChildren(h('span', { dir: 'auto' }, text), ...(act ? [act] : []), h('button', { type: 'button', className: 'quiet', 'aria-label': t(ChatText.closeTheRemark), onclick: close }, '×'));
  element.hidden = false;
  ended = end;
  const begin = () => {
    clearTimeout(timer);
    timer = setTimeout(close, ms);
  };
  // Who is at it is not hurried.
  element.onpointerenter = () => clearTimeout(timer);
  element.onpointerleave = begin;
  act?.addEventListener('focus', () => clearTimeout(timer));
  act?.addEventListener('blur', begin);
  begin();
}

function close(): void {
  clearTimeout(timer);
  if (!shown || shown.hidden) return;
  shown.hidden = true;
  const end = ended;
  ended = () => undefined;
  end();
}
