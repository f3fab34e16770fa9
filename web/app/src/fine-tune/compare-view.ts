// A question to the model as it is and to the model with an adapter: two answers side by side.

import type { Chat, RullamaError } from 'rullama';
import { AnswerText } from '../answer-text.ts';
import type { AdapterRecord } from '../adapters/records.ts';
import { h } from '../dom.ts';
import { errorCard } from '../error-card.ts';
import type { Base, TuneFrame } from './frame.ts';
import { CommonText } from '../texts/en/common.ts';
import { TuneText } from '../texts/en/tune.ts';
import { t } from '../texts/text.ts';

const MOST_TOKENS = 512;

export class CompareView {
  readonly element: HTMLElement;
  private readonly log = h('div', { className: 'duels', role: 'log', 'aria-label': t(TuneText.answersSideBySide) });
  private readonly input = h('textarea', { id: 'compare-prompt', rows: 1, dir: 'auto', placeholder: t(TuneText.askBoth), 'aria-label': t(TuneText.questionToBoth) });
  private readonly scale = h('input', { type: 'number', id: 'compare-scale', min: '-10', max: '10', step: '0.1', value: '1', inputMode: 'decimal' });
  private readonly send = h('button', { type: 'submit', className: 'primary', id: 'compare-send' }, t(TuneText.askBoth));
  private readonly stop = h('button', { type: 'button', id: 'compare-stop', hidden: true }, t(CommonText.stop));
  private chats: [Chat, Chat] | undefined;
  private running: AbortController | undefined;

  constructor(
    private readonly frame: TuneFrame,
    private readonly base: Base,
    private readonly adapter: AdapterRecord,
  ) {
    const submit = (event: Event) => {
      event.preventDefault();
      void this.ask();
    };
    const form = h('form', { className: 'composer compare-form', onsubmit: submit }, h('div', { className: 'composer-row' }, this.input, this.send, this.stop));
    this.input.onkeydown = (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
    };
    this.stop.onclick = () => this.running?.abort();
    this.element = h('div', { className: 'compare' },
      h('div', { className: 'compare-top' },
        h('label', { className: 'inline' }, t(TuneText.scale), ' ', this.scale),
        h('button', { type: 'button', className: 'quiet', id: 'compare-anew', onclick: () => void this.anew() }, t(TuneText.beginAnew)),
        h('button', { type: 'button', className: 'quiet', id: 'compare-chat', onclick: () => frame.toChat(adapter) }, t(TuneText.chatWithIt))),
      this.log, form);
  }

  focus(): void {
    this.input.focus();
  }

  /** Gives the conversations' memory back. */
  async close(): Promise<void> {
    this.running?.abort();
    const { chats } = this;
    this.chats = undefined;
    await Promise.all((chats ?? []).map((chat) => chat.close().catch(() => undefined)));
  }

  private async anew(): Promise<void> {
    await this.close();
    this.log.replaceChildren();
    this.focus();
  }

  private async ask(): Promise<void> {
    const question = this.input.value.trim();
    if (question === '' || this.running) return;
    const { signal } = (this.running = new AbortController());
    this.input.value = '';
    this.busy(true);
    const columns = [this.base.model.name, this.adapter.name].map((name) => ({ name, body: h('div', { className: 'body', dir: 'auto' }, h('p', { className: 'hint' }, t(TuneText.waits))) }));
    const duel = h('article', { className: 'duel' }, h('p', { className: 'question', dir: 'auto' }, question),
      h('div', { className: 'columns' }, ...columns.map(({ name, body }) => h('section', { className: 'card message', 'aria-label': name }, h('h2', { className: 'who', dir: 'auto' }, name), body))));
    this.log.append(duel);
    duel.scrollIntoView({ block: 'end' });
    try {
      const chats = await this.open();
      // One after the other: they share the GPU.
      for (const [i, { body }] of columns.entries()) await this.answer(chats[i] as Chat, question, body, signal);
    } catch (thrown) {
      const error: RullamaError = this.frame.errorFrom(thrown);
      for (const { body } of columns) if (body.querySelector('.hint')) body.replaceChildren();
      if (error.code !== 'cancelled') duel.append(errorCard(error));
    } finally {
      this.running = undefined;
      this.busy(false);
    }
  }

  private async open(): Promise<[Chat, Chat]> {
    this.chats ??= [this.base.engine.chat(), this.base.engine.chat()];
    const scale = Number.isFinite(this.scale.valueAsNumber) ? this.scale.valueAsNumber : 1;
    await this.chats[1].setAdapters([{ adapter: await this.frame.pool.get(this.adapter.id), scale }]);
    return this.chats;
  }

  private async answer(chat: Chat, question: string, body: HTMLElement, signal: AbortSignal): Promise<void> {
    body.replaceChildren();
    if (signal.aborted) return void body.append(h('p', { className: 'hint' }, t(CommonText.stopped)));
    const view = new AnswerText(body, () => undefined);
    let text = '';
    for await (const event of chat.send(question, { temperature: 0, maxTokens: MOST_TOKENS, signal })) {
      if (event.type === 'content') text += event.text;
      if (event.type === 'toolCall') text += `\n\`\`\`json\n${JSON.stringify(event.call)}\n\`\`\`\n`;
      view.show(text, event.type !== 'done');
    }
    if (text.trim() === '') body.append(h('p', { className: 'hint' }, signal.aborted ? t(CommonText.stopped) : t(TuneText.theModelAnsweredWith)));
  }

  private busy(busy: boolean): void {
    const focused = this.element.contains(document.activeElement);
    this.send.hidden = busy;
    this.stop.hidden = !busy;
    if (focused) (busy ? this.stop : this.input).focus();
  }
}
