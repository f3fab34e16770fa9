// How far the model has read a long prompt, and when its first word can be expected.

import type { Prefill } from 'rullama';
import { h } from './dom.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

/** Milliseconds of reading before it is worth a line. */
const PATIENCE_MS = 400;

export class PrefillLine {
  private readonly bar = h('progress', { 'aria-label': t(ChatText.readingThePrompt) });
  private readonly words = h('span', {});
  // A screen reader is not told of every step.
  private readonly element = h('p', { className: 'reading', 'aria-live': 'off' }, this.words, this.bar);
  private began: { at: number; done: number } | undefined;
  /** Tokens a second of the latest prompt that took a while. */
  private rate = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private latest: Prefill | undefined;

  /** Shows what is read now in the answer's turn. */
  show(turn: HTMLElement, at: Prefill): void {
    const now = performance.now();
    if (!this.began || at.done < (this.latest?.done ?? 0)) this.began = { at: now, done: at.done };
    this.latest = at;
    const { began } = this;
    const [read, took] = [at.done - began.done, (now - began.at) / 1000];
    // The first chunks take longer than they tell: kernels are made for them.
    if (read > 0 && took > 0.05) this.rate = read / took;
    if (this.element.parentElement === turn) return this.draw();
    this.timer ??= setTimeout(() => {
      if (!this.began) return;
      this.draw();
      turn.prepend(this.element);
    }, PATIENCE_MS);
  }

  /** The first word is there, or the answer has ended. */
  end(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.began = undefined;
    this.latest = undefined;
    this.element.remove();
  }

  private draw(): void {
    const { done, total } = this.latest ?? { done: 0, total: 1 };
    Object.assign(this.bar, { max: total, value: done });
    const left = this.rate > 0 ? (total - done) / this.rate : undefined;
    const time = left === undefined ? '' : left < 90 ? t(CommonText.secondsS, { seconds: Math.round(left) }) : t(CommonText.minutesMin, { minutes: Math.round(left / 60) });
    const soon = left === undefined ? '' : ` · ${left < 1 ? t(ChatText.firstWordInA) : t(ChatText.firstWordInAbout, { time })}`;
    this.words.textContent = t(ChatText.readingDoneOfTokensoon, { done, total, soon });
  }
}
