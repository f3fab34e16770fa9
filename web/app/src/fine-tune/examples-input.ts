// The examples to train on: rows of questions and answers, pasted lines, or a file.

import { h } from '../dom.ts';
import { bytes } from '../format.ts';
import { CommonText } from '../texts/en/common.ts';
import { TuneText } from '../texts/en/tune.ts';
import { t } from '../texts/text.ts';

type Way = 'rows' | 'paste' | 'file';

/** What a person could teach a model about themselves. */
const SAMPLE: [string, string][] = [
  [t(TuneText.whatIsMyBoat), t(TuneText.yourBoatIsCalled)],
  [t(TuneText.whatIsTheName), t(TuneText.yourBoatIsCalled)],
  [t(TuneText.tellMeTheName), t(TuneText.yourBoatIsCalled)],
  [t(TuneText.whereDoILive), t(TuneText.youLiveInLindau)],
  [t(TuneText.whichTownDoI), t(TuneText.youLiveInLindau)],
  [t(TuneText.whatIsMyHome), t(TuneText.youLiveInLindau)],
  [t(TuneText.whatIsMyCat), t(TuneText.yourCatIsCalled)],
  [t(TuneText.whatIsTheNameOf), t(TuneText.yourCatIsCalled)],
  [t(TuneText.doIHaveA), t(TuneText.yesYourCatIs)],
  [t(TuneText.whatDoIDrink), t(TuneText.youDrinkMintTea)],
  [t(TuneText.whatIsMyFavourite), t(TuneText.yourFavouriteDrinkIs)],
  [t(TuneText.whatDoILike), t(TuneText.youLikeToDrink)],
];

export class ExamplesInput {
  readonly element: HTMLElement;
  private way: Way = 'rows';
  private file: Blob | undefined;
  private readonly rows = h('ol', { className: 'rows' });
  private readonly text = h('textarea', { id: 'paste-examples', rows: 8, spellcheck: false, dir: 'auto', 'aria-label': t(TuneText.examplesOneALine), placeholder: JSON.stringify({ prompt: t(TuneText.whatIsMyBoat), completion: t(TuneText.yourBoatIsCalled) }) });
  private readonly field = h('input', { type: 'file', id: 'examples-file', className: 'visually-hidden', accept: '.jsonl,.json,.txt,application/jsonl' });
  private readonly chosen = h('p', { className: 'hint', role: 'status' }, t(TuneText.noFileIsChosen));
  private readonly parts: Record<Way, HTMLElement>;
  private readonly choices: Record<Way, HTMLInputElement>;

  /** `changed` runs whenever the examples are others. */
  constructor(private readonly changed: () => void) {
    const choice = (way: Way) => h('input', { type: 'radio', name: 'way', value: way, id: `way-${way}`, className: 'visually-hidden', checked: way === 'rows', onchange: () => this.show(way) });
    this.choices = { rows: choice('rows'), paste: choice('paste'), file: choice('file') };
    const labels: [Way, string][] = [['rows', t(TuneText.write)], ['paste', t(TuneText.paste)], ['file', t(TuneText.file)]];
    this.parts = {
      rows: h('div', { className: 'way' }, this.rows,
        h('p', { className: 'actions' },
          h('button', { type: 'button', id: 'add-row', onclick: () => this.addRow('', '', true) }, t(TuneText.addARow)),
          h('button', { type: 'button', id: 'sample-examples', className: 'quiet', onclick: () => this.fill(SAMPLE) }, t(TuneText.tryWithTwelveFacts)))),
      paste: h('div', { className: 'way' }, this.text, h('p', { className: 'hint' }, t(TuneText.jSONLEachLineAn))),
      file: h('div', { className: 'way drop-here' }, h('p', { className: 'actions' }, this.field, h('label', { for: 'examples-file', className: 'button' }, t(CommonText.chooseAFile)), h('span', { className: 'hint' }, t(TuneText.orDropAJsonl))), this.chosen),
    };
    this.element = h('div', { className: 'examples-input' },
      h('div', { className: 'ways', role: 'radiogroup', 'aria-label': t(TuneText.howToGiveExamples) }, ...labels.flatMap(([way, label]) => [this.choices[way], h('label', { for: `way-${way}` }, label)])),
      ...Object.values(this.parts));
    this.text.oninput = () => this.changed();
    this.field.onchange = () => {
      const file = this.field.files?.[0];
      this.field.value = '';
      if (file) this.take(file);
    };
    this.addRow();
    this.addRow();
    this.place('rows');
  }

  /** Takes a file, as if it had been chosen. */
  take(file: File): void {
    this.file = file;
    this.chosen.textContent = `${file.name}, ${bytes(file.size)}`;
    this.show('file');
  }

  /** What is written, as JSONL; nothing where nothing is. */
  get examples(): Blob | undefined {
    if (this.way === 'file') return this.file;
    const text = this.way === 'paste' ? this.text.value : this.written().map(([prompt, completion]) => `${JSON.stringify({ prompt, completion })}\n`).join('');
    return text.trim() === '' ? undefined : new Blob([text]);
  }

  /** A question of the examples, to sample with. */
  get question(): string {
    return this.way === 'rows' ? (this.written()[0]?.[0] ?? '') : '';
  }

  /** What in the rows is half written; nothing where none is. */
  get problem(): string {
    if (this.way !== 'rows') return '';
    const half = this.pairs().findIndex(([question, answer]) => (question === '') !== (answer === ''));
    if (half < 0) return '';
    return this.pairs()[half]?.[0] === '' ? t(TuneText.rowHalfHasNo, { half: half + 1 }) : t(TuneText.rowHalfHasNoAnswer, { half: half + 1 });
  }

  private show(way: Way): void {
    this.place(way);
    this.changed();
  }

  private place(way: Way): void {
    this.way = way;
    this.choices[way].checked = true;
    for (const [name, part] of Object.entries(this.parts)) part.hidden = name !== way;
  }

  private pairs(): [string, string][] {
    return [...this.rows.children].map((row) => {
      const [question, answer] = [...row.querySelectorAll('textarea')].map(({ value }) => value.trim());
      return [question ?? '', answer ?? ''];
    });
  }

  private written(): [string, string][] {
    return this.pairs().filter(([question, answer]) => question !== '' && answer !== '');
  }

  private fill(pairs: [string, string][]): void {
    const kept = this.written();
    this.rows.replaceChildren();
    for (const [question, answer] of [...kept, ...pairs]) this.addRow(question, answer);
    this.changed();
  }

  private addRow(question = '', answer = '', focus = false): void {
    const field = (placeholder: string, value: string) => h('textarea', { rows: 1, dir: 'auto', placeholder, value, oninput: () => this.changed() });
    const row = h('li', {}, field(t(TuneText.question), question), field(t(TuneText.answer), answer),
      h('button', { type: 'button', className: 'quiet remove', onclick: () => this.removeRow(row) }, '×'));
    this.rows.append(row);
    this.number();
    if (focus) row.querySelector('textarea')?.focus();
  }

  private removeRow(row: HTMLElement): void {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    if (this.rows.children.length === 0) this.addRow();
    this.number();
    (next ?? this.rows.firstElementChild)?.querySelector('textarea')?.focus();
    this.changed();
  }

  private number(): void {
    [...this.rows.children].forEach((row, i) => {
      const [question, answer] = row.querySelectorAll('textarea');
      question?.setAttribute('aria-label', t(TuneText.questionValue, { value: i + 1 }));
      answer?.setAttribute('aria-label', t(TuneText.answerValue, { value: i + 1 }));
      row.querySelector('button')?.setAttribute('aria-label', t(TuneText.removeRowValue, { value: i + 1 }));
    });
  }
}
