// The list of keys, loaded when it is asked for.

import { h } from '../dom.ts';
import { ChatText } from '../texts/en/chat.ts';
import { CommonText } from '../texts/en/common.ts';
import { SettingsText } from '../texts/en/settings.ts';
import { t } from '../texts/text.ts';

/** Apple's keyboards have the key that is meant under another name. */
const apple = /Mac|iPhone|iPad/.test(navigator.platform);
const CTRL = apple ? '⌘' : t(SettingsText.ctrl);
const SHIFT = apple ? '⇧' : t(SettingsText.shift);
const ENTER = apple ? '⏎' : t(SettingsText.enter);

export function showKeyList(): void {
  const keys: [string[], string][] = [
    [[ENTER], t(SettingsText.sendTheMessage)],
    [[SHIFT, ENTER], t(SettingsText.aNewLine)],
    [['Esc'], t(SettingsText.stopTheAnswer)],
    [['↑'], t(SettingsText.changeYourLast)],
    [[CTRL, ENTER], t(SettingsText.sendAChanged)],
    [[CTRL, SHIFT, 'O'], t(ChatText.newChat)],
    [[CTRL, 'K'], t(ChatText.searchConversations)],
    [['↑', '↓'], t(SettingsText.goThroughTheList)],
    [[CTRL, SHIFT, apple ? '⌫' : t(SettingsText.backspace)], t(SettingsText.deleteThisChat)],
    [[CTRL, '/'], t(SettingsText.thisList)],
  ];
  const close = h('button', { className: 'quiet' }, t(CommonText.close));
  const rows = keys.map(([all, does]) => h('div', {}, h('dt', {}, ...all.map((key) => h('kbd', { dir: 'ltr' }, key))), h('dd', {}, does)));
  const dialog = h('dialog', { className: 'settings', 'aria-labelledby': 'keys-title' },
    h('form', { method: 'dialog' }, h('header', {}, h('h2', { id: 'keys-title' }, t(SettingsText.keyboardShortcuts)), close), h('dl', { className: 'key-list' }, ...rows)));
  dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
