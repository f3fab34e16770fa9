// Words on their way into a text field, where the caret stands. What is heard of them changes until they are settled.

/** Scripts that put no spaces between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/u;
const OPENS = /[\s([{“„«‹"'‘/-]$/u;
const CLOSES = /^[\s.,;:!?…)\]}”»›"'’/،؛؟-]/u;

export class Words {
  /** Where the words that may still change stand; nothing between two of them. */
  private place: { start: number; text: string } | undefined;
  /** The whole field as it was left. */
  private seen = '';
  /** Whether a person has changed these words: they stay as that person wants them. */
  private taken = false;

  constructor(private readonly field: HTMLTextAreaElement) {}

  /** Puts what is heard in place of what was heard before. */
  show(heard: string): void {
    const { field } = this;
    this.follow();
    if (this.taken) return;
    if (!this.place) {
      if (heard.trim() === '') return;
      const { selectionStart: start, selectionEnd } = field;
      this.place = { start, text: field.value.slice(start, selectionEnd) };
    }
    const { start, text: before } = this.place;
    const { text, words } = spaced(heard.trim(), field.value.slice(0, start), field.value.slice(start + before.length));
    replace(field, start, before, text, words);
    this.place = { start, text };
    this.seen = field.value;
  }

  /** They stay; the next ones stand where the caret is then. */
  settle(): void {
    this.place = undefined;
    this.taken = false;
  }

  /** Finds the words again where a person has written meanwhile. */
  private follow(): void {
    const { place, seen, field: { value } } = this;
    if (!place || value === seen) return;
    let same = 0;
    while (same < value.length && value[same] === seen[same]) same += 1;
    const most = Math.min(value.length, seen.length) - same;
    let tail = 0;
    while (tail < most && value.at(-1 - tail) === seen.at(-1 - tail)) tail += 1;
    if (seen.length - tail <= place.start) place.start += value.length - seen.length;
    else if (same < place.start + place.text.length) this.taken = true;
  }
}

/** Words with the spaces that they need between what stands before and behind them; `words` is how far the words reach. */
function spaced(heard: string, before: string, behind: string): { text: string; words: number } {
  const joins = (left: string, right: string) => left === '' || right === '' || UNSPACED.test(left) || UNSPACED.test(right);
  const [first = '', last = ''] = [[...heard][0], [...heard].at(-1)];
  const lead = joins([...before.slice(-2)].at(-1) ?? '', first) || OPENS.test(before) || CLOSES.test(heard) ? '' : ' ';
  const trail = joins(last, behind.slice(0, 2)) || CLOSES.test(behind) ? '' : ' ';
  return { text: lead + heard + trail, words: lead.length + heard.length };
}

/** Replaces a part of the field by as little as differs, so that the browser's undo goes back through it; the caret follows. */
function replace(field: HTMLTextAreaElement, start: number, before: string, text: string, words: number): void {
  const { selectionStart, selectionEnd } = field;
  const end = start + before.length;
  const within = selectionStart >= start && selectionEnd <= end;
  if (before !== text) {
    let same = 0;
    while (same < text.length && text[same] === before[same]) same += 1;
    // No half of a character.
    if (/[\uD800-\uDBFF]/.test(text[same - 1] ?? '')) same -= 1;
    write(field, start + same, end, text.slice(same));
  }
  const moved = (at: number) => (at >= end ? at + text.length - before.length : Math.min(at, start + text.length));
  if (within) field.setSelectionRange(start + words, start + words);
  else field.setSelectionRange(moved(selectionStart), moved(selectionEnd));
  if (within && start + text.length === field.value.length) field.scrollTop = field.scrollHeight;
}

function write(field: HTMLTextAreaElement, from: number, to: number, text: string): void {
  field.setSelectionRange(from, to);
  // The only way that browsers undo; it works where the focus is, which on a phone would open the keyboard.
  if (document.activeElement === field && document.execCommand(text === '' ? 'delete' : 'insertText', false, text)) return;
  field.setRangeText(text, from, to, 'end');
  field.dispatchEvent(new Event('input', { bubbles: true }));
}
