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
import { AdaptersText } from '../texts/en/adapters.ts';
import { CommonText } from '../texts/en/common.ts';
import { t } from '../texts/text.ts';

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
        toast(t(AdaptersText.givenIsNoAdapter, { given: given[0]?.name ?? '' }), { ms: LONG_MS });
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
        this.page.needsModel(t(AdaptersText.foundIsAnAdapter, { found: found.name }));
        return true;
      }
      const { record, stored } = await take(base.engine, base.model.name, this.shelf, this.pool, found);
      this.page.taken(record);
      const { name, bytes: size } = record;
      toast(stored ? t(AdaptersText.theAdapterNameIs, { name, size: bytes(size) }) : t(AdaptersText.theAdapterNameIsRead, { name, size: bytes(size) }), { ms: SHORT_MS });
    } catch (thrown) {
      this.failed(thrown);
    }
    return true;
  }

  entries(adapter: AdapterRecord): Entry[] {
    return [
      { label: t(CommonText.downloadPEFT), run: () => void this.download(adapter, 'peft') },
      { label: t(AdaptersText.downloadGGUFAndModelfile), run: () => void this.download(adapter, 'gguf') },
      { label: t(AdaptersText.downloadBoth), run: () => void this.download(adapter, 'both') },
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
    toast(t(AdaptersText.theAdapterNameIsDeleted, { name }), { ms: UNDO_MS, action: { label: t(CommonText.undo), run: () => void this.shelf.restore(id) }, end: () => void this.shelf.forget(id) });
  }

  private failed(thrown: unknown): void {
    const { message, remedy, code } = RullamaError.from(thrown);
    const words = code === 'internal' || message.endsWith(remedy) ? message : `${message} ${remedy}`;
    toast(words, { ms: LONG_MS });
  }
}
