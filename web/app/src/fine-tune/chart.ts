// The chart of a training, loaded with its first step: the loss of each step, its course and the evaluation on the left scale, the rate on
// the right one.

import type { TuneStep } from 'rullama';
import uPlot from 'uplot';
import css from 'uplot/dist/uPlot.min.css';
import { oncePerFrame } from '../dom.ts';
import { smoothed, spanOf } from './smooth.ts';
import { TuneText } from '../texts/en/tune.ts';
import { significant, t } from '../texts/text.ts';

const HEIGHT = 280;
const FONT = '12px';
/** Places of series whose lines are not plain. */
const [LOSS, RATE] = [1, 3];

let sheet: CSSStyleSheet | undefined;

function style(): void {
  if (sheet) return;
  sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  document.adoptedStyleSheets.push(sheet);
}

export class Chart {
  private plot: uPlot | undefined;
  private history: readonly TuneStep[] = [];
  private steps = 1;
  private judged = false;
  private readonly drawing = oncePerFrame(() => this.draw());
  private readonly resized = new ResizeObserver(() => this.resize());
  private readonly dark = matchMedia('(prefers-color-scheme: dark)');
  private readonly again = () => this.rebuild();

  constructor(private readonly root: HTMLElement) {
    style();
    this.resized.observe(root);
    this.dark.addEventListener('change', this.again);
  }

  /** `steps` are those of the whole training. */
  show(history: readonly TuneStep[], steps: number): void {
    this.history = history;
    this.steps = steps;
    this.drawing.request();
  }

  remove(): void {
    this.resized.disconnect();
    this.dark.removeEventListener('change', this.again);
    this.plot?.destroy();
    this.plot = undefined;
  }

  private draw(): void {
    if (this.root.clientWidth === 0) return;
    const judged = this.history.some(({ evalLoss }) => evalLoss !== undefined);
    if (judged !== this.judged) this.rebuild();
    this.judged = judged;
    this.plot ??= this.build();
    this.plot.setData(this.data());
    this.last(this.plot);
  }

  /** The legend has the last step's values where none is pointed at. */
  private last(plot: uPlot): void {
    if (typeof plot.cursor.idx !== 'number' && this.history.length > 0) plot.setLegend({ idx: this.history.length - 1 }, false);
  }

  private data(): uPlot.AlignedData {
    const { history } = this;
    // A loss that is no number is a gap.
    const finite = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? value : null);
    const losses = history.map(({ loss }) => finite(loss));
    return [
      history.map(({ step }) => step),
      losses,
      smoothed(losses, spanOf(this.steps)),
      history.map(({ lr }) => finite(lr)),
      ...(this.judged ? [history.map(({ evalLoss }) => finite(evalLoss))] : []),
    ];
  }

  private build(): uPlot {
    const colour = (name: string) => getComputedStyle(this.root).getPropertyValue(name).trim();
    const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 } };
    const number = (_: uPlot, value: number | null) => (value === null || value === undefined ? '–' : significant(value, 3));
    const named = (label: string) => ({ label, labelSize: 18, labelGap: 0, labelFont: `${FONT} sans-serif` });
    const whole = (_: uPlot, values: number[]) => values.map((value) => (Number.isInteger(value) ? String(value) : ''));
    return new uPlot({
      width: this.root.clientWidth,
      height: HEIGHT,
      scales: { x: { time: false, range: () => [0, Math.max(this.steps, 1)] }, rate: { range: (_, _least, most) => [0, most > 0 ? most * 1.1 : 1] } },
      axes: [
        { ...axis, ...named(t(TuneText.step)), size: 34, values: whole },
        { ...axis, ...named(t(TuneText.loss)), size: 48 },
        { ...axis, ...named(t(TuneText.learningRate)), scale: 'rate', side: 1, size: 55, grid: { show: false }, values: (_, values) => values.map((value) => (value === 0 ? '0' : value.toExponential(0))) },
      ],
      // Samples of the lines.
      legend: { markers: { width: (_, at) => (at === LOSS ? 1 : 2), dash: (_, at) => (at === RATE ? 'dashed' : 'solid') } },
      hooks: { setLegend: [(plot) => this.last(plot)] },
      series: [
        { label: t(TuneText.step), value: (_, value) => (value === null ? '–' : String(value)) },
        { label: t(TuneText.loss), stroke: colour('--accent'), alpha: 0.4, width: 1, value: number },
        { label: t(TuneText.smoothed), stroke: colour('--accent'), width: 2, points: { show: false }, value: number },
        { label: t(TuneText.learningRate), scale: 'rate', stroke: colour('--soft'), width: 1, dash: [4, 4], points: { show: false }, value: (_, value) => (value === null ? '–' : value.toExponential(1)) },
        ...(this.judged ? [{ label: t(TuneText.evaluation), stroke: colour('--warn'), width: 2, spanGaps: true, points: { show: true, size: 6 }, value: number }] : []),
      ],
    }, this.data(), this.root);
  }

  private rebuild(): void {
    this.plot?.destroy();
    this.plot = undefined;
    this.drawing.request();
  }

  private resize(): void {
    const { clientWidth } = this.root;
    if (clientWidth > 0 && this.plot && this.plot.width !== clientWidth) this.plot.setSize({ width: clientWidth, height: HEIGHT });
    else if (!this.plot && this.history.length > 0) this.drawing.request();
  }
}
