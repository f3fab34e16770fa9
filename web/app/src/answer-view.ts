// The turns on the page: a question, a tool's result, an answer with its thinking and its numbers, each from its record.

import type { Finish, ToolCall } from 'rullama';
import { AnswerText } from './answer-text.ts';
import { callView, resultView } from './calls-view.ts';
import { fenced } from './chats/fence.ts';
import type { MessageRecord } from './chats/records.ts';
import { h, oncePerFrame } from './dom.ts';
import { documentsView } from './media/documents.ts';
import { mediaView } from './media/figure.ts';
import { rate, seconds } from './format.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

const ENDINGS: Partial<Record<Finish, string>> = {
  length: t(ChatText.endedAtTheLength),
  cancelled: t(CommonText.stopped),
};

/** A person's message that may have diagrams in it, which are laid out like those of answers. */
const DIAGRAM = /^ {0,3}(?:`{3,}|~{3,})\s*mermaid\b/im;

/** A message on the page. */
export interface TurnView {
  readonly element: HTMLElement;
  /** Shows a newer state of the message, and what can be done with it. */
  update(record: MessageRecord, tools: HTMLElement[]): void;
}

class PlainView implements TurnView {
  readonly element: HTMLElement;
  private readonly text: HTMLElement;
  private readonly isResult: boolean;
  private shown: string | undefined;
  private readonly laidOut = h('div', { className: 'laid-out', hidden: true });
  private readonly footer = h('footer', {});

  constructor(record: MessageRecord, private readonly drawn: () => void) {
    this.isResult = record.role === 'tool';
    this.text = this.isResult ? h('div', {}) : h('p', { dir: 'auto' });
    const bubble = this.text;
    this.element = this.isResult
      ? h('article', { className: 'message result', 'aria-label': t(CommonText.tool) }, bubble, this.footer)
      : h('article', { className: 'message user', 'aria-label': t(CommonText.you) }, record.media && mediaView(record.media), record.documents && documentsView(record.documents), bubble, this.laidOut, this.footer);
  }

  update({ content, name = t(ChatText.theTool) }: MessageRecord, tools: HTMLElement[]): void {
    if (this.shown !== content) {
      this.shown = content;
      this.text.replaceChildren(this.isResult ? resultView(name, content) : content);
      this.text.hidden = content === '' && !this.isResult;
      this.laidOut.hidden = true;
      if (!this.isResult && DIAGRAM.test(content)) void this.layOut(content);
    }
    this.footer.replaceChildren(...tools);
  }

  private async layOut(content: string): Promise<void> {
    // Without what lays out (the network may be gone) the text stands as it is.
    const layout = await import('./markdown/markdown.ts').catch(() => undefined);
    const shown = layout?.withDiagrams(content, this.drawn);
    if (!shown || this.shown !== content) return;
    this.laidOut.replaceChildren(...shown);
    this.laidOut.hidden = false;
    this.text.hidden = true;
    this.drawn();
  }
}

export class AnswerView implements TurnView {
  readonly element: HTMLElement;
  private record: MessageRecord;
  private readonly body = h('div', { className: 'body' });
  private readonly thoughtText = h('p', { dir: 'auto' });
  private readonly thinkingTitle = h('summary', {}, t(ChatText.thinking));
  private readonly thinking = h('details', { className: 'thinking', hidden: true }, this.thinkingTitle, this.thoughtText);
  private readonly calls = h('div', { className: 'calls' });
  private readonly unreadable = h('div', { className: 'unreadable-call' });
  private readonly empty = h('p', { className: 'empty-answer', hidden: true });
  private readonly footer = h('footer', {});
  private readonly answer: AnswerText;
  private readonly frame = oncePerFrame(() => this.draw());

  /** `drawn` runs after each change on the page. */
  constructor(record: MessageRecord, private readonly drawn: () => void) {
    this.record = record;
    this.answer = new AnswerText(this.body, () => this.drawn());
    this.element = h('article', { className: 'message model', 'aria-label': t(CommonText.model) }, this.thinking, this.body, this.calls, this.unreadable, this.empty, this.footer);
  }

  /** Shows more of the text; the rest follows with `update`. */
  grow(record: MessageRecord): void {
    this.record = record;
    this.frame.request();
  }

  update(record: MessageRecord, tools: HTMLElement[]): void {
    this.record = record;
    const writing = record.state === 'writing';
    this.element.classList.toggle('writing', writing);
    this.element.setAttribute('aria-busy', String(writing));
    this.frame.flush();
    const stats = statsText(record);
    this.footer.replaceChildren(...(stats ? [h('span', { className: record.state === 'cut' ? 'stats cut' : 'stats' }, stats)] : []), ...tools);
  }

  private draw(): void {
    const { record } = this;
    const writing = record.state === 'writing';
    const { content: text, toolCalls = [] } = record;
    const thought = record.thinking ?? '';
    this.thinking.hidden = thought === '';
    if (this.thoughtText.textContent !== thought) this.thoughtText.textContent = thought;
    const { thinkingMs } = record;
    const done = thinkingMs === undefined ? t(ChatText.thoughts) : t(ChatText.thoughtForThinkingMs, { thinkingMs: seconds(thinkingMs / 1000) });
    const title = writing && text === '' ? t(ChatText.thinking) : done;
    if (this.thinkingTitle.textContent !== title) this.thinkingTitle.textContent = title;
    if (this.calls.childElementCount !== toolCalls.length) this.calls.replaceChildren(...toolCalls.map(callView));
    this.showUnreadable(record.unreadable ?? []);
    // What is held to a form is JSON.
    this.answer.show(record.settings?.format && text !== '' ? fenced(text, 'json') : text, writing);
    const nothing = !writing && text === '' && thought === '' && toolCalls.length === 0 && !this.unreadable.hasChildNodes();
    this.empty.hidden = !nothing;
    if (nothing) this.empty.textContent = record.finish === 'cancelled' ? t(ChatText.stoppedBeforeTheFirst) : t(ChatText.theModelHadNothing);
    this.drawn();
  }

  private showUnreadable(texts: string[]): void {
    if (this.unreadable.childElementCount === 2 * texts.length) return;
    this.unreadable.replaceChildren(...texts.flatMap((text) => [h('p', {}, t(ChatText.theModelTriedTo)), h('pre', {}, text)]));
  }
}

/** The view of a message. */
export function turnView(record: MessageRecord, drawn: () => void): TurnView {
  return record.role === 'model' ? new AnswerView(record, drawn) : new PlainView(record, drawn);
}

/** What an answer says, its calls as code. */
export function answerText({ content, toolCalls = [] }: Pick<MessageRecord, 'content' | 'toolCalls'>): string {
  const code = (call: ToolCall) => `\n\`\`\`json\n${JSON.stringify(call, null, 2)}\n\`\`\`\n`;
  return content + toolCalls.map(code).join('');
}

function statsText({ state, stats, finish, edited }: MessageRecord): string {
  if (edited) return t(ChatText.edited);
  if (state === 'cut') return t(CommonText.cutOffBeforeIts);
  if (state === 'writing' || !stats) return '';
  const parts = [
    rate(stats.decodeTokS),
    t(CommonText.token, { n: stats.tokens }),
    t(ChatText.firstAfterFirstTokenS, { firstTokenS: seconds(stats.firstTokenS) }),
    stats.reused ? t(ChatText.promptTokenKnown, { promptTokens: stats.promptTokens, known: stats.reused }) : t(ChatText.promptToken, { promptTokens: stats.promptTokens }),
  ];
  const ending = finish && ENDINGS[finish];
  if (ending) parts.push(ending);
  return parts.join(' · ');
}
