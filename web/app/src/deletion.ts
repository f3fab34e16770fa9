// Conversations that are deleted, and for a moment come back where a person wants that.

import { UNDO_MS, type Library } from './chats/library.ts';
import type { ChatRecord } from './chats/records.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';
import { toast } from './toast.ts';

export class Deletion {
  /** Those whose deletion can still be undone. */
  private deleted: ChatRecord[] = [];

  /** `open` gives the one that is shown, `show` shows one. */
  constructor(
    private readonly library: Library,
    private readonly open: () => string | undefined,
    private readonly show: (id: string) => void,
  ) {}

  async delete(record: ChatRecord): Promise<void> {
    const open = this.open() === record.id;
    await this.library.delete(record.id);
    const these = (this.deleted = [...this.deleted, record]);
    const undo = async () => {
      this.deleted = [];
      for (const { id } of these) await this.library.restore(id);
      if (open) this.show(record.id);
    };
    const end = () => {
      // The next deletion has taken these over.
      if (this.deleted !== these) return;
      this.deleted = [];
      for (const { id } of these) void this.library.forget(id);
    };
    const text = these.length === 1 ? t(ChatText.titleIsDeleted, { title: record.title }) : t(ChatText.conversationIsDeleted, { these: these.length });
    toast(text, { ms: UNDO_MS, action: { label: t(CommonText.undo), run: () => void undo() }, end });
  }
}
