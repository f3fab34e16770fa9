// Fine-tune: an adapter is trained on the model that is loaded, from examples to side-by-side answers. Loaded when it is first opened.

import type { AdapterRecord, CheckpointRecord, TrainingPlan, TrainingRecord } from '../adapters/records.ts';
import { refusal } from '../adapters/chat-adapters.ts';
import { h } from '../dom.ts';
import { errorCard } from '../error-card.ts';
import { CompareView } from './compare-view.ts';
import type { Base, TuneFrame } from './frame.ts';
import { ProgressView } from './progress-view.ts';
import { SetupView } from './setup-view.ts';
import { trainsElsewhere } from './tab.ts';
import css from './tune.css';
import { Training } from './training.ts';
import { TuneText } from '../texts/en/tune.ts';
import { t } from '../texts/text.ts';

export class FineTune {
  training: Training | undefined;
  private readonly title = h('h1', { id: 'tune-title', tabIndex: -1 });
  private readonly intro = h('p', { className: 'intro' });
  private readonly waiting = h('div', {});
  private readonly place = h('div', {});
  private readonly setup: SetupView;
  private progress: ProgressView | undefined;
  private compare: CompareView | undefined;
  private base: Base | undefined;
  /** A training that goes on as soon as the model is there again. */
  private returning = false;
  /** The step at which the device was lost last: a loss that comes again without progress is not followed. */
  private lostAt = -1;
  private readonly frame: TuneFrame;

  constructor(
    private readonly root: HTMLElement,
    frame: TuneFrame,
  ) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets.push(sheet);
    this.frame = { ...frame, changed: () => this.changed() };
    this.changedOutside = () => frame.changed();
    this.setup = new SetupView(this.frame, (plan) => this.begin(plan));
    const back = h('button', { type: 'button', className: 'quiet', id: 'leave-tune', onclick: () => frame.toChat() }, t(TuneText.backToTheChat));
    this.root.append(h('div', { className: 'tune-head' }, back, this.title, this.intro), this.waiting, this.place);
  }

  private readonly changedOutside: () => void;

  /** Shows what is trained, or what comes before. */
  show(base: Base): void {
    this.use(base);
    this.closeCompare();
    document.title = t(TuneText.fineTuneRullama);
    this.title.textContent = t(TuneText.fineTuneModel, { model: base.model.name });
    this.intro.textContent = t(TuneText.teachTheModelFrom);
    this.root.hidden = false;
    if (this.returning) return void this.takeUp();
    this.draw();
    void this.offer();
    (this.progress ?? this.title).focus();
  }

  /** Shows an adapter's answers beside the model's. */
  showCompare(base: Base, adapter: AdapterRecord): void {
    this.use(base);
    this.closeCompare();
    document.title = `${adapter.name} · rullama`;
    this.title.textContent = t(TuneText.adapterBesideModel, { adapter: adapter.name, model: base.model.name });
    this.intro.textContent = refusal(adapter, base.model) || t(TuneText.eachQuestionIsAnswered);
    this.root.hidden = false;
    this.waiting.replaceChildren();
    this.progress?.element.remove();
    this.compare = new CompareView(this.frame, base, adapter);
    this.place.replaceChildren(...(refusal(adapter, base.model) ? [] : [this.compare.element]));
    this.compare.focus();
  }

  hide(): void {
    this.closeCompare();
    this.root.hidden = true;
  }

  /** Takes examples from a file that was dropped. */
  take(file: File): void {
    if (this.training && this.training.phase !== 'ended') return this.frame.toast(t(TuneText.fileWasNotTaken, { file: file.name }), { ms: 8000 });
    this.again();
    this.setup.take(file);
  }

  /** Before the model is closed: what is trained is kept, as far as it has come. */
  async leave(): Promise<void> {
    this.closeCompare();
    const { training } = this;
    if (!training?.active) return;
    const keeps = !training.unsaved;
    await training.leave();
    const { plan, step } = training;
    if (training.phase === 'ended') this.frame.toast(training.result ? t(TuneText.planHasEndedAnd, { plan: plan.name }) : t(TuneText.theTrainingOfPlan, { plan: plan.name }), { ms: 12_000 });
    else this.frame.toast(keeps ? t(TuneText.theTrainingOfPlanIs, { plan: plan.name, step }) : t(TuneText.theTrainingOfPlanCould, { plan: plan.name }), { ms: 12_000 });
    this.forget();
  }

  private use(base: Base): void {
    this.base = base;
    this.setup.use(base);
  }

  private async begin(plan: TrainingPlan | TrainingRecord, checkpoints: CheckpointRecord[] = []): Promise<void> {
    const { base } = this;
    if (!base) return;
    this.training = await Training.begin(this.frame, base, plan, checkpoints);
    if (!('history' in plan)) this.lostAt = -1;
    this.progress?.remove();
    this.progress = new ProgressView(this.frame, base, this.training, () => this.again(), () => this.retry());
    this.waiting.replaceChildren();
    if (!this.compare) {
      this.draw();
      this.progress.focus();
    }
    this.changed();
  }

  private changed(): void {
    const { training } = this;
    this.progress?.update();
    this.changedOutside();
    if (training?.phase !== 'lost' || this.returning) return;
    const progress = (training.keptStep ?? 0) > this.lostAt;
    this.lostAt = training.keptStep ?? 0;
    // Whoever looks at a chat is asked there.
    this.returning = true;
    if (progress && !this.root.hidden && training.error?.code === 'device-lost') this.frame.reload();
  }

  /** Goes on after a failure. */
  private retry(): void {
    if (this.training?.phase === 'lost') {
      this.returning = true;
      this.frame.reload();
    } else void this.takeUp();
  }

  /** Goes on with the training that is kept. */
  private async takeUp(): Promise<void> {
    this.returning = false;
    const kept = await this.frame.shelf.training().catch(() => undefined);
    if (!kept) {
      this.again();
      return this.frame.toast(t(TuneText.theTrainingCouldNot), { ms: 8000 });
    }
    if (kept.record.model.shape === this.base?.model.shape) return this.resume(kept.record, kept.checkpoints);
    this.again();
    await this.offer();
  }

  private async resume(record: TrainingRecord, checkpoints: CheckpointRecord[]): Promise<void> {
    try {
      await this.begin(record, checkpoints);
    } catch (thrown) {
      this.forget();
      this.draw();
      this.waiting.replaceChildren(errorCard(this.frame.errorFrom(thrown), { label: t(TuneText.discardThisTraining), run: () => void this.discard() }));
    }
  }

  private async discard(): Promise<void> {
    await this.frame.shelf.endTraining().catch(() => undefined);
    this.waiting.replaceChildren();
    this.title.focus();
  }

  private draw(): void {
    this.place.replaceChildren(this.progress ? this.progress.element : this.setup.element);
  }

  private again(): void {
    this.forget();
    this.waiting.replaceChildren();
    this.draw();
    this.title.focus();
  }

  private forget(): void {
    this.progress?.remove();
    this.progress = undefined;
    this.training = undefined;
    this.changedOutside();
  }

  private closeCompare(): void {
    void this.compare?.close();
    this.compare = undefined;
  }

  /** Offers to go on with a training that an earlier visit left. */
  private async offer(): Promise<void> {
    this.waiting.replaceChildren();
    if (this.training) return;
    const kept = await this.frame.shelf.training().catch(() => undefined);
    const { base } = this;
    if (!kept || !base || this.training || this.compare) return;
    const { record, checkpoints } = kept;
    const step = checkpoints[0]?.step ?? 0;
    const elsewhere = await trainsElsewhere();
    const about = step > 0
      ? t(TuneText.recordStepStepOf, { record: record.name, step, steps: record.steps, model: record.model.name })
      : t(TuneText.recordStepThatHave, { record: record.name, steps: record.steps, model: record.model.name });
    const here = record.model.shape === base.model.shape;
    const goOn = h('button', { type: 'button', className: 'primary', id: 'resume-kept', onclick: () => {
      goOn.disabled = true;
      void this.resume(record, checkpoints);
    } }, t(TuneText.goOn));
    const { source } = record;
    const load = source && h('button', { type: 'button', className: 'primary', id: 'load-kept', onclick: () => this.frame.load(source, record.model.name) }, t(TuneText.loadModel, { model: record.model.name }));
    const words = elsewhere ? t(TuneText.anotherTabIsTraining) : here ? t(TuneText.itGoesOnWhere) : t(TuneText.itBelongsToModel, { model: record.model.name });
    this.waiting.replaceChildren(h('section', { className: 'card waiting', 'aria-labelledby': 'waiting-title' },
      h('h2', { id: 'waiting-title' }, t(TuneText.aTrainingIsWaiting)), h('p', {}, about, ' ', words),
      !elsewhere && h('p', { className: 'actions' }, here ? goOn : load, h('button', { type: 'button', className: 'quiet', id: 'discard-kept', onclick: () => void this.discard() }, t(TuneText.discard)))));
  }
}
