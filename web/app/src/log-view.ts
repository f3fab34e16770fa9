// The log of a conversation: the turns of the version that is shown, and remarks between them.

import { answerText, turnView, AnswerView, type TurnView } from './answer-view.ts';
import { canContinue, type MessageRecord } from './chats/records.ts';
import type { Conversation } from './conversation.ts';
import { copyButton, h } from './dom.ts';
import type { MessageEditor } from './message-editor.ts';
import { voiceButton } from './voice.ts';
import { ChatText } from './texts/en/chat.ts';
import { CompareText } from './texts/en/compare.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

/** What a person does with a turn. */
export interface Actions {
  regenerate(message: MessageRecord): void;
  goOn(message: MessageRecord): void;
  compare(message: MessageRecord): void;
  edit(message: MessageRecord, text: string): void;
  show(message: MessageRecord): void;
  /** What was written into a message in an earlier visit, and not sent. */
  draft(message: MessageRecord): Promise<string>;
  keepDraft(message: MessageRecord, text: string): void;
}

/** Turns that are shown at once, from the end: laying out takes time. */
const TURNS = 100;

interface Shown {
  view: TurnView;
  /** What the view and its tools were made from. */
  state: string;
}

export class LogView {
  readonly element = h('div', { className: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': t(CommonText.conversation) });
  private readonly shown = new Map<string, Shown>();
  private answering = false;
  private turns = TURNS;
  private readonly earlier = h('p', { className: 'note earlier' }, h('button', { type: 'button', className: 'quiet', onclick: () => this.showEarlier() }, t(ChatText.showEarlierMessages)));
  private editor: { id: string; editor: MessageEditor } | undefined;

  constructor(
    private readonly conversation: Conversation,
    private readonly actions: Actions,
    private readonly drawn: () => void,
  ) {}

  /** Brings the turns to what the conversation is now. `answering`: whether a model is there that could answer. */
  sync(answering: boolean): void {
    const whole = this.conversation.path;
    const path = whole.slice(-this.turns);
    this.answering = answering;
    if (path.length < whole.length) this.element.prepend(this.earlier);
    else this.earlier.remove();
    const wanted = new Set(path.map(({ id }) => id));
    for (const [id, { view }] of this.shown) {
      if (wanted.has(id)) continue;
      if (this.editor?.id === id) this.closeEditor();
      view.element.remove();
      this.shown.delete(id);
    }
    let before: Element | undefined;
    path.forEach((message, i) => {
      const element = this.turn(message, answering);
      if (element.parentNode !== this.element || (before && !follows(before, element))) {
        // The newest turn stands below everything that was said so far.
        if (before && i < path.length - 1) before.after(element);
        else if (before || this.element.querySelector('.message') === null) this.element.append(element);
        else this.element.querySelector('.message')?.before(element);
      }
      before = element;
    });
  }

  /** The text of the answer that is being written has grown. */
  grow(message: MessageRecord): void {
    const view = this.shown.get(message.id)?.view;
    if (view instanceof AnswerView) view.grow(message);
  }

  elementOf(id: string): HTMLElement | undefined {
    return this.shown.get(id)?.view.element;
  }

  /** Whether someone is changing a message. */
  get editing(): boolean {
    return this.editor !== undefined;
  }

  closeEditor(): void {
    const { editor } = this;
    this.editor = undefined;
    editor?.editor.close();
  }

  private showEarlier(): void {
    const first = this.element.querySelector<HTMLElement>('.message');
    this.turns += TURNS;
    this.sync(this.answering);
    // Who reads stays where they were.
    first?.scrollIntoView();
    first?.querySelector<HTMLElement>('button')?.focus({ preventScroll: true });
  }

  private turn(message: MessageRecord, answering: boolean): HTMLElement {
    const idle = !this.conversation.running;
    const versions = this.conversation.tree.versions(message.id);
    const place = versions.findIndex(({ id }) => id === message.id);
    const { content, thinking, toolCalls, state: written, finish, ended } = message;
    const state = JSON.stringify([content.length, thinking?.length, toolCalls?.length, written, finish, ended, place, versions.length, idle, answering]);
    const known = this.shown.get(message.id);
    if (known?.state === state) return known.view.element;
    const view = known?.view ?? turnView(message, this.drawn);
    const focus = focusIn(view.element);
    view.update(message, this.tools(message, { place, of: versions.length, idle, answering }));
    restoreFocus(view.element, focus);
    this.shown.set(message.id, { view, state });
    return view.element;
  }

  private tools(message: MessageRecord, { place, of, idle, answering }: { place: number; of: number; idle: boolean; answering: boolean }): HTMLElement[] {
    if (message.state === 'writing') return [];
    const tool = (name: string, label: string, run: () => void) =>
      h('button', { type: 'button', className: `quiet tool ${name}`, 'data-tool': name, onclick: run }, label);
    const tools: HTMLElement[] = [];
    if (of > 1) tools.push(this.stepper(message, place, of, idle));
    if (message.role === 'model') tools.push(copyButton(() => answerText(message)));
    const voice = message.role === 'model' && voiceButton(message.id);
    if (voice) tools.push(voice);
    if (!idle) return tools;
    if (message.role === 'model' && answering && canContinue(message)) tools.push(tool('continue', t(ChatText.continue), () => this.actions.goOn(message)));
    if (message.role === 'model' && answering) tools.push(tool('regenerate', t(ChatText.regenerate), () => this.actions.regenerate(message)));
    if (message.role === 'model' && answering) tools.push(tool('compare', t(CompareText.compare), () => this.actions.compare(message)));
    tools.push(tool('edit', t(CommonText.edit), () => void this.edit(message)));
    return tools;
  }

  /** ‹ 2/3 › */
  private stepper(message: MessageRecord, place: number, of: number, idle: boolean): HTMLElement {
    const step = (name: string, label: string, text: string, by: number) => {
      const to = this.conversation.tree.step(message.id, by);
      return h('button', { type: 'button', className: 'quiet tool step', 'data-tool': name, 'aria-label': label, disabled: !idle || !to, onclick: () => to && this.actions.show(to) }, text);
    };
    return h('span', { className: 'versions', role: 'group', 'aria-label': t(ChatText.versionPlaceOfOf, { place: place + 1, of }) },
      step('previous', t(ChatText.previousVersion), '‹', -1), h('span', { 'aria-hidden': 'true' }, `${place + 1}/${of}`), step('next', t(ChatText.nextVersion), '›', 1));
  }

  private async edit(message: MessageRecord): Promise<void> {
    const [draft, { MessageEditor }] = await Promise.all([this.actions.draft(message), import('./message-editor.ts')]);
    this.closeEditor();
    const element = this.elementOf(message.id);
    if (!element) return;
    const label = message.role === 'model' ? t(CommonText.save) : t(ChatText.send);
    const changed = (text: string) => this.actions.keepDraft(message, text === message.content ? '' : text);
    const editor = new MessageEditor(element, draft || message.content, label, changed, (text) => {
      this.editor = undefined;
      this.actions.keepDraft(message, '');
      if (text === undefined || text === message.content) return element.querySelector<HTMLElement>('[data-tool=edit]')?.focus();
      this.actions.edit(message, text);
    });
    this.editor = { id: message.id, editor };
  }
}

/** Whether `b` comes after `a` in the page. */
const follows = (a: Element, b: Element) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);

/** Which tool has the focus, so that its successor gets it. */
function focusIn(element: HTMLElement): string | undefined {
  const active = document.activeElement;
  return active instanceof HTMLElement && element.contains(active) ? active.dataset['tool'] : undefined;
}

function restoreFocus(element: HTMLElement, tool: string | undefined): void {
  if (tool && !element.contains(document.activeElement)) element.querySelector<HTMLElement>(`[data-tool=${tool}]:enabled`)?.focus();
}
