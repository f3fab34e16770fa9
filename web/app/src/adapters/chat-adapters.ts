// The adapters of a conversation: which are attached, with what scale, and whether the model that is loaded takes them.

import type { Attached } from 'rullama';
import type { Library } from '../chats/library.ts';
import type { ChatRecord } from '../chats/records.ts';
import { h } from '../dom.ts';
import type { AdapterPool } from './pool.ts';
import type { AdapterRecord, AttachedRecord, ModelTag } from './records.ts';
import type { Shelf } from './shelf.ts';
import { AdaptersText } from '../texts/en/adapters.ts';
import { t } from '../texts/text.ts';

/** Largest factor that the page offers; the engine takes more. */
const MOST = 10;

export class ChatAdapters {
  readonly element: HTMLElement;
  private readonly chips = h('div', { className: 'attached', role: 'group', 'aria-label': t(AdaptersText.adaptersOfThisChat), hidden: true });
  private readonly training = h('p', { className: 'training-note', role: 'status' });
  private record: ChatRecord | undefined;

  /** `model` gives the one that is loaded. */
  constructor(
    private readonly library: Library,
    private readonly shelf: Shelf,
    private readonly pool: AdapterPool,
    private readonly model: () => ModelTag | undefined,
  ) {
    this.element = h('div', {}, this.training, this.chips);
    shelf.listen(() => this.draw());
  }

  /** What to know of a training that goes on. */
  say(words: string): void {
    if (this.training.textContent !== words) this.training.textContent = words;
  }

  /** Shows those of a conversation. */
  show(record: ChatRecord | undefined): void {
    this.record = record;
    this.draw();
  }

  has(id: string): boolean {
    return this.record?.adapters?.some((one) => one.id === id) ?? false;
  }

  /** Attaches an adapter to the conversation that is shown; gives why not, where it cannot be. */
  attach(adapter: AdapterRecord): string {
    const model = this.model();
    if (!this.record || !model) return t(AdaptersText.loadModelToAttach, { model: adapter.model.name, adapter: adapter.name });
    const problem = refusal(adapter, model);
    if (problem === '' && !this.has(adapter.id)) this.set([...(this.record.adapters ?? []), { id: adapter.id, scale: 1 }]);
    return problem;
  }

  /** Those that the model takes. */
  usable(): AdapterRecord[] {
    const model = this.model();
    return this.shelf.list().filter((adapter) => model && refusal(adapter, model) === '');
  }

  detach(id: string): void {
    this.set((this.record?.adapters ?? []).filter((one) => one.id !== id));
  }

  /** What the model answers a conversation with: the adapters that are here and belong to it. */
  async of({ adapters = [] }: ChatRecord): Promise<Attached[]> {
    const model = this.model();
    const usable = adapters.filter(({ id }) => {
      const adapter = this.shelf.adapters.get(id);
      return adapter && model && refusal(adapter, model) === '';
    });
    return Promise.all(usable.map(async ({ id, scale }) => ({ adapter: await this.pool.get(id), scale })));
  }

  private set(adapters: AttachedRecord[]): void {
    const { record } = this;
    if (!record) return;
    record.adapters = adapters;
    if (this.library.chats.has(record.id)) void this.library.patch(record.id, { adapters });
    this.draw();
  }

  private draw(): void {
    const attached = this.record?.adapters ?? [];
    const focus = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>('[data-adapter]')?.dataset['adapter'];
    this.chips.hidden = attached.length === 0;
    this.chips.replaceChildren(...attached.map((one) => this.chip(one)));
    if (focus && !this.chips.contains(document.activeElement)) this.chips.querySelector<HTMLElement>(`[data-adapter="${focus}"] input`)?.focus();
  }

  private chip(one: AttachedRecord): HTMLElement {
    const adapter = this.shelf.adapters.get(one.id);
    const model = this.model();
    const name = adapter?.name ?? t(AdaptersText.anAdapterThatWas);
    const problem = adapter ? (model ? refusal(adapter, model) : '') : t(AdaptersText.itIsNotApplied);
    const scale = h('input', { type: 'number', min: String(-MOST), max: String(MOST), step: '0.1', value: String(one.scale), inputMode: 'decimal', 'aria-label': t(AdaptersText.scaleOfName, { name }) });
    scale.onchange = () => {
      const value = scale.valueAsNumber;
      if (!(Math.abs(value) <= MOST)) return void (scale.value = String(one.scale));
      this.set((this.record?.adapters ?? []).map((other) => (other.id === one.id ? { ...other, scale: value } : other)));
    };
    // Enter would send the message.
    scale.onkeydown = (event) => event.key === 'Enter' && (event.preventDefault(), scale.blur());
    const detach = h('button', { type: 'button', className: 'quiet', 'aria-label': t(AdaptersText.detachName, { name }), onclick: () => this.detach(one.id) }, '×');
    return h('span', { className: problem ? 'chip off' : 'chip', 'data-adapter': one.id, title: problem },
      h('b', { dir: 'auto' }, name), problem ? h('small', {}, problem) : h('label', {}, h('span', { 'aria-hidden': 'true' }, '×'), scale), detach);
  }
}

/** Why a model does not take an adapter, by name; nothing where it does. */
export function refusal(adapter: AdapterRecord, model: ModelTag): string {
  if (adapter.model.shape === model.shape) return '';
  return t(AdaptersText.adapterBelongsToModel, { adapter: adapter.name, model: adapter.model.name, model2: model.name });
}
