// Building DOM without markup text: everything a model or a file says ends up in text nodes.

import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';
type Child = Node | string | null | undefined | false;

/** An element with properties (`aria-*`, `data-*`, `for`, `role` as attributes) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Record<string, unknown> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    if (name.includes('-') || name === 'for' || name === 'role' || name === 'list') {
      element.setAttribute(name, String(value));
    } else {
      Object.assign(element, { [name]: value });
    }
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

/** The element of the page with this id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no #${id}.`);
  return element as T;
}

/** Runs `draw` at most once a frame, however often it is asked for. */
export function oncePerFrame(draw: () => void): { request: () => void; flush: () => void } {
  let handle = 0;
  const flush = () => {
    cancelAnimationFrame(handle);
    handle = 0;
    draw();
  };
  return { request: () => (handle ||= requestAnimationFrame(flush)), flush };
}

/** Milliseconds that a button says what it did. */
const DONE_MS = 1500;

/** A button that copies a text and says for a moment whether it did. */
export function copyButton(text: () => string): HTMLButtonElement {
  const button = h('button', { type: 'button', className: 'quiet tool' }, t(ChatText.copy));
  let timer: ReturnType<typeof setTimeout> | undefined;
  button.onclick = async () => {
    const done = await navigator.clipboard.writeText(text()).then(() => true, () => false);
    button.textContent = done ? t(ChatText.copied) : t(ChatText.notAllowed);
    clearTimeout(timer);
    timer = setTimeout(() => (button.textContent = t(ChatText.copy)), DONE_MS);
  };
  return button;
}
