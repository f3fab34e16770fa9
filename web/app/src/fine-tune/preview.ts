// Examples as the model reads them: what is trained is marked, what is left out or cut is named by its line.

import type { DataReport, TunePreview } from 'rullama';
import { h } from '../dom.ts';
import { TuneText } from '../texts/en/tune.ts';
import { parts, t } from '../texts/text.ts';

/** Examples that are shown at once, and lines that are named. */
const SHOWN = 3;
const LINES = 50;

const STATUS = { truncated: t(TuneText.cut), dropped: t(TuneText.leftOut), skipped: t(TuneText.skipped), error: t(TuneText.notRead) };

export function previewView({ report, examples }: TunePreview): HTMLElement {
  const shown = examples.map(({ line, tokens, passages }, i) =>
    h('li', { hidden: i >= SHOWN }, h('p', { className: 'hint' }, t(TuneText.lineLineToken, { line, tokens })),
      h('p', { className: 'passages', dir: 'auto' }, ...passages.map(({ text, trained }) => (trained ? h('mark', {}, text) : h('span', {}, text))))));
  const more = h('button', { type: 'button', className: 'quiet', onclick: () => {
    for (const item of shown) item.hidden = false;
    (more.previousElementSibling as HTMLElement | null)?.focus();
    more.remove();
  } }, t(TuneText.showExamplesMore, { examples: examples.length - SHOWN }));
  return h('div', { className: 'preview' },
    h('p', {}, ...parts(TuneText.exampleTokenOfWhich, { examples: report.examples, tokens: report.tokens, targets: report.targets, mark: h('mark', {}, t(TuneText.markedSo)) })),
    linesView(report),
    h('ol', { className: 'shown', tabIndex: -1, 'aria-label': t(TuneText.examplesAsTheModel) }, ...shown),
    examples.length > SHOWN && more,
    report.examples > examples.length && h('small', {}, t(TuneText.theseAreTheFirst, { examples: examples.length, examples2: report.examples })));
}

/** Lines that did not become whole examples. */
export function linesView({ lines }: DataReport): HTMLElement | undefined {
  if (lines.length === 0) return undefined;
  const where = ({ first, last }: DataReport['lines'][number]) => (first === last ? t(TuneText.lineFirst, { first }) : t(TuneText.linesFirstToLast, { first, last }));
  const total = lines.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return h('details', { className: 'lines', open: lines.length <= 5 },
    h('summary', {}, t(TuneText.lineIsCutOr, { total })),
    h('ul', {}, ...lines.slice(0, LINES).map((line) => h('li', {}, `${where(line)}: ${STATUS[line.status]}, ${line.reason}`)),
      lines.length > LINES && h('li', {}, t(TuneText.andLinesMore, { lines: lines.length - LINES }))));
}
