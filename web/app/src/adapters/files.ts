// What a person does with files of adapters: drop, choose, download, delete.

import { RullamaError } from 'rullama';
import { UNDO_MS } from '../chats/library.ts';
import { h } from '../dom.ts';
import { bytes } from '../format.ts';
import type { Base } from '../fine-tune/frame.ts';
import type { Entry } from '../menu.ts';
import { toast } from '../toast.ts';
import type { AdapterPool } from './pool.ts';
import type { AdapterRecord } from './records.ts';
import type { Shelf } from './shelf.ts';
import type { Form } from './take.ts';

const files = () => import('./take.ts');

const SHORT_MS = 8000;
const LONG_MS = 30_000;

export interface Whole {
  base(): Base | undefined;
  /** Says that a model must be loaded first. */
  needsModel(words: string): void;
  /** An adapter was read and kept. */
  taken(adapter: AdapterRecord): void;
}

export class AdapterFiles {
  private readonly field = h('input', { type: 'file', id: 'adapter-file', hidden: true, multiple: true });

  constructor(
    private readonly shelf: Shelf,
    private readonly pool: AdapterPool,
    private readonly page: Whole,
  ) {
    this.field.onchange = async () => {
      const given = [...(this.field.files ?? [])];
      this.field.value = '';
      if (given.length > 0 && !(await this.take(given))) {
        toast(`“${given[0]?.name}” is no adapter. Choose a GGUF adapter, or PEFT's adapter_config.json and adapter_model.safetensors together.`, { ms: LONG_MS });
      }
    };
    document.body.append(this.field);
  }

  choose(): void {
    this.field.click();
  }

  /** Reads an adapter among files, and keeps it; gives whether there was one. */
  async take(given: File[]): Promise<boolean> {
    try {
      const { adapterIn, take } = await files();
      const found = await adapterIn(given);
      if (!found) return false;
      const base = this.page.base();
      if (!base) {
        this.page.needsModel(`“${found.name}” is an adapter: load the model that it belongs to, then drop it again.`);
        return true;
      }
      const { record, stored } = await take(base.engine, base.model.name, this.shelf, this.pool, found);
      this.page.taken(record);
      const where = stored ? 'kept in this browser' : 'not kept, since the browser has no room: it lasts until this tab is closed';
      toast(`The adapter “${record.name}” is read, ${bytes(record.bytes)}, and ${where}.`, { ms: SHORT_MS });
    } catch (thrown) {
      this.failed(thrown);
    }
    return true;
  }

  entries(adapter: AdapterRecord): Entry[] {
    return [
      { label: 'Download PEFT', run: () => void this.download(adapter, 'peft') },
      { label: 'Download GGUF and Modelfile', run: () => void this.download(adapter, 'gguf') },
      { label: 'Download both', run: () => void this.download(adapter, 'both') },
    ];
  }

  async download(adapter: AdapterRecord, form: Form): Promise<void> {
    // The name may be another one by now.
    const record = this.shelf.adapters.get(adapter.id) ?? adapter;
    const saved = files().then(({ download }) => download(record, form, this.shelf, this.page.base()?.engine));
    await saved.catch((thrown: unknown) => this.failed(thrown));
  }

  remove(adapter: AdapterRecord): void {
    const { id, name } = adapter;
    void this.shelf.delete(id);
    toast(`The adapter “${name}” is deleted.`, { ms: UNDO_MS, action: { label: 'Undo', run: () => void this.shelf.restore(id) }, end: () => void this.shelf.forget(id) });
  }

  private failed(thrown: unknown): void {
    const { message, remedy, code } = RullamaError.from(thrown);
    const words = code === 'internal' || message.endsWith(remedy) ? message : `${message} ${remedy}`;
    toast(words, { ms: LONG_MS });
  }
}
