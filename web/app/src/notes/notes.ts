// The page with an embedding model: notes are pasted, and searched by what they mean.

import { RullamaError, type Engine } from 'rullama';
import { h } from '../dom.ts';
import { MOST, NoteIndex, notesOf, type Found } from './search.ts';
import { CommonText } from '../texts/en/common.ts';
import { NotesText } from '../texts/en/notes.ts';
import { fixed, t } from '../texts/text.ts';

const STORE = 'rullama.notes';
/** Characters of all notes: what a browser keeps for a page is a few times as much. */
const LONGEST = 1_000_000;
/** Notes that are shown of those found. */
const SHOWN = 10;

export class Notes {
  private readonly text = h('textarea', { id: 'notes-text', rows: 10, dir: 'auto', maxLength: LONGEST, 'aria-describedby': 'notes-hint', spellcheck: false });
  private readonly query = h('input', { type: 'search', id: 'notes-query', dir: 'auto', maxLength: 2000, placeholder: t(NotesText.whatAreYouLooking), 'aria-label': t(NotesText.whatAreYouLooking) });
  private readonly button = h('button', { type: 'submit', className: 'primary' }, t(CommonText.search));
  private readonly status = h('p', { role: 'status', className: 'notes-status' });
  private readonly bar = h('progress', { 'aria-label': t(NotesText.readingTheNotes), hidden: true });
  private readonly found = h('ol', { className: 'found', 'aria-label': t(NotesText.whatWasFound) });
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
      h('h1', { id: 'notes-title' }, t(NotesText.searchYourNotes)),
      h('p', { id: 'notes-hint', className: 'hint' }, t(NotesText.thisModelDoesNot)),
      h('label', { for: 'notes-text' }, t(NotesText.notes)),
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
    if (text?.includes('\0')) this.status.textContent = t(NotesText.fileIsNoText, { file: file.name });
    else if (text === undefined || text.length > room) this.status.textContent = t(NotesText.fileIsTooLong, { file: file.name, longest: LONGEST });
    else {
      this.text.value = [this.text.value.trimEnd(), text.trim()].filter((part) => part !== '').join('\n\n');
      this.status.textContent = t(NotesText.fileWasAdded, { file: file.name });
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
      this.status.textContent = t(NotesText.thisBrowserKeepsNo);
    }
  }

  private async search(): Promise<void> {
    const { index } = this;
    const [notes, query] = [notesOf(this.text.value), this.query.value.trim()];
    const missing = notes.length === 0 ? t(NotesText.pasteSomeNotesFirst) : query === '' ? t(NotesText.writeWhatYouAre) : undefined;
    if (!index || missing !== undefined) return void (this.status.textContent = missing ?? '');
    if (notes.length > MOST) return void (this.status.textContent = t(NotesText.theseAreNotesNotes, { notes: notes.length, most: MOST }));
    const running = (this.running = new AbortController());
    this.button.textContent = t(CommonText.stop);
    this.keep();
    try {
      await index.read(notes, (done) => this.reading(done, notes.length), running.signal);
      this.show(await index.search(query, running.signal), index.cutOf(notes));
    } catch (thrown) {
      const { code, message, remedy } = RullamaError.from(thrown);
      this.status.textContent = code === 'cancelled' ? t(NotesText.stoppedWhatWasRead) : `${message} ${remedy}`;
    } finally {
      this.running = undefined;
      this.button.textContent = t(CommonText.search);
      this.bar.hidden = true;
    }
  }

  private reading(done: number, total: number): void {
    Object.assign(this.bar, { hidden: false, max: total, value: done });
    this.status.textContent = t(NotesText.readingDoneOfNote, { done, total });
  }

  private show(all: Found[], cut: number): void {
    const best = all.slice(0, SHOWN);
    this.found.replaceChildren(...best.map(({ note, score }) => {
      const near = fixed(score, 2);
      return h('li', {}, h('p', { dir: 'auto' }, note), h('meter', { min: 0, max: 1, value: score, title: t(NotesText.nearOf1, { near }), 'aria-label': t(NotesText.nearnessNearOf1, { near }) }));
    }));
    const long = cut > 0 ? t(NotesText.ofNoteOnlyThe, { cut }) : '';
    this.status.textContent = [t(NotesText.noteTheNearestFirst, { all: all.length }), all.length > SHOWN ? t(NotesText.shownAreShown, { shown: SHOWN }) : '', long].filter((text) => text !== '').join(' ');
  }
}

function kept(): string {
  try {
    return localStorage.getItem(STORE) ?? '';
  } catch {
    return '';
  }
}
