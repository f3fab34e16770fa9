// Examples as the model reads them: what is trained is marked, what is left out or cut is named by its line.

import type { DataReport, TunePreview } from 'rullama';
import { h } from '../dom.ts';
import { count } from '../format.ts';

/** Examples that are shown at once, and lines that are named. */
const SHOWN = 3;
const LINES = 50;

const STATUS = { truncated: 'cut', dropped: 'left out', skipped: 'skipped', error: 'not read' };

export function previewView({ report, examples }: TunePreview): HTMLElement {
  const shown = examples.map(({ line, tokens, passages }, i) =>
    h('li', { hidden: i >= SHOWN }, h('p', { className: 'hint' }, `Line ${line}, ${count(tokens, 'token', 'tokens')}`),
      h('p', { className: 'passages', dir: 'auto' }, ...passages.map(({ text, trained }) => (trained ? h('mark', {}, text) : h('span', {}, text))))));
  const more = h('button', { type: 'button', className: 'quiet', onclick: () => {
    for (const item of shown) item.hidden = false;
    (more.previousElementSibling as HTMLElement | null)?.focus();
    more.remove();
  } }, `Show ${examples.length - SHOWN} more`);
  return h('div', { className: 'preview' },
    h('p', {}, `${count(report.examples, 'example', 'examples')}, ${count(report.tokens, 'token', 'tokens')}, of which ${report.targets.toLocaleString('en')} are trained: `, h('mark', {}, 'marked so'), '.'),
    linesView(report),
    h('ol', { className: 'shown', tabIndex: -1, 'aria-label': 'Examples as the model reads them' }, ...shown),
    examples.length > SHOWN && more,
    report.examples > examples.length && h('small', {}, `These are the first ${examples.length} of ${report.examples.toLocaleString('en')}; the others are read in the same way.`));
}

/** Lines that did not become whole examples. */
export function linesView({ lines }: DataReport): HTMLElement | undefined {
  if (lines.length === 0) return undefined;
  const where = ({ first, last }: DataReport['lines'][number]) => (first === last ? `Line ${first}` : `Lines ${first} to ${last}`);
  const total = lines.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return h('details', { className: 'lines', open: lines.length <= 5 },
    h('summary', {}, `${count(total, 'line is', 'lines are')} cut or left out`),
    h('ul', {}, ...lines.slice(0, LINES).map((line) => h('li', {}, `${where(line)}: ${STATUS[line.status]}, ${line.reason}`)),
      lines.length > LINES && h('li', {}, `and ${(lines.length - LINES).toLocaleString('en')} more`)));
}
