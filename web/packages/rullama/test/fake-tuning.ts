// Training and adapters without a model: a loss that halves every step, and adapters that are numbers.
//
// A learning rate of 1 diverges at the third step; examples that say "lose" lose the device after 40, unless they go on from a
// checkpoint. Files that say "damaged" or "another model" are no adapters of this one. A token is a character.

import { RullamaError } from '../src/errors.ts';
import type { AttachedRef, FileRef } from '../src/protocol.ts';
import type { DataReport, LineReport, SavedFile, TuneEstimate, TuneOptions, TuneStep } from '../src/types.ts';

interface Training {
  name: string | undefined;
  steps: number;
  step: number;
  lr: number;
  /** Steps between evaluations, where there are any. */
  evalEvery: number | undefined;
  loses: boolean;
}

/** Steps before the device is lost. */
const LOSES_AT = 40;
const BYTES_PER_TOKEN = 1 << 20;
const BUDGET = 1 << 30;

export class FakeTuning {
  private readonly adapters = new Set<number>();
  private readonly trainings = new Map<number, Training>();
  private next = 0;

  async open(files: FileRef[]): Promise<string> {
    const text = await checked(files);
    return this.register((files[0] as FileRef).name, text.length);
  }

  async convert(files: FileRef[], form: string, name = 'adapter'): Promise<SavedFile[]> {
    return filesOf(form, `${await checked(files)} as ${name}`);
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

  async estimate(examples: Blob, evaluated: Blob | undefined, options: string): Promise<string> {
    const given = JSON.parse(options) as TuneOptions;
    const train = await report(examples, given.maxLen);
    if (evaluated) await report(evaluated, given.maxLen);
    const tokens = Math.min(given.maxLen ?? 1024, 64 * Math.ceil(train.tokens / train.examples / 64));
    const [weights, trained] = [30 << 20, (given.rank ?? 16) << 16];
    const activations = tokens * BYTES_PER_TOKEN;
    const budget = given.memoryBudget ?? BUDGET;
    const fits = weights + trained + activations <= budget;
    const steps = (given.epochs ?? 3) * train.examples;
    const estimate: TuneEstimate = { tokens, weights, trained, activations, budget, fits, steps, checkpointBytes: trained };
    return JSON.stringify(estimate);
  }

  async tune(examples: Blob, evaluated: Blob | undefined, options: string, resume: Uint8Array | undefined): Promise<string> {
    const { epochs = 3, lr = 2e-4, split = 0, name, maxLen } = JSON.parse(options) as TuneOptions;
    const { fits, budget } = JSON.parse(await this.estimate(examples, evaluated, options)) as TuneEstimate;
    if (!fits) throw new RullamaError('out-of-memory', `A step takes more than the budget, which is ${budget}.`, { remedy: 'Give a smaller maxLen or rank.' });
    const train = await report(examples, maxLen);
    if (resume && resume.length !== 2) throw new RullamaError('invalid-argument', '`resume` is damaged.', { remedy: 'Take an earlier one, or start anew.' });
    const step = resume ? (resume[0] as number) : 0;
    const steps = epochs * train.examples;
    const evalEvery = evaluated || split > 0 ? train.examples : undefined;
    const loses = !resume && (await examples.text()).includes('lose');
    this.trainings.set(this.next, { name, steps, step, lr, evalEvery, loses });
    const both = { train, eval: evaluated ? await report(evaluated) : null };
    return JSON.stringify({ tuner: this.next++, report: both, step, steps, checkpointBytes: 2 });
  }

  /** Whether the device is lost in the next step. */
  losesNow(tuner: number): boolean {
    const { loses, step } = this.training(tuner);
    return loses && step === LOSES_AT;
  }

  step(tuner: number): string {
    const training = this.training(tuner);
    const { steps, lr, evalEvery } = training;
    if (lr >= 1 && training.step >= 3) return JSON.stringify({ ended: 'diverged', best: 2 });
    if (training.step >= steps) return JSON.stringify({ ended: 'done', best: evalEvery ? steps : null });
    const step = ++training.step;
    // The gradient of every third step is not finite, for which JSON has no word.
    const gradNorm = step % 3 === 0 ? NaN : 1;
    const told: TuneStep = { step, steps, epoch: step / steps, loss: 2 ** -step, lr, gradNorm, tokens: 8, tokS: 80, elapsedS: step };
    if (evalEvery && step % evalEvery === 0) told.evalLoss = 1.5 * 2 ** -step;
    return JSON.stringify({ step: told });
  }

  finish(tuner: number): number | undefined {
    const { step, evalEvery } = this.training(tuner);
    return evalEvery && step >= evalEvery ? step - (step % evalEvery) : undefined;
  }

  checkpoint(tuner: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.of(this.training(tuner).step, 0);
  }

  adapter(tuner: number): string {
    return this.register(`trained for ${this.training(tuner).step} steps`, 8);
  }

  save(tuner: number, form: string): SavedFile[] {
    const { name = 'adapter', step } = this.training(tuner);
    return filesOf(form, `${name} after ${step} steps`);
  }

  close(tuner: number): void {
    this.trainings.delete(tuner);
  }

  async preview(examples: Blob, { maxLen }: TuneOptions, most: number): Promise<string> {
    const lines = (await linesOf(examples)).filter(isExample).slice(0, most);
    const shown = lines.map((text, i) => ({ line: i + 1, tokens: text.length, passages: passagesOf(text) }));
    return JSON.stringify({ report: await report(examples, maxLen), examples: shown });
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

function filesOf(form: string, text: string): SavedFile[] {
  const names = form === 'gguf' ? ['adapter.gguf', 'Modelfile'] : ['adapter_model.safetensors', 'adapter_config.json'];
  return names.map((name) => ({ name, bytes: new TextEncoder().encode(text) }));
}

/** The text of the first file. */
async function checked(files: FileRef[]): Promise<string> {
  const texts = await Promise.all(files.map(({ blob }) => blob.text()));
  const text = texts.join('\n');
  const { name } = files[0] as FileRef;
  if (text.includes('damaged')) throw new RullamaError('adapter', `${name}: the safetensors header is not right.`);
  if (text.includes('another model')) throw new RullamaError('adapter', `${name}: layer 9 is not in this model. It was trained on another model.`);
  return texts[0] as string;
}

/** What the model says of an example with a prompt is trained; of others all. */
function passagesOf(text: string): { text: string; trained: boolean }[] {
  const { prompt, completion } = JSON.parse(text) as Record<string, unknown>;
  if (typeof prompt !== 'string' || typeof completion !== 'string') return [{ text, trained: true }];
  return [{ text: `<|turn>user\n${prompt}<turn|>\n<|turn>model\n`, trained: false }, { text: `${completion}<turn|>`, trained: true }];
}

const linesOf = async (examples: Blob): Promise<string[]> => (await examples.text()).split('\n').filter((line) => line.trim() !== '');
const isExample = (line: string) => line.startsWith('{');

/** A line is an example where it is an object; it is cut at `most` tokens. */
async function report(examples: Blob, most = Infinity): Promise<DataReport> {
  const lines = await linesOf(examples);
  const bad = lines.flatMap((text, i) => (isExample(text) ? [] : [i + 1]));
  const long = lines.flatMap((text, i) => (isExample(text) && text.length > most ? [i + 1] : []));
  const good = lines.length - bad.length;
  if (good === 0) throw new RullamaError('invalid-argument', `none of ${lines.length} lines is an example. Line 1: not valid JSON.`);
  const told = (line: number, status: LineReport['status'], reason: string): LineReport => ({ first: line, last: line, status, reason });
  return {
    examples: good,
    tokens: lines.filter(isExample).reduce((sum, line) => sum + Math.min(most, line.length), 0),
    targets: 4 * good,
    counts: { ok: good - long.length, truncated: long.length, dropped: 0, skipped: 0, error: bad.length },
    lines: [...bad.map((line) => told(line, 'error', 'not valid JSON')), ...long.map((line) => told(line, 'truncated', `longer than ${most} tokens`))],
  };
}
