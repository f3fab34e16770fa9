// Training and adapters without a model: a loss that halves every step, and adapters that are numbers.

import { RullamaError } from '../src/errors.ts';
import type { AttachedRef, FileRef } from '../src/protocol.ts';
import type { DataReport, SavedFile, TuneOptions, TuneStep } from '../src/types.ts';

interface Training {
  steps: number;
  step: number;
  lr: number;
}

export class FakeTuning {
  private readonly adapters = new Set<number>();
  private readonly trainings = new Map<number, Training>();
  private next = 0;

  async open(files: FileRef[]): Promise<string> {
    const text = await (files[0] as FileRef).blob.text();
    const { name } = files[0] as FileRef;
    if (text.includes('damaged')) throw new RullamaError('adapter', `${name}: the safetensors header is not right.`);
    return this.register(name, text.length);
  }

  unload(adapter: number): void {
    this.adapters.delete(adapter);
  }

  /** The sum of the scales of a list of adapters. */
  added(list: string): number {
    const all = JSON.parse(list) as AttachedRef[];
    const missing = all.find(({ adapter }) => !this.adapters.has(adapter));
    if (missing) throw new RullamaError('invalid-argument', `Adapter ${missing.adapter} was unloaded.`);
    return all.reduce((sum, { scale }) => sum + scale, 0);
  }

  async tune(examples: Blob, evaluated: Blob | undefined, options: string, resume: Uint8Array | undefined): Promise<string> {
    const { epochs = 3, lr = 2e-4 } = JSON.parse(options) as TuneOptions;
    const train = await report(examples);
    const step = resume ? (resume[0] as number) : 0;
    const steps = epochs * train.examples;
    this.trainings.set(this.next, { steps, step, lr });
    const both = { train, eval: evaluated ? await report(evaluated) : null };
    return JSON.stringify({ tuner: this.next++, report: both, step, steps, checkpointBytes: 1 });
  }

  step(tuner: number): string {
    const training = this.training(tuner);
    if (training.step >= training.steps) return JSON.stringify({ ended: 'done', best: null });
    const step = ++training.step;
    const { steps, lr } = training;
    // The gradient of every third step is not finite, for which JSON has no word.
    const gradNorm = step % 3 === 0 ? NaN : 1;
    const told: TuneStep = { step, steps, epoch: step / steps, loss: 2 ** -step, lr, gradNorm, tokens: 8, tokS: 80, elapsedS: step };
    return JSON.stringify({ step: told });
  }

  checkpoint(tuner: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.of(this.training(tuner).step);
  }

  adapter(tuner: number): string {
    return this.register(`trained for ${this.training(tuner).step} steps`, 8);
  }

  save(tuner: number, form: string): SavedFile[] {
    const names = form === 'gguf' ? ['adapter.gguf', 'Modelfile'] : ['adapter_model.safetensors', 'adapter_config.json'];
    return names.map((name) => ({ name, bytes: Uint8Array.of(this.training(tuner).step) }));
  }

  close(tuner: number): void {
    this.trainings.delete(tuner);
  }

  async preview(examples: Blob, most: number): Promise<string> {
    const lines = (await linesOf(examples)).slice(0, most);
    const shown = lines.map((text, i) => ({ line: i + 1, tokens: text.length, passages: [{ text, trained: true }] }));
    return JSON.stringify({ report: await report(examples), examples: shown });
  }

  private register(name: string, bytes: number): string {
    this.adapters.add(this.next);
    return JSON.stringify({ adapter: this.next++, name, bytes, rank: 16, alpha: 32, base: null, leftOut: [] });
  }

  private training(tuner: number): Training {
    const training = this.trainings.get(tuner);
    if (!training) throw new RullamaError('invalid-argument', `Training ${tuner} is closed or busy.`);
    return training;
  }
}

const linesOf = async (examples: Blob): Promise<string[]> => (await examples.text()).split('\n').filter((line) => line.trim() !== '');

/** A line is an example where it is an object. */
async function report(examples: Blob): Promise<DataReport> {
  const lines = await linesOf(examples);
  const bad = lines.flatMap((text, i) => (text.startsWith('{') ? [] : [i + 1]));
  const good = lines.length - bad.length;
  if (good === 0) throw new RullamaError('invalid-argument', `none of ${lines.length} lines is an example. Line 1: not valid JSON.`);
  return {
    examples: good,
    tokens: 8 * good,
    targets: 4 * good,
    counts: { ok: good, truncated: 0, dropped: 0, skipped: 0, error: bad.length },
    lines: bad.map((line) => ({ first: line, last: line, status: 'error' as const, reason: 'not valid JSON' })),
  };
}
