// Keys for what people do often. The list of them is loaded when it is asked for.

import { byId } from '../dom.ts';

export interface Does {
  newChat(): void;
  /** The field that searches conversations gets the focus. */
  search(): void;
  /** Deletes the conversation that is shown. */
  deleteChat(): void;
}

/** Shows the list of keys. */
export const showKeys = (): Promise<unknown> => import('./key-list.ts').then(({ showKeyList }) => showKeyList(), () => undefined);

/** A letter by what is written on the key, or, where that is of another script, by its place. */
const isKey = ({ key, code }: KeyboardEvent, letter: string) => (/^[a-z]$/i.test(key) ? key.toLowerCase() === letter : code === `Key${letter.toUpperCase()}`);

export function listenToKeys(does: Does): void {
  byId('search').setAttribute('aria-keyshortcuts', 'Control+K Meta+K');
  byId('new-chat').setAttribute('aria-keyshortcuts', 'Control+Shift+O Meta+Shift+O');
  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.repeat || event.isComposing || document.querySelector('dialog[open]')) return;
    const run = wanted(event, does);
    if (!run) return;
    event.preventDefault();
    run();
  });
}

function wanted(event: KeyboardEvent, { newChat, search, deleteChat }: Does): (() => void) | undefined {
  const { key, code, ctrlKey, metaKey, shiftKey, altKey, target } = event;
  if (altKey) return undefined;
  if (ctrlKey !== metaKey) {
    // By its place where the keyboard is of a script without it.
    if (key === '/' || (code === 'Slash' && !/^[ -~]$/.test(key))) return () => void showKeys();
    if (isKey(event, 'k') && !shiftKey) return search;
    if (isKey(event, 'o') && shiftKey) return newChat;
    // In a field with a text it deletes of that on some systems.
    const isWriting = (target instanceof HTMLTextAreaElement || target instanceof HTMLInputElement) && target.value !== '';
    return key === 'Backspace' && shiftKey && !isWriting ? deleteChat : undefined;
  }
  const isEmptyField = target instanceof HTMLTextAreaElement && target.id === 'prompt' && target.value === '';
  if (key !== 'ArrowUp' || shiftKey || ctrlKey || !isEmptyField) return undefined;
  const last = [...document.querySelectorAll<HTMLElement>('.message.user [data-tool=edit]')].at(-1);
  return last && (() => last.click());
}
