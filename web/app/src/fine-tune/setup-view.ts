// Before a training: examples, how they are read, settings, and what it would take.

import type { DataReport, TuneEstimate, TuneOptions } from 'rullama';
import type { TrainingPlan } from '../adapters/records.ts';
import { newId } from '../chats/records.ts';
import { h } from '../dom.ts';
import { errorCard } from '../error-card.ts';
import { bytes } from '../format.ts';
import { ExamplesInput } from './examples-input.ts';
import type { Base, TuneFrame } from './frame.ts';
import { OptionsForm } from './options-form.ts';
import { previewView } from './preview.ts';
import { CommonText } from '../texts/en/common.ts';
import { TuneText } from '../texts/en/tune.ts';
import { t } from '../texts/text.ts';

/** Milliseconds without a change after which the examples are read. */
const REST_MS = 350;
/** Examples of which the preview shows the text. */
const SHOWN = 10;
/** Shortest rows that a refusal proposes. */
const SHORTEST = 64;

export class SetupView {
  readonly element: HTMLElement;
  private readonly input = new ExamplesInput(() => this.changed());
  private readonly form = new OptionsForm(() => this.changed());
  private readonly seen = h('div', { className: 'seen' }, h('p', { className: 'hint' }, t(TuneText.whatTheModelIs)));
  /** For those who hear the page: the counts, and not every example. */
  private readonly said = h('p', { className: 'visually-hidden', role: 'status' });
  private readonly need = h('div', { className: 'need', 'aria-live': 'polite' });
  private readonly failed = h('div', {});
  private readonly start = h('button', { type: 'button', className: 'primary', id: 'start-training', disabled: true, onclick: () => void this.begin() }, t(TuneText.startTraining));
  private timer: ReturnType<typeof setTimeout> | undefined;
  private reading = {};
  private base: Base | undefined;
  /** The examples that the preview shows. */
  private read: Blob | undefined;

  /** `begin` starts a training; it throws what keeps it from doing so. */
  constructor(
    private readonly frame: TuneFrame,
    private readonly run: (plan: TrainingPlan) => Promise<void>,
  ) {
    this.element = h('div', { className: 'setup' },
      h('section', { className: 'card', 'aria-labelledby': 'examples-title' }, h('h2', { id: 'examples-title' }, t(TuneText.examples)), this.input.element),
      h('section', { className: 'card', 'aria-labelledby': 'seen-title' }, h('h2', { id: 'seen-title' }, t(TuneText.asTheModelReads)), this.said, this.seen),
      h('section', { className: 'card', 'aria-labelledby': 'settings-of-tuning' }, h('h2', { id: 'settings-of-tuning' }, t(CommonText.settings)), this.form.element, this.need, this.failed, h('p', { className: 'actions' }, this.start)));
  }

  /** Goes on with this model. */
  use(base: Base): void {
    if (this.base?.engine === base.engine) return;
    this.base = base;
    this.changed();
  }

  take(file: File): void {
    this.input.take(file);
  }

  private changed(): void {
    clearTimeout(this.timer);
    this.start.disabled = true;
    this.failed.replaceChildren();
    this.timer = setTimeout(() => void this.look(), REST_MS);
  }

  /** Reads the examples, and finds what a training on them would take. */
  private async look(): Promise<void> {
    const { base } = this;
    const reading = (this.reading = {});
    const { examples, problem } = this.input;
    this.read = undefined;
    const said = problem ? h('p', { className: 'problem' }, problem) : '';
    if (!base || !examples) {
      this.seen.replaceChildren(said, h('p', { className: 'hint' }, t(TuneText.whatTheModelIs)));
      return this.need.replaceChildren();
    }
    const options = this.form.options(false);
    if (!options) return this.need.replaceChildren(h('p', { className: 'problem' }, t(TuneText.aSettingIsOut)));
    try {
      const preview = await base.engine.previewExamples(examples, lengthOf(options), SHOWN);
      if (this.reading !== reading) return;
      this.read = examples;
      this.seen.replaceChildren(said, previewView(preview));
      this.said.textContent = t(TuneText.exampleRemarkOnLines, { examples: preview.report.examples, lines: preview.report.lines.length });
      await this.estimate(base, examples, preview.report, reading);
    } catch (thrown) {
      if (this.reading !== reading) return;
      this.seen.replaceChildren(said, errorCard(this.frame.errorFrom(thrown)));
      this.need.replaceChildren();
    }
  }

  private async estimate(base: Base, examples: Blob, report: DataReport, reading: object): Promise<void> {
    this.form.suggest(report.examples, this.input.question || (await firstQuestion(examples)));
    const options = this.form.options(false);
    if (!options) return;
    try {
      const need = await base.engine.estimateTuning(examples, options);
      if (this.reading !== reading) return;
      this.need.replaceChildren(needView(need));
      this.start.disabled = !need.fits;
      if (need.fits) return;
      const change = await this.whatFits(base, examples, options, need);
      if (this.reading === reading) this.need.append(...change);
    } catch (thrown) {
      if (this.reading === reading) this.need.replaceChildren(errorCard(this.frame.errorFrom(thrown)));
    }
  }

  /** What to change so that a training fits, tried. */
  private async whatFits(base: Base, examples: Blob, options: TuneOptions, need: TuneEstimate): Promise<HTMLElement[]> {
    for (let maxLen = 2 ** Math.floor(Math.log2(need.tokens - 1)); maxLen >= SHORTEST; maxLen /= 2) {
      if (!(await base.engine.estimateTuning(examples, { ...options, maxLen })).fits) continue;
      const use = () => {
        this.form.set('maxLen', maxLen);
        this.changed();
      };
      return [h('p', { className: 'actions' }, h('button', { type: 'button', id: 'use-fitting', onclick: use }, t(TuneText.cutExamplesAtToken, { maxLen })))];
    }
    const weights = need.weights + need.trained > need.budget;
    return [h('p', { className: 'remedy' }, weights
      ? t(TuneText.theModelAndThe)
      : t(TuneText.chooseASmallerRank))];
  }

  private async begin(): Promise<void> {
    const { base, read } = this;
    const options = this.form.options();
    if (!base || !read || !options) return;
    this.start.disabled = true;
    this.start.textContent = t(TuneText.starting);
    this.failed.replaceChildren();
    const { model, source } = base;
    try {
      await this.run({ id: newId(), name: this.form.adapterName, created: Date.now(), model, ...(source && { source }), examples: read, options, prompt: this.form.samplePrompt });
    } catch (thrown) {
      const card = errorCard(this.frame.errorFrom(thrown));
      this.failed.replaceChildren(card);
      card.scrollIntoView({ block: 'nearest' });
    } finally {
      this.start.disabled = false;
      this.start.textContent = t(TuneText.startTraining);
    }
  }
}

/** What of the settings decides how examples are read. */
const lengthOf = ({ maxLen, lossOn }: TuneOptions): TuneOptions => ({ ...(maxLen && { maxLen }), ...(lossOn && { lossOn }) });

function needView({ tokens, weights, trained, activations, budget, fits, steps, checkpointBytes }: TuneEstimate): HTMLElement {
  const total = weights + trained + activations;
  const parts = t(TuneText.weightsTheModelTrained, { weights: bytes(weights), trained: bytes(trained), activations: bytes(activations), tokens });
  const meter = h('meter', { min: 0, max: budget, value: Math.min(total, budget), high: 0.9 * budget, optimum: 0, 'aria-label': t(TuneText.gPUMemoryThatTraining) });
  if (fits) {
    return h('div', {}, h('p', {}, meter, ' ', t(TuneText.aboutTotalOfGPU, { total: bytes(total), budget: bytes(budget), steps })),
      h('p', { className: 'hint' }, t(TuneText.partsACheckpointTakes, { parts, checkpointBytes: bytes(checkpointBytes) })));
  }
  return h('div', { className: 'card error', role: 'alert', 'data-code': 'out-of-memory' }, h('h3', {}, t(TuneText.thisDoesNotFit)),
    h('p', { className: 'what' }, meter, ' ', t(TuneText.aboutTotalOfGPUMemory, { total: bytes(total), budget: bytes(budget), parts })));
}

/** The first line's question; nothing where it has none. */
async function firstQuestion(examples: Blob): Promise<string> {
  const line = (await examples.slice(0, 1 << 16).text()).split('\n').find((text) => text.trim() !== '') ?? '';
  try {
    const { prompt, messages } = JSON.parse(line) as { prompt?: unknown; messages?: { role?: unknown; content?: unknown }[] };
    const asked = typeof prompt === 'string' ? prompt : messages?.find(({ role }) => role === 'user')?.content;
    return typeof asked === 'string' && asked.length < 2000 ? asked : '';
  } catch {
    return '';
  }
}
