// The dialogs of conversations in links: giving one away, and keeping one that came. Loaded with the first of either.

import { h } from '../dom.ts';
import { ChatText } from '../texts/en/chat.ts';
import { CommonText } from '../texts/en/common.ts';
import { FilesText } from '../texts/en/files.ts';
import { t } from '../texts/text.ts';
import type { Library } from './library.ts';
import { linkData, readLink } from './link.ts';
import type { ChatRecord, MessageRecord } from './records.ts';

/** Characters from which on some programs cut links. */
const LONG = 2000;

/** Shows the link of a conversation, to be copied or handed to another program. */
export async function share(chat: ChatRecord, messages: MessageRecord[]): Promise<void> {
  const { origin, pathname, search, hostname, host } = location;
  const address = `${origin}${pathname}${search}#shared=${await linkData(chat, messages)}`;
  const here = /^(localhost|127\.|\[::1\])/.test(hostname);
  const remarks = [
    t(FilesText.theLinkHolds),
    messages.some(({ media = [] }) => media.length > 0) && t(FilesText.picturesSoundsAnd),
    here && t(FilesText.itOpensWhere, { host }),
    address.length > LONG && t(FilesText.itHasSoMany, { length: address.length }),
  ];
  const field = h('input', { type: 'text', readOnly: true, value: address, dir: 'ltr', 'aria-label': t(FilesText.theLink), onfocus: () => field.select() });
  const copy = h('button', { type: 'button', className: 'primary' }, t(ChatText.copy));
  copy.onclick = async () => {
    copy.textContent = await navigator.clipboard.writeText(address).then(() => t(ChatText.copied), () => t(ChatText.notAllowed));
  };
  const data = { title: chat.title, url: address };
  const send = navigator.canShare?.(data) && h('button', { type: 'button', className: 'quiet', onclick: () => void navigator.share(data).catch(() => undefined) }, t(FilesText.handItOn));
  await shown(t(FilesText.shareThisConversation), [h('p', {}, remarks.filter(Boolean).join(' ')), field], [copy, send]);
}

/** Asks whether a conversation of a link is to be kept; gives its id where it is, or was before. */
export async function receive(data: string, library: Library): Promise<string | undefined> {
  const { fresh, known } = await readLink(data, library);
  if (!fresh) return known?.id;
  const { chat, messages } = fresh;
  const { system } = chat.settings;
  const parts: HTMLElement[] = [h('p', {}, h('b', { dir: 'auto' }, chat.title), ' · ', t(FilesText.messageCount, { messages: messages.length })), h('p', {}, t(FilesText.itIsInTheLink))];
  // What the model is told, by whoever made the link.
  if (system) parts.push(h('details', {}, h('summary', {}, t(CommonText.systemPrompt)), h('p', { dir: 'auto' }, system)));
  const answer = await shown(t(FilesText.aConversationFromA), parts,
    [h('button', { className: 'primary', value: 'keep' }, t(FilesText.keepAndShow))]);
  if (answer !== 'keep') return undefined;
  await library.addAll([fresh]);
  void library.askToPersist();
  return chat.id;
}

/** A dialog until it is closed; gives the value of the button that closed it. */
async function shown(title: string, parts: HTMLElement[], buttons: (HTMLElement | false | undefined)[]): Promise<string> {
  const close = h('button', { className: 'quiet', value: '' }, t(CommonText.close));
  const dialog = h('dialog', { className: 'settings share', 'aria-labelledby': 'share-title' },
    h('form', { method: 'dialog' }, h('h2', { id: 'share-title' }, title), ...parts, h('p', { className: 'actions' }, ...buttons.map((button) => button ?? false), close)));
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => (dialog.onclose = resolve));
  dialog.remove();
  return dialog.returnValue;
}
