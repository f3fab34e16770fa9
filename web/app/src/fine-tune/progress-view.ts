// A training as it goes on: the chart, numbers, sample answers, and what can be done.

import type { Memory, TuneEnd } from 'rullama';
import type { AdapterRecord, Sample } from '../adapters/records.ts';
import { h, oncePerFrame } from '../dom.ts';
import { errorCard } from '../error-card.ts';
import { bytes, rate } from '../format.ts';
import type { Base, TuneFrame } from './frame.ts';
import { linesView } from './preview.ts';
import type { Training } from './training.ts';
import { CommonText } from '../texts/en/common.ts';
import { TuneText } from '../texts/en/tune.ts';
import { fixed, significant, t } from '../texts/text.ts';

/** Milliseconds between two measurements of memory, and between two remarks for those who do not see the chart. */
const MEMORY_MS = 3000;
const SAY_MS = 15_000;

const ENDS: Record<TuneEnd, string> = {
  done: t(TuneText.trainingIsDone),
  'no-better': t(TuneText.theEvaluationGotNo),
  diverged: t(TuneText.theLossRoseFar),
  cancelled: t(TuneText.trainingWasStopped),
};

type Chart = import('./chart.ts').Chart;

export class ProgressView {
  readonly element: HTMLElement;
  private readonly title = h('h2', { id: 'progress-title', tabIndex: -1 });
  private readonly bar = h('progress', { max: 1, value: 0, 'aria-labelledby': 'progress-title' });
  private readonly numbers = h('dl', { className: 'numbers' });
  private readonly chartRoot = h('div', { className: 'chart', role: 'img', 'aria-label': t(TuneText.lossByStep) });
  private readonly notes = h('div', { className: 'notes', role: 'status' });
  private readonly said = h('p', { className: 'visually-hidden', role: 'status' });
  private readonly buttons = h('p', { className: 'actions' });
  private readonly samples = h('ol', { className: 'samples' });
  private readonly sampling = h('section', { className: 'card', 'aria-labelledby': 'samples-title' }, h('h2', { id: 'samples-title' }, t(TuneText.sampleAnswers)));
  private readonly end = h('div', { className: 'ended' });
  private readonly drawing = oncePerFrame(() => this.draw());
  private chart: Chart | undefined;
  private loading = false;
  private memory: Memory | undefined;
  private measured = 0;
  private spoken = 0;
  private shownPhase = '';
  private shownSamples = -1;

  /** `again` shows what comes before a training, `goOn` takes one up again that failed. */
  constructor(
    private readonly frame: TuneFrame,
    private readonly base: Base,
    private readonly training: Training,
    private readonly again: () => void,
    private readonly goOn: () => void,
  ) {
    const { prompt } = training.plan;
    this.sampling.hidden = prompt.trim() === '';
    this.sampling.append(h('p', { className: 'hint', dir: 'auto' }, prompt), this.samples);
    const lines = linesView(training.report.train);
    this.element = h('div', { className: 'progress-view' },
      this.end,
      h('section', { className: 'card', 'aria-labelledby': 'progress-title' }, this.title, this.bar, this.numbers, this.chartRoot, this.notes, this.said, this.buttons, lines),
      this.sampling);
    this.draw();
  }

  update(): void {
    // What is hidden draws nothing, and its words must not wait for it.
    if (document.hidden) this.draw();
    else this.drawing.request();
  }

  focus(): void {
    this.title.focus();
  }

  remove(): void {
    this.chart?.remove();
    this.element.remove();
  }

  private draw(): void {
    const { training } = this;
    const { step, steps, plan, phase } = training;
    const { name } = plan;
    const title = {
      going: training.sampling ? t(TuneText.nameAnswersTheSample, { name }) : t(TuneText.nameIsLearning, { name }),
      paused: t(TuneText.nameIsPaused, { name }), ending: t(TuneText.nameIsEnding, { name }), ended: t(TuneText.nameHasEnded, { name }), failed: t(TuneText.nameHasFailed, { name }), lost: t(TuneText.nameWasInterrupted, { name }), left: t(TuneText.nameIsPaused, { name }),
    }[phase];
    if (this.title.textContent !== title) this.title.textContent = title;
    this.bar.value = steps > 0 ? step / steps : 0;
    this.drawNumbers();
    this.drawNotes();
    this.drawSamples();
    this.drawChart();
    this.speak();
    if (this.shownPhase === phase) return;
    this.shownPhase = phase;
    this.drawButtons();
    this.drawEnd();
  }

  private drawNumbers(): void {
    const { training } = this;
    const last = training.history.at(-1);
    const evaluated = training.history.findLast(({ evalLoss }) => evalLoss !== undefined)?.evalLoss;
    const left = training.active ? training.secondsLeft : undefined;
    const shown: [string, string][] = [
      [t(TuneText.step), t(TuneText.stepOfSteps, { step: training.step, steps: training.steps })],
      [t(TuneText.loss), last ? significant(last.loss, 3) : '–'],
      ...(evaluated === undefined ? [] : [[t(TuneText.evaluation), significant(evaluated, 3)] as [string, string]]),
      [t(TuneText.speed), last ? rate(last.tokS) : '–'],
      [t(TuneText.timeLeft), left === undefined ? '–' : duration(left)],
      [t(TuneText.gPUMemory), this.memory ? bytes(this.memory.gpuBytes) : '–'],
    ];
    this.numbers.replaceChildren(...shown.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
    if (!training.active || performance.now() - this.measured < MEMORY_MS) return;
    this.measured = performance.now();
    void this.base.engine.memory().then((memory) => (this.memory = memory), () => undefined);
  }

  private drawNotes(): void {
    const { trouble, remark, keptStep, active, history } = this.training;
    const skipped = history.filter((step) => step.skipped).length;
    const texts = [
      trouble,
      active ? remark : '',
      skipped > 0 ? t(TuneText.stepWasSkippedThe, { skipped }) : '',
      active && !trouble ? (keptStep ? t(TuneText.keptAtStepKeptStep, { keptStep }) : t(TuneText.aReloadBeginsAnew)) : '',
      active ? t(TuneText.youCanChatMeanwhile) : '',
    ].filter((text) => text !== '');
    if (this.notes.textContent !== texts.join('')) this.notes.replaceChildren(...texts.map((text) => h('p', { className: text === trouble ? 'problem' : 'hint' }, text)));
  }

  private drawSamples(): void {
    const { samples } = this.training;
    if (this.shownSamples === samples.length) return;
    this.shownSamples = samples.length;
    const item = ({ step, text }: Sample) => h('li', {}, h('p', { className: 'hint' }, step === 0 ? t(TuneText.beforeTraining) : t(TuneText.afterStepStep, { step })), h('p', { className: 'sample', dir: 'auto' }, text.trim() || t(TuneText.nothing)));
    // The newest is read first, and beside it what was before.
    const [last, ...rest] = samples.toReversed();
    const first = rest.pop();
    const between = rest.length > 0 && h('li', {}, h('details', { open: this.samples.querySelector('details')?.open ?? false }, h('summary', {}, t(TuneText.restBetween, { rest: rest.length })), h('ol', { className: 'samples' }, ...rest.map(item))));
    const shown = [last && item(last), between, first && item(first)].filter((one): one is HTMLLIElement => Boolean(one));
    this.samples.replaceChildren(...(shown.length > 0 ? shown : [h('li', { className: 'hint' }, t(TuneText.theFirstAnswerComes))]));
  }

  private drawChart(): void {
    const { history } = this.training;
    const [first, last] = [history[0], history.at(-1)];
    this.chartRoot.hidden = history.length === 0;
    if (!first || !last) return;
    this.chartRoot.setAttribute('aria-label', t(TuneText.lossByStepFrom, { loss: significant(first.loss, 3), step: first.step, loss2: significant(last.loss, 3), step2: last.step }));
    const { steps } = this.training;
    if (this.chart) return this.chart.show(history, steps);
    if (this.loading) return;
    this.loading = true;
    void import('./chart.ts').then(
      ({ Chart }) => {
        this.chart = new Chart(this.chartRoot);
        this.chart.show(this.training.history, this.training.steps);
      },
      () => (this.loading = false),
    );
  }

  /** For those who hear the page: now and then, not with every step. */
  private speak(): void {
    const { step, steps, history, active } = this.training;
    const last = history.at(-1);
    if (!active || !last || performance.now() - this.spoken < SAY_MS) return;
    this.spoken = performance.now();
    this.said.textContent = t(TuneText.stepStepOfSteps, { step, steps, loss: significant(last.loss, 3) });
  }

  private drawButtons(): void {
    const { training } = this;
    const { phase } = training;
    const had = this.buttons.contains(document.activeElement);
    const button = (id: string, label: string, run: () => void, className = '') => h('button', { type: 'button', id, className, onclick: run }, label);
    const buttons: Partial<Record<string, HTMLElement[]>> = {
      going: [button('pause-training', t(CommonText.pause), () => training.pause()), button('stop-training', t(TuneText.stopHere), () => void training.stop(), 'quiet')],
      paused: [button('resume-training', t(TuneText.goOn), () => training.goOn(), 'primary'), button('stop-training', t(TuneText.stopHere), () => void training.stop(), 'quiet')],
      failed: [...(training.keptStep ? [button('retry-training', t(TuneText.goOnFromStep, { keptStep: training.keptStep }), this.goOn, 'primary')] : []), button('new-training', t(TuneText.changeTheSettings), this.again)],
      lost: [button('retry-training', t(TuneText.loadTheModelAgain), this.goOn, 'primary')],
      ended: [],
    };
    this.buttons.replaceChildren(...(buttons[phase] ?? []));
    if (had && !this.buttons.contains(document.activeElement)) (this.buttons.querySelector('button') ?? this.title).focus();
  }

  private drawEnd(): void {
    const { training } = this;
    if (training.error) return this.end.replaceChildren(errorCard(training.error));
    if (training.phase !== 'ended') return this.end.replaceChildren();
    const { result, best, ended } = training;
    if (!result) {
      this.end.replaceChildren(h('div', { className: 'card result', role: 'status' }, h('p', {}, t(TuneText.trainingWasStoppedBefore)),
        h('p', { className: 'actions' }, h('button', { type: 'button', id: 'new-training', onclick: this.again }, t(TuneText.backToTheExamples)))));
      return;
    }
    const said = ENDS[ended ?? 'done'] + (best !== undefined && best !== training.step ? ` ${t(TuneText.itIsThatOf, { best })}` : '');
    this.end.replaceChildren(this.resultCard(result.record, said, result.stored));
    this.end.querySelector<HTMLElement>('#name-result')?.focus();
  }

  private resultCard(record: AdapterRecord, said: string, stored: boolean): HTMLElement {
    const { frame } = this;
    const name = h('input', { type: 'text', id: 'name-result', value: record.name, maxLength: 80, dir: 'auto' });
    name.onchange = () => {
      const text = name.value.trim();
      if (text === '') name.value = record.name;
      else void frame.shelf.rename(record.id, text);
    };
    const save = (id: string, label: string, form: 'peft' | 'gguf' | 'both') => h('button', { type: 'button', id, onclick: () => frame.download(record, form) }, label);
    return h('section', { className: 'card result', 'aria-labelledby': 'result-title' },
      h('h2', { id: 'result-title' }, t(TuneText.yourAdapter)),
      h('p', { role: 'status' }, `${said} ${stored ? t(TuneText.itIsKeptIn, { bytes: bytes(record.bytes) }) : t(TuneText.theBrowserHasNo)}`),
      h('label', { className: 'field' }, h('span', {}, t(CommonText.name)), name),
      h('p', { className: 'actions' },
        h('button', { type: 'button', className: 'primary', id: 'compare-result', onclick: () => frame.compare(record) }, t(CommonText.compareWithTheModel)),
        h('button', { type: 'button', id: 'chat-result', onclick: () => frame.toChat(record) }, t(TuneText.chatWithIt))),
      h('p', { className: 'actions' }, save('save-peft', t(CommonText.downloadPEFT), 'peft'), save('save-gguf', t(TuneText.gGUFAndModelfile), 'gguf'), save('save-both', t(TuneText.both), 'both')),
      h('p', { className: 'hint' }, t(TuneText.pEFTIsForTransformers)),
      h('p', { className: 'actions' }, h('button', { type: 'button', className: 'quiet', id: 'new-training', onclick: this.again }, t(TuneText.trainAnother))));
  }
}

/** Seconds in words. */
function duration(seconds: number): string {
  if (seconds < 90) return t(CommonText.secondsS, { seconds: Math.max(1, Math.round(seconds)) });
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? t(CommonText.minutesMin, { minutes }) : t(TuneText.hoursH, { hours: fixed(minutes / 60, 1) });
}
