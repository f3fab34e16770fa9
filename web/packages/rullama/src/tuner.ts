// A training, as users hold it: it goes on as its steps are read.

import { Adapter, checkForm } from './adapters.ts';
import type { Client } from './client.ts';
import { RullamaError } from './errors.ts';
import type { TunerInfo } from './protocol.ts';
import type { SavedFile, TuneEnd, TuneReport, TuneStep } from './types.ts';

/**
 * The training of an adapter. Reading its steps with `for await` drives it: each one that is asked for is taken, in the worker and
 * between the engine's other calls. Leaving the loop is a pause: another loop goes on, and what was trained stays until `close`.
 */
export class Tuner implements AsyncIterable<TuneStep, void> {
  /** How the examples were read: lines that were skipped or cut, by number and with the reason. */
  readonly report: TuneReport;
  /** Steps of the whole training; fewer when some are skipped. */
  steps: number;
  /** Bytes that a checkpoint takes at most. */
  readonly checkpointBytes: number;
  /** Steps so far, those before a checkpoint included. */
  step: number;
  /** The latest step. */
  last: TuneStep | undefined;
  /** Why training has ended, when it has. */
  ended: TuneEnd | undefined;
  /** The step whose state was kept in place of the last, where training has ended and an earlier one was better. */
  best: number | undefined;
  private readonly stop = new AbortController();
  private gate: { open: Promise<void>; release: () => void } | undefined;
  private running: Promise<unknown> = Promise.resolve();
  private closed = false;
  private readonly abort = (): void => void this.cancel();

  /** A `signal` cancels it; it is let go of when training has ended. */
  constructor(
    private readonly client: Client,
    private readonly info: TunerInfo,
    private readonly signal?: AbortSignal,
  ) {
    ({ report: this.report, step: this.step, steps: this.steps, checkpointBytes: this.checkpointBytes } = info);
    if (signal?.aborted) this.abort();
    else signal?.addEventListener('abort', this.abort);
  }

  /** Whether `pause` holds training. */
  get paused(): boolean {
    return this.gate !== undefined;
  }

  /** The steps from here on. A loop may be left, and another one begun. */
  [Symbol.asyncIterator](): AsyncIterator<TuneStep, void> {
    return { next: () => this.next() };
  }

  /** Takes the next step. When training has ended, the result is `done` and `ended` says why. */
  next(): Promise<IteratorResult<TuneStep, void>> {
    const result = this.running.then(() => this.take());
    this.running = result.catch(() => undefined);
    return result;
  }

  /** Holds training after the step in progress, until `resume`: whoever reads the steps waits. */
  pause(): void {
    if (this.gate || this.ended) return;
    let release = () => {};
    const open = new Promise<void>((resolve) => (release = resolve));
    this.gate = { open, release };
  }

  resume(): void {
    this.gate?.release();
    this.gate = undefined;
  }

  /**
   * Ends training and resolves when it has ended; a step in progress is not taken. What was trained is there until `close`: to be
   * attached and saved, and as a checkpoint to go on from.
   */
  async cancel(): Promise<void> {
    this.stop.abort();
    this.resume();
    await this.running;
    this.end('cancelled');
  }

  /** Ends training as `cancel` does, and puts the state that the evaluation found best in place of the last, where it found one. */
  async finish(): Promise<void> {
    await this.cancel();
    if (this.ended === 'cancelled') this.best = (await this.client.call('tuneFinish', this.number())) ?? undefined;
  }

  /** The adapter as it is now, to be attached to conversations at once. Later steps do not change it. */
  async adapter(): Promise<Adapter> {
    return new Adapter(this.client, await this.client.call('tuneAdapter', this.number()));
  }

  /** The adapter as it is now as files: PEFT's two, or a GGUF adapter with a Modelfile for Ollama. */
  async save(form: 'peft' | 'gguf' = 'peft'): Promise<SavedFile[]> {
    return this.client.call('tuneSave', { tuner: this.number(), form: checkForm(form) });
  }

  /** All that training goes on from, for `resume` of another `tune` with the same model, examples and options. */
  async checkpoint(): Promise<Uint8Array<ArrayBuffer>> {
    return this.client.call('tuneCheckpoint', this.number());
  }

  /** Ends training and frees what it takes on the GPU. Adapters that `adapter` gave stay. */
  async close(): Promise<void> {
    if (this.closed) return;
    await this.cancel();
    this.closed = true;
    await this.client.call('tuneClose', this.info.tuner);
  }

  private number(): number {
    if (!this.closed) return this.info.tuner;
    throw new RullamaError('closed', 'The training was closed.', { remedy: 'Begin another one, from a checkpoint if there is one.' });
  }

  private async take(): Promise<IteratorResult<TuneStep, void>> {
    while (this.gate) await this.gate.open;
    if (this.stop.signal.aborted) this.end('cancelled');
    if (this.ended) return { done: true, value: undefined };
    try {
      const result = await this.client.call('tuneStep', this.number(), { signal: this.stop.signal });
      if ('step' in result) return { done: false, value: this.took(result.step) };
      this.end(result.ended);
      this.best = result.best ?? undefined;
    } catch (thrown) {
      const error = RullamaError.from(thrown);
      if (error.code !== 'cancelled' || !this.stop.signal.aborted) throw error;
      this.end('cancelled');
    }
    return { done: true, value: undefined };
  }

  private end(why: TuneEnd): void {
    this.ended ??= why;
    this.signal?.removeEventListener('abort', this.abort);
  }

  private took(step: TuneStep): TuneStep {
    // JSON has no word for a number that is none.
    const number = (value: number | null) => value ?? NaN;
    this.last = { ...step, loss: number(step.loss), gradNorm: number(step.gradNorm) };
    ({ step: this.step, steps: this.steps } = step);
    return this.last;
  }
}
