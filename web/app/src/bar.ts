// The bar above everything: the way home, what can be done with the chat, and the menu of the model.

import { byId } from './dom.ts';
import { Menu, type Entry } from './menu.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

export interface Bar {
  newChat(): void;
  settings(): void;
  changeModel(): void;
  home(): void;
  /** What the model's menu has before the choice of another one. */
  modelEntries(): Entry[];
}

export function fillBar(bar: Bar): void {
  const menu = new Menu();
  byId('new-chat').onclick = () => bar.newChat();
  byId('open-settings').onclick = () => bar.settings();
  byId('change-model').onclick = () => bar.changeModel();
  byId('model-name').onclick = () => menu.open(byId('model-name'), [...bar.modelEntries(), { label: t(ChatText.changeModel), run: () => bar.changeModel() }]);
  byId('home').onclick = (event) => {
    // Another tab or window is the browser's affair.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    bar.home();
  };
}
