// A stored or unfinished model as a card, changed in place so that a button keeps its focus while a download goes on.

import { h } from '../dom.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

export interface Button {
  label: string;
  run: () => void;
  primary?: boolean;
  disabled?: boolean;
}

export interface Shown {
  title: string;
  /** How far it is or how large. */
  detail: string;
  /** What is to be known of it. */
  note?: string | undefined;
  /** What went wrong, and what to do. */
  problem?: string | undefined;
  /** From 0 to 1; `null` while that is unknown. */
  progress?: number | null | undefined;
  buttons: Button[];
}

export class Card {
  readonly element: HTMLLIElement;
  private readonly title = h('h3', { dir: 'auto' });
  private readonly detail = h('p', { className: 'hint amount' });
  private readonly note = h('p', { className: 'hint', role: 'status' });
  private readonly problem = h('p', { className: 'problem', role: 'alert' });
  private readonly bar = h('progress', { max: 1, hidden: true });
  private readonly actions = h('div', { className: 'kept-actions' });
  private buttons: Button[] = [];

  constructor() {
    this.element = h('li', { className: 'card served-model kept' }, h('div', {}, this.title, this.bar, this.detail, this.note, this.problem), this.actions);
  }

  show({ title, detail, note = '', problem = '', progress, buttons }: Shown): void {
    write(this.title, title);
    write(this.detail, detail);
    write(this.note, note);
    write(this.problem, problem);
    this.element.classList.toggle('wide', progress !== undefined || note !== '' || problem !== '');
    this.bar.hidden = progress === undefined;
    this.bar.setAttribute('aria-label', t(ModelsText.downloadOfTitle, { title }));
    if (typeof progress === 'number') this.bar.value = Math.min(progress, 1);
    else this.bar.removeAttribute('value');
    this.offer(title, buttons);
  }

  private offer(title: string, buttons: Button[]): void {
    const same = buttons.length === this.buttons.length && buttons.every(({ label, disabled }, i) => label === this.buttons[i]?.label && disabled === this.buttons[i]?.disabled);
    this.buttons = buttons;
    if (same) return;
    const focused = this.actions.contains(document.activeElement);
    // Each runs what its button is for when it is pressed.
    this.actions.replaceChildren(...buttons.map(({ label, primary, disabled }, i) =>
      h('button', { type: 'button', className: primary ? 'primary' : 'quiet', disabled: disabled === true, 'aria-label': `${label} ${title}`, onclick: () => this.buttons[i]?.run() }, label)));
    if (focused) this.actions.querySelector('button')?.focus();
  }
}

function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = text === '';
}
