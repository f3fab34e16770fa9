// A training at work: it goes on while other things are shown, keeps how far it is, and ends with an adapter in the library.

import type { Adapter, RullamaError, TuneReport, TuneStep, Tuner } from 'rullama';
import { tagOf, type AdapterRecord, type CheckpointRecord, type Sample, type TrainingPlan, type TrainingRecord } from '../adapters/records.ts';
import { keep } from '../adapters/take.ts';
import { bytes } from '../format.ts';
import type { Base, TuneFrame } from './frame.ts';
import { holdTab } from './tab.ts';
import { TuneText } from '../texts/en/tune.ts';
import { significant, t } from '../texts/text.ts';

/** Milliseconds between checkpoints, and from the last one to one that a hidden tab is worth. */
const CHECKPOINT_MS = 60_000;
const HIDDEN_MS = 2_000;
/** Samples in a training, the one before it aside, and their longest answer. */
const SAMPLES = 8;
const SAMPLE_TOKENS = 64;
/** Steps over which the rate is measured. */
const RECENT = 20;

/** `lost`: the device went away, or the model; it goes on from the last checkpoint. `left`: the model was changed. */
export type Phase = 'going' | 'paused' | 'ending' | 'ended' | 'failed' | 'lost' | 'left';

export class Training {
  phase: Phase = 'going';
  /** Whether an answer is being written as a sample. */
  sampling = false;
  error: RullamaError | undefined;
  /** What it has come to. */
  result: { record: AdapterRecord; stored: boolean } | undefined;
  /** A word on what is kept, where it is not as it should be. */
  trouble = '';
  /** What happened while the tab was hidden. */
  remark = '';
  /** The step of the last checkpoint. */
  keptStep: number | undefined;
  readonly history: TuneStep[];
  readonly samples: Sample[];
  private readonly stopSample = new AbortController();
  private keeps = true;
  private slot = 0;
  private keptAt = performance.now();
  private checkpointing: Promise<void> | undefined;
  private hidden: { at: number; step: number } | undefined;
  private leaving = false;
  private running: Promise<void> = Promise.resolve();
  private readonly onVisibility = () => this.visibility();

  private constructor(
    private readonly frame: TuneFrame,
    private readonly base: Base,
    readonly plan: TrainingPlan,
    private readonly tuner: Tuner,
    private readonly release: () => void,
    from: Pick<TrainingRecord, 'history' | 'samples'>,
  ) {
    this.history = from.history.filter(({ step }) => step <= tuner.step);
    this.samples = from.samples.filter(({ step }) => step <= tuner.step);
    document.addEventListener('visibilitychange', this.onVisibility);
  }

  /** Begins a training, or goes on with one that was kept. */
  static async begin(frame: TuneFrame, base: Base, plan: TrainingPlan | TrainingRecord, checkpoints: CheckpointRecord[] = []): Promise<Training> {
    const release = await holdTab();
    try {
      const { tuner, from } = await open(base, plan, checkpoints);
      const past = 'history' in plan && from ? plan : { history: [], samples: [] };
      const training = new Training(frame, base, plan, tuner, release, past);
      training.slot = from ? 1 - from.slot : 0;
      training.keptStep = from?.step;
      if (!from) await training.keepPlan();
      training.running = training.run();
      return training;
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  get step(): number {
    return this.tuner.step;
  }

  get steps(): number {
    return this.tuner.steps;
  }

  get report(): TuneReport {
    return this.tuner.report;
  }

  get best(): number | undefined {
    return this.tuner.best;
  }

  get ended() {
    return this.tuner.ended;
  }

  /** Whether it holds the engine. */
  get active(): boolean {
    return this.phase === 'going' || this.phase === 'paused' || this.phase === 'ending';
  }

  /** Whether something of it would go with the page. */
  get unsaved(): boolean {
    return this.active && this.trouble !== '';
  }

  /** Seconds that the rest takes, as far as it can be told. */
  get secondsLeft(): number | undefined {
    const recent = this.history.slice(-RECENT - 1);
    const [first, last] = [recent[0], recent.at(-1)];
    if (!first || !last || last.step <= first.step) return undefined;
    return ((last.elapsedS - first.elapsedS) / (last.step - first.step)) * (this.steps - last.step);
  }

  pause(): void {
    if (this.phase !== 'going') return;
    this.phase = 'paused';
    this.tuner.pause();
    this.frame.changed();
    void this.checkpoint();
  }

  goOn(): void {
    if (this.phase !== 'paused') return;
    this.phase = 'going';
    this.tuner.resume();
    this.frame.changed();
  }

  /** Ends it here, with the best state so far. */
  async stop(): Promise<void> {
    if (!this.active || this.phase === 'ending') return;
    this.phase = 'ending';
    this.frame.changed();
    this.stopSample.abort();
    // The loop ends with it.
    await this.tuner.cancel();
  }

  /** Lets go of the model, which is about to be closed; what there is of it is kept. */
  async leave(): Promise<void> {
    if (!this.active || this.leaving) return;
    // What is about to be an adapter becomes one.
    if (this.phase === 'ending') return this.running;
    this.leaving = true;
    this.stopSample.abort();
    this.tuner.pause();
    await this.checkpoint();
    await this.tuner.close().catch(() => undefined);
    this.end('left');
  }

  private async run(): Promise<void> {
    try {
      if (this.step === 0 && this.samples.length === 0) await this.sample();
      for (;;) {
        const { done, value } = await this.tuner.next();
        if (done) break;
        this.history.push(value);
        this.frame.changed();
        if (this.isSampled(value.step)) await this.sample();
        if (performance.now() - this.keptAt >= CHECKPOINT_MS) await this.checkpoint();
      }
      if (!this.leaving) await this.finish();
    } catch (thrown) {
      if (this.leaving) return;
      this.error = this.frame.errorFrom(thrown);
      const gone = this.error.code === 'device-lost' || this.error.code === 'closed';
      if (!gone) await this.tuner.close().catch(() => undefined);
      this.end(gone ? 'lost' : 'failed');
    }
  }

  private isSampled(step: number): boolean {
    const every = Math.max(1, Math.ceil(this.steps / SAMPLES));
    return this.phase !== 'ending' && (step % every === 0 || step >= this.steps);
  }

  /** The answer to the person's prompt as it is now. Training waits for it. */
  private async sample(): Promise<void> {
    const { prompt } = this.plan;
    const { signal } = this.stopSample;
    if (prompt.trim() === '' || signal.aborted) return;
    const { step } = this;
    this.sampling = true;
    this.frame.changed();
    const chat = this.base.engine.chat();
    let adapter: Adapter | undefined;
    try {
      adapter = step > 0 ? await this.tuner.adapter() : undefined;
      if (adapter) await chat.setAdapters([{ adapter }]);
      const text = await chat.ask(prompt, { temperature: 0, maxTokens: SAMPLE_TOKENS, signal });
      if (!signal.aborted) this.samples.push({ step, text });
    } finally {
      this.sampling = false;
      await chat.close().catch(() => undefined);
      await adapter?.unload().catch(() => undefined);
      this.frame.changed();
    }
  }

  private record(): TrainingRecord {
    return { ...this.plan, step: this.step, steps: this.steps, history: this.history, samples: this.samples };
  }

  /** Keeps what a training is made from, where there is room for its checkpoints. */
  private async keepPlan(): Promise<void> {
    const need = 2 * this.tuner.checkpointBytes;
    const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
    const free = quota === undefined || usage === undefined ? Infinity : quota - usage;
    try {
      if (free < need) throw new Error(t(TuneText.itsCheckpointsTakeNeed, { need: bytes(need), bytes: bytes(Math.max(0, free)) }));
      await this.frame.shelf.beginTraining(this.record());
    } catch (thrown) {
      this.keepsNot(thrown);
    }
  }

  private keepsNot(thrown: unknown): void {
    this.keeps = false;
    this.trouble = t(TuneText.aReloadLosesThis, { message: this.frame.errorFrom(thrown).message.replace(/\.$/, '') });
    this.frame.changed();
  }

  /** Keeps how far it is. */
  private checkpoint(): Promise<void> {
    this.checkpointing ??= this.write().finally(() => (this.checkpointing = undefined));
    return this.checkpointing;
  }

  private async write(): Promise<void> {
    if (!this.keeps || this.tuner.ended === 'done') return;
    try {
      const state = await this.tuner.checkpoint();
      const { step } = this;
      if (step === this.keptStep || step === 0) return;
      await this.frame.shelf.keepTraining(this.record(), { slot: this.slot, training: this.plan.id, step, bytes: state });
      this.slot = 1 - this.slot;
      this.keptStep = step;
      this.trouble = '';
    } catch (thrown) {
      const { code, message } = this.frame.errorFrom(thrown);
      // What was kept before is still there, and the next one is tried.
      if (code !== 'device-lost' && code !== 'closed') {
        const reason = message.replace(/\.$/, '');
        this.trouble = this.keptStep === undefined ? t(TuneText.stepStepCouldNot, { step: this.step, reason }) : t(TuneText.stepStepCouldNotBe, { step: this.step, keptStep: this.keptStep, reason });
      }
    } finally {
      this.keptAt = performance.now();
      this.frame.changed();
    }
  }

  private async finish(): Promise<void> {
    this.phase = 'ending';
    this.frame.changed();
    await this.checkpointing;
    await this.tuner.finish();
    if (this.step > 0) {
      const [files, adapter] = [await this.tuner.save('peft'), await this.tuner.adapter()];
      const { name, model } = this.plan;
      const { engine } = this.base;
      this.result = await keep(adapter, tagOf(engine.info, model.name), this.frame.shelf, this.frame.pool, { name, files, about: this.about() });
    }
    await this.tuner.close();
    await this.frame.shelf.endTraining().catch(() => undefined);
    this.end('ended');
  }

  /** How it was trained, in words. */
  private about(): string {
    const last = this.history.at(-1);
    const evaluated = this.history.findLast(({ evalLoss }) => evalLoss !== undefined)?.evalLoss;
    const parts = [t(TuneText.example, { n: this.report.train.examples }), t(TuneText.step4, { n: this.step })];
    if (last) parts.push(t(TuneText.lossLoss, { loss: significant(last.loss, 3) }));
    if (evaluated !== undefined) parts.push(t(TuneText.evaluationEvaluated, { evaluated: significant(evaluated, 3) }));
    return parts.join(', ');
  }

  private end(phase: Phase): void {
    this.phase = phase;
    document.removeEventListener('visibilitychange', this.onVisibility);
    this.release();
    this.frame.changed();
  }

  /** A hidden tab trains on, as far as the browser lets it. */
  private visibility(): void {
    if (document.hidden) {
      this.hidden = { at: performance.now(), step: this.step };
      if (performance.now() - this.keptAt > HIDDEN_MS) void this.checkpoint();
      return;
    }
    const { hidden } = this;
    this.hidden = undefined;
    if (!hidden || this.phase !== 'going') return;
    const taken = this.step - hidden.step;
    const long = performance.now() - hidden.at > 10_000;
    this.remark = taken > 0 ? t(TuneText.stepWasTakenWhile, { taken }) : long ? t(TuneText.theBrowserPausedTraining) : '';
    this.frame.changed();
  }
}

/** Opens a training from the newest checkpoint that can be read; without one from the beginning. */
async function open(base: Base, plan: TrainingPlan, checkpoints: CheckpointRecord[]): Promise<{ tuner: Tuner; from: CheckpointRecord | undefined }> {
  const options = { ...plan.options, name: plan.name };
  let failed: unknown;
  for (const from of checkpoints) {
    try {
      return { tuner: await base.engine.tune(plan.examples, { ...options, resume: from.bytes }), from };
    } catch (thrown) {
      failed ??= thrown;
    }
  }
  // A training that has begun is not begun anew unasked.
  if (failed) throw failed;
  return { tuner: await base.engine.tune(plan.examples, options), from: undefined };
}
