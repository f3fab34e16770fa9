// How an adapter is trained: few fields, the others folded. What is left empty suits the examples that there are.

import type { TuneOptions } from 'rullama';
import { h } from '../dom.ts';

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
  { key: 'epochs', label: 'Times', hint: 'how often every example is seen', least: 1, most: 100_000, usual: '3' },
];
const MORE: NumberField[] = [
  { key: 'rank', label: 'Rank', hint: 'how much an adapter can hold', least: 1, most: 512, usual: '16' },
  { key: 'alpha', label: 'Alpha', hint: 'its scale is alpha / rank', least: 0.001, most: 65_536, step: 0.001, usual: 'twice the rank' },
  { key: 'lr', label: 'Learning rate', hint: 'larger is faster and less steady', least: 1e-9, most: 1, step: 1e-9, usual: '0.0002' },
  { key: 'maxLen', label: 'Longest example', hint: 'tokens; longer ones are cut', least: 8, most: 131_072, usual: '1024' },
  { key: 'accumulate', label: 'Rows a step', hint: 'more are steadier', least: 1, most: 4096, usual: 'by the examples' },
  { key: 'dropout', label: 'Dropout', hint: '0 to 0.9', least: 0, most: 0.9, step: 0.01, usual: '0' },
  { key: 'weightDecay', label: 'Weight decay', hint: '0 to 1', least: 0, most: 1, step: 0.001, usual: '0' },
  { key: 'patience', label: 'Patience', hint: 'evaluations without a better loss before it ends', least: 1, most: 10_000, usual: 'none' },
  { key: 'seed', label: 'Seed', hint: 'for order and first values', least: 0, most: Number.MAX_SAFE_INTEGER, usual: '42' },
];
const CHOICES: { key: keyof TuneOptions; label: string; options: [string, string][] }[] = [
  { key: 'targets', label: 'What is trained', options: [['', 'Attention and feed-forward'], ['attention', 'Attention'], ['mlp', 'Feed-forward'], ['all-linear', 'All linear layers']] },
  { key: 'schedule', label: 'Schedule of the rate', options: [['', 'Cosine'], ['linear', 'Linear'], ['constant', 'Constant'], ['cosine_with_restarts', 'Cosine with restarts']] },
  { key: 'lossOn', label: 'Loss on', options: [['', 'What the model says'], ['all', 'Every token']] },
];
/** Shares of the examples that are kept to judge by. */
const SPLITS: [string, string][] = [['', 'None'], ['0.1', 'A tenth'], ['0.2', 'A fifth']];

/** Few examples are seen more often, at a higher rate: [most examples, epochs, rate]. */
const SUGGESTED: [number, number, number][] = [[50, 10, 1e-3], [500, 5, 5e-4], [Infinity, 3, 2e-4]];

const GB = 1e9;
/** Fields that are no options of a training. */
const BESIDE = ['name', 'prompt', 'samples'];

export class OptionsForm {
  readonly element: HTMLFormElement;
  private suggested: Pick<TuneOptions, 'epochs' | 'lr'> = {};
  private readonly name = h('input', { type: 'text', name: 'name', id: 'adapter-name', maxLength: 80, dir: 'auto', placeholder: 'my adapter', autocomplete: 'off' });
  private readonly prompt = h('input', { type: 'text', name: 'prompt', id: 'sample-prompt', maxLength: 2000, dir: 'auto', placeholder: 'A question, answered as training goes on', autocomplete: 'off' });

  constructor(changed: () => void) {
    const field = ({ key, label, hint, least, most, step = 1, usual }: NumberField) =>
      h('label', { className: 'field' }, h('span', {}, label),
        h('input', { type: 'number', name: key, min: String(least), max: String(most), step: step < 1 ? 'any' : '1', inputMode: 'decimal', placeholder: usual }), h('small', {}, hint));
    const choice = (name: string, label: string, options: [string, string][]) =>
      h('label', { className: 'field' }, h('span', {}, label), h('select', { name }, ...options.map(([value, text]) => h('option', { value }, text))));
    const text = (label: string, input: HTMLElement, hint: string) => h('label', { className: 'field' }, h('span', {}, label), input, h('small', {}, hint));
    const layers = h('input', { type: 'text', name: 'layers', placeholder: 'all', pattern: '\\d+-\\d+', title: 'First and last, such as 20-34' });
    const memory = h('input', { type: 'number', name: 'memoryBudget', min: '0.01', max: '1000', step: 'any', inputMode: 'decimal', placeholder: '8 on a card of its own, else 4' });
    this.element = h('form', { className: 'tune-options', noValidate: true, onsubmit: (event: Event) => event.preventDefault() },
      h('div', { className: 'grid' },
        text('Name of the adapter', this.name, 'as it will stand in your library'),
        ...MAIN.map(field),
        choice('split', 'Examples to judge by', SPLITS),
        text('Sample question', this.prompt, 'its answer is shown as it improves')),
      h('details', { className: 'advanced' }, h('summary', {}, 'More settings'),
        h('div', { className: 'grid' }, ...MORE.map(field), ...CHOICES.map(({ key, label, options }) => choice(key, label, options)),
          choice('samples', 'Sample answers', [['', 'As training goes on'], ['none', 'None']]),
          text('Layers', layers, 'first and last, such as 20-34'), text('GPU memory, GB', memory, 'what training keeps to'))));
    this.element.addEventListener('input', (event) => event.target !== this.name && event.target !== this.prompt && changed());
  }

  get adapterName(): string {
    return this.name.value.trim() || 'my adapter';
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
    this.prompt.placeholder = question || 'A question, answered as training goes on';
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
