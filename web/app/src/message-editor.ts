// A message while a person changes it, in its place in the log.

import { h } from './dom.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

export class MessageEditor {
  private readonly form: HTMLFormElement;

  /** `changed` gets the text as it is written; `done` the new text, or nothing where all stays as it was. */
  constructor(
    private readonly turn: HTMLElement,
    text: string,
    label: string,
    changed: (text: string) => void,
    private readonly done: (text: string | undefined) => void,
  ) {
    const field = h('textarea', { value: text, dir: 'auto', 'aria-label': t(ChatText.changeTheMessage), rows: 3 });
    const submit = (event: Event) => {
      event.preventDefault();
      if (field.value.trim() === '') return field.focus();
      this.end(field.value.trim());
    };
    this.form = h('form', { className: 'message-editor', onsubmit: submit }, field,
      h('p', { className: 'actions' },
        h('button', { className: 'primary' }, label),
        h('button', { type: 'button', className: 'quiet', onclick: () => this.end(undefined) }, t(CommonText.cancel))));
    field.addEventListener('input', () => {
      grow(field);
      changed(field.value);
    });
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        // It would stop an answer otherwise.
        event.stopPropagation();
        this.end(undefined);
      } else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.form.requestSubmit();
    });
    turn.classList.add('editing');
    turn.append(this.form);
    grow(field);
    field.focus();
    field.setSelectionRange(text.length, text.length);
  }

  close(): void {
    this.turn.classList.remove('editing');
    this.form.remove();
  }

  private end(text: string | undefined): void {
    this.close();
    this.done(text);
  }
}

function grow(field: HTMLTextAreaElement): void {
  field.style.height = 'auto';
  field.style.height = `${Math.min(field.scrollHeight + 2, 400)}px`;
}
