// How an adapter is trained: few fields, the others folded. What is left empty suits the examples that there are.

import type { TuneOptions } from 'rullama';
import { h } from '../dom.ts';
import { CommonText } from '../texts/en/common.ts';
import { TuneText } from '../texts/en/tune.ts';
import { t } from '../texts/text.ts';

interface NumberField {
  key: keyof TuneOptions;
  label: string;
  hint: string;
  least: number;
  most: number;
  step?: number;
  /** The engine's own; those that follow the examples are set by `suggest`. */
  usual: string;
}

const MAIN: NumberField[] = [
  { key: 'epochs', label: t(TuneText.times), hint: t(TuneText.howOftenEveryExample), least: 1, most: 100_000, usual: '3' },
];
const MORE: NumberField[] = [
  { key: 'rank', label: t(TuneText.rank), hint: t(TuneText.howMuchAnAdapter), least: 1, most: 512, usual: '16' },
  { key: 'alpha', label: t(TuneText.alpha), hint: t(TuneText.itsScaleIsAlpha), least: 0.001, most: 65_536, step: 0.001, usual: t(TuneText.twiceTheRank) },
  { key: 'lr', label: t(TuneText.learningRate), hint: t(TuneText.largerIsFasterAnd), least: 1e-9, most: 1, step: 1e-9, usual: '0.0002' },
  { key: 'maxLen', label: t(TuneText.longestExample), hint: t(TuneText.tokensLongerOnesAre), least: 8, most: 131_072, usual: '1024' },
  { key: 'accumulate', label: t(TuneText.rowsAStep), hint: t(TuneText.moreAreSteadier), least: 1, most: 4096, usual: t(TuneText.byTheExamples) },
  { key: 'dropout', label: t(TuneText.dropout), hint: t(TuneText.n0To09), least: 0, most: 0.9, step: 0.01, usual: '0' },
  { key: 'weightDecay', label: t(TuneText.weightDecay), hint: t(TuneText.n0To1), least: 0, most: 1, step: 0.001, usual: '0' },
  { key: 'patience', label: t(TuneText.patience), hint: t(TuneText.evaluationsWithoutABetter), least: 1, most: 10_000, usual: t(TuneText.none) },
  { key: 'seed', label: t(CommonText.seed), hint: t(TuneText.forOrderAndFirst), least: 0, most: Number.MAX_SAFE_INTEGER, usual: '42' },
];
const CHOICES: { key: keyof TuneOptions; label: string; options: [string, string][] }[] = [
  { key: 'targets', label: t(TuneText.whatIsTrained), options: [['', t(TuneText.attentionAndFeedForward)], ['attention', t(TuneText.attention)], ['mlp', t(TuneText.feedForward)], ['all-linear', t(TuneText.allLinearLayers)]] },
  { key: 'schedule', label: t(TuneText.scheduleOfTheRate), options: [['', t(TuneText.cosine)], ['linear', t(TuneText.linear)], ['constant', t(TuneText.constant)], ['cosine_with_restarts', t(TuneText.cosineWithRestarts)]] },
  { key: 'activations', label: t(TuneText.valuesOfAStep), options: [['', t(TuneText.exactF32)], ['f16', t(TuneText.halfTheMemoryF16)]] },
  { key: 'lossOn', label: t(TuneText.lossOn), options: [['', t(TuneText.whatTheModelSays)], ['all', t(TuneText.everyToken)]] },
];
/** Shares of the examples that are kept to judge by. */
const SPLITS: [string, string][] = [['', t(TuneText.none4)], ['0.1', t(TuneText.aTenth)], ['0.2', t(TuneText.aFifth)]];

/** Few examples are seen more often, at a higher rate: [most examples, epochs, rate]. */
const SUGGESTED: [number, number, number][] = [[50, 10, 1e-3], [500, 5, 5e-4], [Infinity, 3, 2e-4]];

const GB = 1e9;
/** Fields that are no options of a training. */
const BESIDE = ['name', 'prompt', 'samples'];

export class OptionsForm {
  readonly element: HTMLFormElement;
  private suggested: Pick<TuneOptions, 'epochs' | 'lr'> = {};
  private readonly name = h('input', { type: 'text', name: 'name', id: 'adapter-name', maxLength: 80, dir: 'auto', placeholder: t(TuneText.myAdapter), autocomplete: 'off' });
  private readonly prompt = h('input', { type: 'text', name: 'prompt', id: 'sample-prompt', maxLength: 2000, dir: 'auto', placeholder: t(TuneText.aQuestionAnsweredAs), autocomplete: 'off' });

  constructor(changed: () => void) {
    const field = ({ key, label, hint, least, most, step = 1, usual }: NumberField) =>
      h('label', { className: 'field' }, h('span', {}, label),
        h('input', { type: 'number', name: key, min: String(least), max: String(most), step: step < 1 ? 'any' : '1', inputMode: 'decimal', placeholder: usual }), h('small', {}, hint));
    const choice = (name: string, label: string, options: [string, string][]) =>
      h('label', { className: 'field' }, h('span', {}, label), h('select', { name }, ...options.map(([value, text]) => h('option', { value }, text))));
    const text = (label: string, input: HTMLElement, hint: string) => h('label', { className: 'field' }, h('span', {}, label), input, h('small', {}, hint));
    const layers = h('input', { type: 'text', name: 'layers', placeholder: t(TuneText.all), pattern: '\\d+-\\d+', title: t(TuneText.firstAndLastSuch) });
    const memory = h('input', { type: 'number', name: 'memoryBudget', min: '0.01', max: '1000', step: 'any', inputMode: 'decimal', placeholder: t(TuneText.n8OnACard) });
    this.element = h('form', { className: 'tune-options', noValidate: true, onsubmit: (event: Event) => event.preventDefault() },
      h('div', { className: 'grid' },
        text(t(TuneText.nameOfTheAdapter), this.name, t(TuneText.asItWillStand)),
        ...MAIN.map(field),
        choice('split', t(TuneText.examplesToJudgeBy), SPLITS),
        text(t(TuneText.sampleQuestion), this.prompt, t(TuneText.itsAnswerIsShown))),
      h('details', { className: 'advanced' }, h('summary', {}, t(TuneText.moreSettings)),
        h('div', { className: 'grid' }, ...MORE.map(field), ...CHOICES.map(({ key, label, options }) => choice(key, label, options)),
          choice('samples', t(TuneText.sampleAnswers), [['', t(TuneText.asTrainingGoesOn)], ['none', t(TuneText.none4)]]),
          text(t(TuneText.layers), layers, t(TuneText.firstAndLastSuchAs)), text(t(TuneText.gPUMemoryGB), memory, t(TuneText.whatTrainingKeepsTo)))));
    this.element.addEventListener('input', (event) => event.target !== this.name && event.target !== this.prompt && changed());
  }

  get adapterName(): string {
    return this.name.value.trim() || t(TuneText.myAdapter);
  }

  get samplePrompt(): string {
    return (this.element.elements.namedItem('samples') as HTMLSelectElement).value === 'none' ? '' : this.prompt.value.trim() || (this.prompt.dataset['own'] ?? '');
  }

  /** What the fields that are left empty stand for, by the number of examples. */
  suggest(examples: number, question: string): void {
    const [, epochs, lr] = SUGGESTED.find(([most]) => examples <= most) as [number, number, number];
    this.suggested = { epochs, lr };
    this.input('epochs').placeholder = String(epochs);
    this.input('lr').placeholder = String(lr);
    this.prompt.dataset['own'] = question;
    this.prompt.placeholder = question || t(TuneText.aQuestionAnsweredAs);
  }

  /** Puts a value into a field, as if it had been written. */
  set(key: keyof TuneOptions, value: number): void {
    this.input(key).value = String(value);
    if (MORE.some((field) => field.key === key)) this.element.querySelector('details')?.setAttribute('open', '');
  }

  /** What is written; nothing where a field is out of range, which is then shown. */
  options(show = true): TuneOptions | undefined {
    const wrong = [...this.element.elements].find((one) => one instanceof HTMLInputElement && !one.validity.valid) as HTMLInputElement | undefined;
    if (wrong) {
      if (!show) return undefined;
      wrong.closest('details')?.setAttribute('open', '');
      wrong.reportValidity();
      return undefined;
    }
    const options: Record<string, unknown> = { ...this.suggested };
    for (const [key, value] of new FormData(this.element)) {
      const text = String(value).trim();
      if (text === '' || BESIDE.includes(key)) continue;
      if (key === 'memoryBudget') options[key] = Math.round(Number(text) * GB);
      else options[key] = key === 'layers' || CHOICES.some((choice) => choice.key === key) ? text : Number(text);
    }
    return options as TuneOptions;
  }

  private input(key: string): HTMLInputElement {
    return this.element.elements.namedItem(key) as HTMLInputElement;
  }
}
