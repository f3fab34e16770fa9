// The page with an embedding model: notes are pasted, and searched by what they mean.

import { RullamaError, type Engine } from 'rullama';
import { h } from '../dom.ts';
import { count } from '../format.ts';
import { MOST, NoteIndex, notesOf, type Found } from './search.ts';

const STORE = 'rullama.notes';
/** Characters of all notes: what a browser keeps for a page is a few times as much. */
const LONGEST = 1_000_000;
/** Notes that are shown of those found. */
const SHOWN = 10;

export class Notes {
  private readonly text = h('textarea', { id: 'notes-text', rows: 10, dir: 'auto', maxLength: LONGEST, 'aria-describedby': 'notes-hint', spellcheck: false });
  private readonly query = h('input', { type: 'search', id: 'notes-query', dir: 'auto', maxLength: 2000, placeholder: 'What are you looking for?', 'aria-label': 'What are you looking for?' });
  private readonly button = h('button', { type: 'submit', className: 'primary' }, 'Search');
  private readonly status = h('p', { role: 'status', className: 'notes-status' });
  private readonly bar = h('progress', { 'aria-label': 'Reading the notes', hidden: true });
  private readonly found = h('ol', { className: 'found', 'aria-label': 'What was found' });
  private index: NoteIndex | undefined;
  private running: AbortController | undefined;

  constructor(root: HTMLElement) {
    const form = h('form', { className: 'notes-search', role: 'search' }, this.query, this.button);
    form.onsubmit = (event) => {
      event.preventDefault();
      if (this.running) this.running.abort();
      else void this.search();
    };
    this.text.value = kept();
    this.text.onchange = () => this.keep();
    window.addEventListener('pagehide', () => this.keep());
    root.replaceChildren(
      h('h1', { id: 'notes-title' }, 'Search your notes'),
      h('p', { id: 'notes-hint', className: 'hint' }, 'This model does not write: it compares what texts mean. Paste notes, an empty line between two of them, or one in each line. They stay in this browser.'),
      h('label', { for: 'notes-text' }, 'Notes'),
      this.text,
      form,
      this.bar,
      this.status,
      this.found,
    );
  }

  use(engine: Engine): void {
    this.index = new NoteIndex(engine);
    this.found.replaceChildren();
    this.status.textContent = '';
    (this.text.value === '' ? this.text : this.query).focus();
  }

  /** Puts the text of a file behind the notes. */
  async take(file: File): Promise<void> {
    const room = LONGEST - this.text.value.length - 2;
    // A character takes a byte at least.
    const text = file.size <= 4 * room ? await file.text() : undefined;
    if (text?.includes('\0')) this.status.textContent = `“${file.name}” is no text.`;
    else if (text === undefined || text.length > room) this.status.textContent = `“${file.name}” is too long: notes have ${LONGEST.toLocaleString('en')} characters in all.`;
    else {
      this.text.value = [this.text.value.trimEnd(), text.trim()].filter((part) => part !== '').join('\n\n');
      this.status.textContent = `“${file.name}” was added.`;
      this.keep();
    }
  }

  stop(): void {
    this.running?.abort();
    this.keep();
  }

  private keep(): void {
    try {
      localStorage.setItem(STORE, this.text.value);
    } catch {
      this.status.textContent = 'This browser keeps no more: the notes will be gone with the page.';
    }
  }

  private async search(): Promise<void> {
    const { index } = this;
    const [notes, query] = [notesOf(this.text.value), this.query.value.trim()];
    const missing = notes.length === 0 ? 'Paste some notes first.' : query === '' ? 'Write what you are looking for.' : undefined;
    if (!index || missing !== undefined) return void (this.status.textContent = missing ?? '');
    if (notes.length > MOST) return void (this.status.textContent = `These are ${notes.length.toLocaleString('en')} notes: ${MOST.toLocaleString('en')} can be searched at a time. Leave some out.`);
    const running = (this.running = new AbortController());
    this.button.textContent = 'Stop';
    this.keep();
    try {
      await index.read(notes, (done) => this.reading(done, notes.length), running.signal);
      this.show(await index.search(query, running.signal), index.cutOf(notes));
    } catch (thrown) {
      const { code, message, remedy } = RullamaError.from(thrown);
      this.status.textContent = code === 'cancelled' ? 'Stopped. What was read is kept for the next search.' : `${message} ${remedy}`;
    } finally {
      this.running = undefined;
      this.button.textContent = 'Search';
      this.bar.hidden = true;
    }
  }

  private reading(done: number, total: number): void {
    Object.assign(this.bar, { hidden: false, max: total, value: done });
    this.status.textContent = `Reading ${done.toLocaleString('en')} of ${count(total, 'note', 'notes')}`;
  }

  private show(all: Found[], cut: number): void {
    const best = all.slice(0, SHOWN);
    this.found.replaceChildren(...best.map(({ note, score }) => {
      const near = score.toFixed(2);
      return h('li', {}, h('p', { dir: 'auto' }, note), h('meter', { min: 0, max: 1, value: score, title: `${near} of 1`, 'aria-label': `Nearness ${near} of 1` }));
    }));
    const long = cut > 0 ? ` Of ${count(cut, 'note', 'notes')} only the beginning was read: the model reads no more at once.` : '';
    this.status.textContent = `${count(all.length, 'note', 'notes')}, the nearest first.${all.length > SHOWN ? ` ${SHOWN} are shown.` : ''}${long}`;
  }
}

function kept(): string {
  try {
    return localStorage.getItem(STORE) ?? '';
  } catch {
    return '';
  }
}
