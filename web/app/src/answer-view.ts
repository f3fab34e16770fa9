// One turn on the page: the question, the thinking, the answer as it is written, its statistics.

import type { ChatEvent, Finish, Message, Summary, ToolCall } from 'rullama';
import { AnswerText } from './answer-text.ts';
import { h, oncePerFrame } from './dom.ts';
import { count, rate, seconds } from './format.ts';

const ENDINGS: Partial<Record<Finish, string>> = {
  length: 'ended at the length limit',
  cancelled: 'stopped',
};

export function questionElement(text: string): HTMLElement {
  return h('article', { className: 'message user', 'aria-label': 'You' }, h('p', { dir: 'auto' }, text));
}

export function resultElement({ name = '', content }: Message): HTMLElement {
  return h('article', { className: 'message result', 'aria-label': 'Tool' }, h('p', {}, `${name} gave `, h('code', {}, content)));
}

export class AnswerView {
  readonly element: HTMLElement;
  text = '';
  /** Tool calls of the answer. */
  readonly calls: ToolCall[] = [];
  private content = '';
  private thought = '';
  private readonly body = h('div', { className: 'body' });
  private readonly thoughtText = h('p', { dir: 'auto' });
  private readonly thinking = h('details', { className: 'thinking', hidden: true }, h('summary', {}, 'Thinking…'), this.thoughtText);
  private readonly unreadable = h('div', { className: 'unreadable-call' });
  private readonly footer = h('footer', {});
  private readonly answer = new AnswerText(this.body, () => this.drawn());
  private ended = false;
  private readonly frame = oncePerFrame(() => this.draw());

  /** `drawn` runs after each change on the page. */
  constructor(private readonly drawn: () => void) {
    this.element = h('article', { className: 'message model writing', 'aria-label': 'Model', 'aria-busy': 'true' }, this.thinking, this.body, this.unreadable, this.footer);
  }

  add(event: ChatEvent): void {
    if (event.type === 'content') {
      this.content += event.text;
      this.text += event.text;
    } else if (event.type === 'thinking') this.thought += event.text;
    else if (event.type === 'unreadableCall') this.unreadable.append(h('p', {}, 'The model tried to call a tool, in a way that cannot be read:'), h('pre', {}, event.text));
    else if (event.type === 'toolCall') {
      this.calls.push(event.call);
      this.text += `\n\`\`\`json\n${JSON.stringify(event.call, null, 2)}\n\`\`\`\n`;
    }
    this.frame.request();
  }

  /** The answer as a message of the conversation. */
  message(): Message {
    const { content, thought, calls } = this;
    return { role: 'model', content, ...(thought && { thinking: thought }), ...(calls.length > 0 && { toolCalls: calls }) };
  }

  /** Ends the answer; `tools` are what can be done with it. */
  finish(summary: Summary | undefined, ...tools: HTMLElement[]): void {
    this.ended = true;
    this.frame.flush();
    this.element.classList.remove('writing');
    this.element.setAttribute('aria-busy', 'false');
    this.setThinkingTitle('Thoughts');
    if (summary && this.text === '' && this.thought === '' && !this.unreadable.hasChildNodes()) {
      this.body.append(h('p', { className: 'empty-answer' }, summary.finish === 'cancelled' ? 'Stopped before the first word.' : 'The model had nothing to say.'));
    }
    this.footer.replaceChildren(...(summary ? [h('span', { className: 'stats' }, statsText(summary))] : []), ...tools);
    this.drawn();
  }

  private draw(): void {
    this.thinking.hidden = this.thought === '';
    if (this.thoughtText.textContent !== this.thought) this.thoughtText.textContent = this.thought;
    if (this.text !== '') this.setThinkingTitle('Thoughts');
    this.answer.show(this.text, !this.ended);
    this.drawn();
  }

  private setThinkingTitle(title: string): void {
    const summary = this.thinking.querySelector('summary');
    if (summary && summary.textContent !== title) summary.textContent = title;
  }
}

function statsText(summary: Summary): string {
  const parts = [
    rate(summary.timings.decodeTokS),
    count(summary.ids.length, 'token', 'tokens'),
    `first after ${seconds(summary.timings.firstTokenS)}`,
    `prompt ${count(summary.promptTokens, 'token', 'tokens')}`,
  ];
  const ending = ENDINGS[summary.finish];
  if (ending) parts.push(ending);
  return parts.join(' · ');
}
