// Files that wait for the message to be sent: a preview of each, what it takes of the context, words for it.

import { RullamaError, type Engine, type PictureTokens } from 'rullama';
import { h } from '../dom.ts';
import type { Named } from './add-menu.ts';
import { mediumView } from './figure.ts';
import { quoted, type Attachment } from './documents.ts';
import { mediumOf, type MediaRecord } from './records.ts';
import { CommonText } from '../texts/en/common.ts';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';

/** Most files of a message. */
const MOST = 16;

interface Item {
  record: Attachment;
  element: HTMLElement;
  /** Tokens that it takes; `undefined` while it is being read. */
  cost: number | undefined;
}

export class Attachments {
  readonly element = h('ul', { className: 'attachments', 'aria-label': t(MediaText.attachedToTheMessage), hidden: true });
  private items: Item[] = [];
  private reading: Promise<unknown> = Promise.resolve();
  private open = 0;
  /** Documents that are being read. */
  private coming = 0;
  readonly reads = h('p', { className: 'reads', role: 'status' });
  /** What waits in conversations that are not shown. */
  private readonly elsewhere = new Map<string, Attachment[]>();
  private id: string | undefined;

  /** `tokens` gives the soft tokens of a picture, where they were chosen; `complain` says what keeps a file out, or nothing. */
  constructor(
    private readonly engine: () => Engine | undefined,
    private readonly tokens: () => PictureTokens | undefined,
    private readonly complain: (text: string) => void,
  ) {}

  get list(): Attachment[] {
    return this.items.map(({ record }) => record);
  }

  /** Whether a message must wait: something is still being read. Where all of it can be, `send` runs then. */
  keepsWaiting(send: () => void): boolean {
    if (this.open === 0) return false;
    const wanted = this.list.length + this.coming;
    void this.reading.then(() => this.list.length === wanted && send());
    return true;
  }

  /** Adds files: pictures, sounds and videos at once, of others the text when it has been read. */
  add(files: Named[]): void {
    this.complain('');
    this.put(files.flatMap(({ blob, name }) => mediumOf(blob, name) ?? []));
    const others = files.filter(({ blob, name }) => !mediumOf(blob, name)).slice(0, MOST);
    if (others.length === 0) return;
    this.open += 1;
    this.coming += others.length;
    this.reading = Promise.all([this.reading, this.readDocuments(others)]).finally(() => (this.open -= 1));
  }

  /** One after the other, as they stand; for the conversation that they were added to. */
  private async readDocuments(files: Named[]): Promise<void> {
    const { id } = this;
    const refused: string[] = [];
    for (const { blob, name } of files) {
      this.reads.textContent = t(MediaText.readingName, { name });
      try {
        const { documentOf } = await import('./read-document.ts');
        const record = await documentOf(blob, name);
        if (this.id === id) this.put([record]);
        else this.elsewhere.set(id ?? '', [...(this.elsewhere.get(id ?? '') ?? []), record]);
      } catch (thrown) {
        refused.push(t(MediaText.nameWasNotAttached, { name, value: thrown instanceof Error ? thrown.message : String(thrown) }));
      }
      this.coming -= 1;
    }
    this.reads.textContent = '';
    if (refused.length > 0) this.complain(refused.join(' '));
  }

  put(records: Attachment[]): void {
    const free = MOST - this.items.length;
    if (records.length > free) this.complain(t(MediaText.aMessageTakesMost, { most: MOST }));
    for (const record of records.slice(0, free)) this.show(record);
    this.redraw();
  }

  /** Takes all of them out. */
  take(): Attachment[] {
    const taken = this.list;
    this.items = [];
    this.redraw();
    return taken;
  }

  /** From now on they belong to this conversation, or to the next new one. */
  switch(id: string): void {
    if (this.id === id) return;
    if (this.id !== undefined) this.elsewhere.set(this.id, this.take());
    this.id = id;
    this.put(this.elsewhere.get(id) ?? []);
    this.elsewhere.delete(id);
  }

  /** The conversation that is shown has got another name. */
  move(id: string): void {
    this.id = id;
  }

  /** Another model, or another number of tokens: what each takes is counted anew. */
  recount(): void {
    for (const item of this.items) this.read(item);
  }

  private show(record: Attachment): void {
    const label = h('span', { className: 'cost' }, t(MediaText.reading));
    const isText = record.type === 'text';
    const words = !isText && h('input', { type: 'text', dir: 'auto', value: record.words ?? '', placeholder: t(MediaText.inWordsForScreen), 'aria-label': t(MediaText.recordInWords, { record: record.name }), maxLength: 300 });
    if (words) {
      words.oninput = () => {
        if (words.value.trim() === '') delete record.words;
        else record.words = words.value.trim();
      };
      // Enter sends the message, not the field.
      words.onkeydown = (event) => event.key === 'Enter' && event.preventDefault();
    }
    const remove = h('button', { type: 'button', className: 'quiet remove', 'aria-label': t(MediaText.removeRecord, { record: record.name }) }, '×');
    const element = h('li', { className: `attachment ${record.type}` }, !isText && mediumView(record), h('div', {}, h('span', { className: 'name', dir: 'auto' }, record.name), label, words), remove);
    const item: Item = { record, element, cost: undefined };
    remove.onclick = () => {
      const next = element.nextElementSibling ?? element.previousElementSibling;
      this.drop(item);
      (next?.querySelector<HTMLElement>('.remove') ?? element.closest('form')?.querySelector('textarea'))?.focus();
    };
    this.items.push(item);
    this.read(item);
  }

  private drop(item: Item): void {
    this.items = this.items.filter((other) => other !== item);
    this.redraw();
  }

  /** Counts what an item takes; one that cannot be read, or that the model has no sense for, goes with the reason. */
  private read(item: Item): void {
    const engine = this.engine();
    const label = item.element.querySelector('.cost') as HTMLElement;
    if (!engine) return;
    this.open += 1;
    const { record } = item;
    const cost = record.type === 'text' ? engine.tokenize(quoted(record)).then(({ length }) => length) : engine.cost(record, this.tokens());
    const counting = cost.then(
      (cost) => {
        item.cost = cost;
        label.textContent = cost > engine.info.context ? t(MediaText.tokenMoreThanThe, { cost, context: engine.info.context }) : t(CommonText.token, { n: cost });
      },
      (thrown) => {
        if (!this.items.includes(item) || this.engine() !== engine) return;
        this.drop(item);
        const error = RullamaError.from(thrown);
        this.complain(record.type === 'text' ? t(MediaText.recordWasNotAttached, { record: record.name, message: error.message }) : refusal(error, record));
      },
    );
    this.reading = Promise.all([this.reading, counting]).finally(() => (this.open -= 1));
  }

  private redraw(): void {
    this.element.replaceChildren(...this.items.map(({ element }) => element));
    this.element.hidden = this.items.length === 0;
  }
}

function refusal({ code, message, remedy }: RullamaError, { type, name }: MediaRecord): string {
  if (code !== 'model-unsupported') return t(MediaText.nameWasNotAttachedMessage, { name, message, remedy });
  return type === 'audio'
    ? t(MediaText.nameWasNotAttachedThis, { name })
    : t(MediaText.nameWasNotAttachedThisModel, { name });
}
