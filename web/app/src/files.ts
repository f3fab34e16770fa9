// Conversations as files: what is saved, what is read. How they are written is loaded when it is first needed.

import type { Library } from './chats/library.ts';
import type { ChatRecord } from './chats/records.ts';
import { h } from './dom.ts';
import type { Entry } from './menu.ts';
import { takeShared } from './route.ts';
import { saveFile } from './save.ts';
import { toast } from './toast.ts';
import { CommonText } from './texts/en/common.ts';
import { FilesText } from './texts/en/files.ts';
import { t } from './texts/text.ts';

const SHORT_MS = 8000;
const LONG_MS = 30_000;

const exchange = () => import('./chats/exchange.ts');

export class Files {
  private readonly field = h('input', { type: 'file', id: 'import-file', hidden: true, accept: '.json,application/json', multiple: true });

  constructor(private readonly library: Library) {
    this.field.onchange = async () => {
      const files = [...(this.field.files ?? [])];
      this.field.value = '';
      for (const file of files) await this.importFile(file);
    };
    document.body.append(this.field);
  }

  /** Entries of a conversation's menu. */
  of(chat: ChatRecord): Entry[] {
    return [
      { label: t(FilesText.shareByLink), run: () => void this.guarded(async () => (await import('./chats/share.ts')).share(chat, await this.library.messages(chat.id))) },
      { label: t(FilesText.exportAsMarkdown), run: () => void this.guarded(() => this.markdown(chat)) },
      { label: t(FilesText.exportAsJSON), run: () => void this.guarded(() => this.json([chat], fileName(chat.title))) },
    ];
  }

  /** Entries of the menu for all conversations. */
  all(): Entry[] {
    return [
      { label: t(FilesText.import), run: () => this.field.click() },
      { label: t(CommonText.exportAll), run: () => void this.exportAll() },
    ];
  }

  async exportAll(): Promise<void> {
    const day = new Date().toISOString().slice(0, 10);
    await this.guarded(() => this.json(this.library.list(), `rullama-chats-${day}`, true));
  }

  /** Whether a dropped file may hold conversations: JSON begins with a bracket. Where it could be for the model, its fields must say so. */
  async isExport(file: File, other: boolean): Promise<boolean> {
    const start = await file.slice(0, 1 << 16).text().catch(() => '');
    return /^\ufeff?\s*[[{]/.test(start) && (!other || /"rullama-chats"|"(mapping|current_node|chat|history)"\s*:/.test(start));
  }

  /** Takes a conversation that the page's address holds; `open` shows it where it is kept. */
  takeLink(open: (id: string) => void): void {
    const data = takeShared();
    if (data === undefined) return;
    void this.guarded(async () => {
      await this.library.ready;
      const id = await (await import('./chats/share.ts')).receive(data, this.library);
      if (id !== undefined) open(id);
    });
  }

  async importFile(file: File): Promise<void> {
    await this.guarded(async () => {
      await this.library.ready;
      const { readChats } = await exchange();
      const { chats, presets, known, leftOut } = await readChats(file, this.library);
      await this.library.addAll(chats, presets);
      const parts = [chats.length > 0 || known === 0 ? t(FilesText.conversationImported, { chats: chats.length }) : t(FilesText.nothingImported)];
      if (presets.length > 0) parts.push(t(FilesText.presetImported, { presets: presets.length }));
      if (known > 0) parts.push(t(FilesText.conversationWasHereAlready, { known }));
      for (const [what, times] of leftOut) parts.push(t(FilesText.whatLeftOutTimes, { what, times }));
      const undo = async () => {
        for (const { chat } of chats) await this.library.discard(chat.id);
        for (const { id } of presets) await this.library.removePreset(id);
      };
      toast(`${parts.join('; ')}.`, { ms: SHORT_MS, ...(chats.length > 0 && { action: { label: t(CommonText.undo), run: () => void undo() } }) });
      if (chats.length > 0) void this.library.askToPersist();
    });
  }

  private async markdown(chat: ChatRecord): Promise<void> {
    const { toMarkdown } = await exchange();
    save(`${fileName(chat.title)}.md`, toMarkdown(chat, await this.library.messages(chat.id)), 'text/markdown');
  }

  private async json(chats: ChatRecord[], name: string, presets = false): Promise<void> {
    const { toJson, written } = await exchange();
    const all = await Promise.all(chats.map(async (chat) => ({ chat, messages: await this.library.messages(chat.id) })));
    save(`${name}.json`, toJson(await written(all), presets ? this.library.presets : []), 'application/json');
  }

  private async guarded(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (thrown) {
      toast(thrown instanceof Error ? thrown.message : String(thrown), { ms: LONG_MS });
    }
  }
}

const save = (name: string, text: string, type: string) => saveFile(name, new Blob([text], { type }));

/** A title as the name of a file. */
function fileName(title: string): string {
  const name = title.replace(/[^\p{L}\p{N} _-]+/gu, ' ').replace(/\s+/gu, ' ').trim();
  return [...name].slice(0, 60).join('') || 'chat';
}
