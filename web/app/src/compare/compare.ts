// Two answers to one question, beside each other: the one that there is, and one with another model, adapter or other settings. The
// second is another version of the first in the conversation, so that nothing is lost, whatever happens.

import { RullamaError } from 'rullama';
import { turnView, type TurnView } from '../answer-view.ts';
import type { MessageRecord } from '../chats/records.ts';
import type { Conversation } from '../conversation.ts';
import { h } from '../dom.ts';
import { errorCard } from '../error-card.ts';
import { seconds } from '../format.ts';
import { ChatText } from '../texts/en/chat.ts';
import { CommonText } from '../texts/en/common.ts';
import { CompareText } from '../texts/en/compare.ts';
import { t } from '../texts/text.ts';
import { askHow } from './ask.ts';
import css from './compare.css';
import type { Comparing } from './comparing.ts';
import type { Wanted } from './trial.ts';

let styled = false;

/** Asks how, loads another model where one is wanted, and shows both answers. */
export async function compare(comparing: Comparing, conversation: Conversation, first: MessageRecord): Promise<void> {
  style();
  const { around } = comparing;
  const wanted = await askHow(around, conversation);
  if (!wanted || around.shown() !== conversation) return;
  const { model } = wanted;
  if (!model) return new Comparison(comparing, conversation, first, wanted).run();
  const before = around.modelName();
  const error = await around.frame.loadOther(model);
  // It is another object now, with the same messages.
  const now = around.shown();
  if (now?.id !== conversation.id) return;
  const answer = now.tree.get(first.id);
  if (!error) return answer && new Comparison(comparing, now, answer, wanted).run();
  const names = { first: before, second: model.name };
  around.tell(now, error.code === 'cancelled' ? t(CompareText.loadCancelled, names) : t(CompareText.couldNotBeLoaded, { ...names, message: error.message }));
}

function style(): void {
  if (styled) return;
  styled = true;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}

export class Comparison {
  private readonly columns = h('div', { className: 'columns' });
  private readonly stop = h('button', { type: 'button', onclick: () => this.conversation.running?.abort() }, t(CommonText.stop));
  private readonly close = h('button', { type: 'button', className: 'quiet', onclick: () => this.dialog.close() }, t(CommonText.close));
  private readonly hint = h('p', { className: 'hint' }, t(CompareText.theFirstStays));
  private readonly dialog = h('dialog', { className: 'settings comparison', 'aria-labelledby': 'comparison-title' });
  private second: { record: MessageRecord; column: Column } | undefined;

  constructor(
    private readonly comparing: Comparing,
    private readonly conversation: Conversation,
    private readonly first: MessageRecord,
    private readonly wanted: Wanted,
  ) {
    const question = conversation.tree.get(first.parent);
    this.dialog.append(
      h('header', {}, h('h2', { id: 'comparison-title' }, t(CompareText.twoAnswers))),
      ...(question ? [h('p', { className: 'question', dir: 'auto' }, question.content)] : []),
      this.columns,
      h('footer', {}, this.hint, this.stop, this.close));
    // Escape stops an answer first.
    this.dialog.oncancel = (event) => {
      if (!conversation.running) return;
      event.preventDefault();
      conversation.running.abort();
    };
    this.dialog.onclose = () => this.leave();
  }

  async run(): Promise<void> {
    const { around } = this.comparing;
    document.body.append(this.dialog);
    this.columns.append(new Column(this.first, '').done(this.button(this.first)).element);
    this.dialog.showModal();
    this.comparing.view = this;
    await this.answer();
    if (this.dialog.open && around.shown() !== this.conversation) this.dialog.close();
  }

  /** Something of the second answer is new. */
  update(record: MessageRecord): void {
    if (record.parent !== this.first.parent || record.id === this.first.id) return;
    if (this.second && this.second.record.id !== record.id) return;
    if (!this.second) {
      const column = new Column(record, this.words());
      this.second = { record, column };
      this.columns.querySelector('.waiting')?.remove();
      this.columns.append(column.element);
    }
    this.second.column.show(record);
  }

  private async answer(): Promise<void> {
    const { answering, modelName } = this.comparing.around;
    const waiting = h('div', { className: 'waiting card', role: 'status' }, h('h3', { dir: 'auto' }, modelName()), h('p', { className: 'hint' }, t(CompareText.answering)));
    this.columns.append(waiting);
    this.busy(true);
    const tried = await answering.tryBeside(this.conversation, this.first, this.wanted).catch((thrown: unknown) => ({ record: undefined, error: RullamaError.from(thrown) }));
    this.busy(false);
    waiting.remove();
    const { record, error } = tried;
    if (record && this.conversation.tree.get(record.id)) {
      this.update(record);
      this.second?.column.done(this.button(record, this.wanted));
    } else this.second?.column.element.remove();
    if (error && error.code !== 'cancelled') this.fail(error);
    if (this.dialog.open) (this.dialog.querySelector<HTMLElement>('.columns > article:last-of-type .primary') ?? this.close).focus({ preventScroll: true });
  }

  private fail(error: RullamaError): void {
    const card: HTMLElement = errorCard(error, { label: t(CommonText.tryAgain), run: () => {
      card.remove();
      this.second?.column.element.remove();
      this.second = undefined;
      void this.answer();
    } });
    this.columns.append(card);
  }

  private busy(busy: boolean): void {
    this.stop.hidden = !busy;
    this.hint.hidden = busy;
    if (busy) this.stop.focus();
  }

  /** What is other than in the conversation, in words. */
  private words(): string {
    const { settings, adapters } = this.comparing.around;
    const now = settings.values(this.wanted.settings);
    const names = (this.wanted.adapters ?? []).map(({ id }) => adapters.usable().find((one) => one.id === id)?.name ?? '');
    return [
      t(CompareText.temperature, { value: Number(now['temperature']) }),
      now['thinking'] === 'on' ? t(ChatText.thinksFirst) : t(CompareText.thinksNot),
      names.length > 0 && t(CompareText.withAdapters, { adapters: names.join(', ') }),
      now['system'],
    ].filter(Boolean).join(' · ');
  }

  /** Makes an answer the one that the conversation goes on with. */
  private button(record: MessageRecord, wanted?: Wanted): HTMLElement[] {
    const { frame, modelName } = this.comparing.around;
    const other = record.model !== undefined && record.model !== modelName() ? frame.choices().find(({ name }) => name === record.model) : undefined;
    const choose = async () => {
      await this.choose(record, wanted);
      this.dialog.close();
      if (other) await frame.loadOther(other);
    };
    return [h('button', { type: 'button', className: 'primary', 'data-tool': 'choose', onclick: () => void choose() }, t(CompareText.goOnWithThis)), ...(other ? [h('small', {}, t(CompareText.loadsAgain, { model: other.name }))] : [])];
  }

  private async choose(record: MessageRecord, wanted?: Wanted): Promise<void> {
    const { conversation } = this;
    const { library, answering } = this.comparing.around;
    conversation.running?.abort();
    const leaf = record === this.first && conversation.path.some(({ id }) => id === record.id) ? conversation.leaf : conversation.tree.leafBelow(record.id);
    conversation.show(leaf);
    if (wanted) Object.assign(conversation.record, { settings: wanted.settings, ...(wanted.adapters && { adapters: wanted.adapters }) });
    const { settings, adapters } = conversation.record;
    await library.patch(conversation.id, { leaf, settings, ...(adapters && { adapters }) });
    answering.shownAgain(conversation);
  }

  private leave(): void {
    this.conversation.running?.abort();
    if (this.comparing.view === this) this.comparing.view = undefined;
    this.dialog.remove();
  }
}

/** An answer, with who gave it, how, and how fast. */
class Column {
  readonly element: HTMLElement;
  private readonly view: TurnView;
  private readonly time = h('p', { className: 'hint' });
  private readonly end = h('p', { className: 'actions' });

  constructor(record: MessageRecord, words: string) {
    this.view = turnView(record, () => undefined);
    const name = record.model ?? t(CommonText.model);
    this.element = h('article', { className: 'card', 'aria-label': name }, h('h3', { dir: 'auto' }, name), words !== '' && h('p', { className: 'hint', dir: 'auto' }, words), this.view.element, this.time, this.end);
    this.show(record);
  }

  show(record: MessageRecord): void {
    this.view.update(record, []);
    const { stats } = record;
    this.time.textContent = stats && record.state !== 'writing' ? t(CompareText.inAll, { time: seconds(stats.prefillS + stats.decodeS) }) : '';
  }

  done(end: HTMLElement[]): this {
    this.end.replaceChildren(...end);
    return this;
  }
}
