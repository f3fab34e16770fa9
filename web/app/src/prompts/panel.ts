// The dialog with the prompts: one goes into the message field, what is written there can be kept. Loaded when it is opened.

import { UNDO_MS } from '../chats/library.ts';
import { h } from '../dom.ts';
import { ChatText } from '../texts/en/chat.ts';
import { CommonText } from '../texts/en/common.ts';
import { t } from '../texts/text.ts';
import { toast } from '../toast.ts';
import { keepPrompts, readPrompts, startOf, starters, type Prompt } from './kept.ts';

/** Characters of a prompt that are kept. */
const MOST = 100_000;

export class PromptPanel {
  private readonly list = h('ul', { className: 'prompts' });
  private readonly name = h('input', { type: 'text', id: 'prompt-name', dir: 'auto', maxLength: 100, autocomplete: 'off' });
  private readonly dialog: HTMLDialogElement;

  /** `written` stands in the message field; `take` gets the prompt that is chosen. */
  constructor(
    private readonly written: string,
    private readonly take: (text: string) => void,
  ) {
    const keep = h('form', { className: 'keep-prompt', onsubmit: (event: Event) => this.keep(event) },
      h('label', { className: 'field', for: 'prompt-name' }, t(ChatText.keepWhatIsWritten)), this.name, h('button', {}, t(CommonText.save)));
    const close = h('button', { type: 'button', className: 'quiet', onclick: () => this.dialog.close() }, t(CommonText.close));
    this.dialog = h('dialog', { className: 'settings', 'aria-labelledby': 'prompts-title' },
      h('div', { className: 'prompt-panel' },
        h('header', {}, h('h2', { id: 'prompts-title' }, t(ChatText.prompts)), close),
        h('p', { className: 'hint' }, t(ChatText.aPromptGoesInto)),
        this.list, written.trim() !== '' && keep));
    this.dialog.addEventListener('click', (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener('close', () => this.dialog.remove());
  }

  show(): void {
    this.draw();
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.list.querySelector('button')?.focus();
  }

  private draw(): void {
    const kept = readPrompts();
    this.list.replaceChildren(...[...kept, ...starters()].map((prompt, i) => this.row(prompt, i < kept.length)));
  }

  private row({ name, text }: Prompt, own: boolean): HTMLElement {
    const start = startOf(text);
    const choose = () => {
      this.dialog.close();
      this.take(text);
    };
    const remove = own && h('button', { type: 'button', className: 'quiet remove', 'aria-label': t(ChatText.deleteThePrompt, { name: name || start }), onclick: () => this.remove(text) }, '×');
    return h('li', {}, h('button', { type: 'button', className: 'example', dir: 'auto', onclick: choose }, name || start, name !== '' && h('small', {}, start)), remove);
  }

  private keep(event: Event): void {
    event.preventDefault();
    const text = this.written.trim().slice(0, MOST);
    this.store([{ name: this.name.value.trim(), text }, ...readPrompts().filter((prompt) => prompt.text !== text)]);
    this.name.value = '';
    this.list.querySelector('button')?.focus();
  }

  private remove(text: string): void {
    const before = readPrompts();
    const at = before.findIndex((prompt) => prompt.text === text);
    const gone = before.splice(at, 1);
    this.store(before);
    const undo = () => this.store(readPrompts().filter((prompt) => prompt.text !== text).toSpliced(at, 0, ...gone));
    this.list.querySelector('button')?.focus();
    toast(t(ChatText.thePromptIsDeleted), { ms: UNDO_MS, action: { label: t(CommonText.undo), run: undo } });
  }

  private store(prompts: Prompt[]): void {
    if (!keepPrompts(prompts)) toast(t(ChatText.thisBrowserKeepsNo), { ms: UNDO_MS });
    this.draw();
  }
}
