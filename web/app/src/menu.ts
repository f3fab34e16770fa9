// A menu under a button, with the keys that menus have.

import { h } from './dom.ts';
import { language } from './texts/text.ts';

export interface Entry {
  label: string;
  danger?: boolean;
  run(): void;
}

export class Menu {
  private readonly element = h('div', { className: 'menu', role: 'menu', hidden: true });
  private from: HTMLElement | undefined;

  constructor() {
    document.body.append(this.element);
    this.element.addEventListener('keydown', (event) => this.key(event));
    this.element.addEventListener('focusout', (event) => {
      if (!this.element.contains(event.relatedTarget as Node | null)) this.hide();
    });
    document.addEventListener('pointerdown', (event) => {
      const target = event.target as Node;
      if (!this.element.contains(target) && !this.from?.contains(target)) this.hide();
    });
    window.addEventListener('scroll', () => this.hide(), { passive: true });
    window.addEventListener('resize', () => this.hide());
  }

  /** Opens it under `from`; closes it where it was open there. */
  open(from: HTMLElement, entries: Entry[]): void {
    if (this.from === from) return this.hide(true);
    this.hide();
    this.from = from;
    from.setAttribute('aria-expanded', 'true');
    this.element.setAttribute('aria-label', from.getAttribute('aria-label') ?? from.textContent ?? '');
    const item = ({ label, danger, run }: Entry) =>
      h('button', { type: 'button', role: 'menuitem', tabIndex: -1, className: danger ? 'danger' : '', onclick: () => (this.hide(true), run()) }, label);
    this.element.replaceChildren(...entries.map(item));
    this.element.hidden = false;
    this.place(from.getBoundingClientRect());
    this.items()[0]?.focus({ preventScroll: true });
  }

  private place(box: DOMRect): void {
    const { offsetWidth, offsetHeight, style } = this.element;
    const { clientWidth, clientHeight } = document.documentElement;
    const below = box.bottom + offsetHeight + 8 <= clientHeight;
    style.top = `${Math.max(8, below ? box.bottom + 4 : box.top - offsetHeight - 4)}px`;
    // Begins where its button begins.
    const begin = language().rtl ? box.right - offsetWidth : box.left;
    style.left = `${Math.max(8, Math.min(begin, clientWidth - offsetWidth - 8))}px`;
  }

  private hide(focus = false): void {
    const { from } = this;
    if (!from) return;
    this.from = undefined;
    from.removeAttribute('aria-expanded');
    this.element.hidden = true;
    if (focus) from.focus();
  }

  private items(): HTMLElement[] {
    return [...this.element.querySelectorAll<HTMLElement>('[role=menuitem]')];
  }

  private key(event: KeyboardEvent): void {
    const items = this.items();
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) items.at(to === items.length ? 0 : to)?.focus();
    else if (event.key === 'Escape') this.hide(true);
    else if (event.key === 'Tab') return this.hide(true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
