// What is being written and not sent yet: kept as it is written, for each conversation and for the next new one.

import type { Library } from './chats/library.ts';

/** Milliseconds without a key after which a draft is kept. */
const REST_MS = 400;

export class Drafts {
  private id: string | undefined;
  private kept = '';
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `text` gives what stands in the field. */
  constructor(
    private readonly library: Library,
    private readonly text: () => string,
  ) {
    const flush = () => void this.flush();
    document.addEventListener('visibilitychange', flush);
    window.addEventListener('pagehide', flush);
  }

  /** From now on the field belongs to this conversation, or to the next new one; `show` gets what was written there before. */
  async open(id: string, show: (text: string) => void): Promise<void> {
    clearTimeout(this.timer);
    this.id = id;
    this.kept = '';
    show('');
    const text = await this.library.draft(id);
    // Whoever has begun to write goes on with that.
    if (this.id !== id || text === '' || this.text() !== '') return;
    this.kept = text;
    show(text);
  }

  /** The conversation that is shown has got another name. */
  move(id: string): void {
    if (this.id === id) return;
    void this.library.saveDraft({ id: this.id ?? '', text: '' });
    this.id = id;
    this.kept = '';
    this.changed();
  }

  /** The field has changed. */
  changed(): void {
    clearTimeout(this.timer);
    if (this.text() === '') void this.flush();
    else this.timer = setTimeout(() => void this.flush(), REST_MS);
  }

  async flush(): Promise<void> {
    clearTimeout(this.timer);
    const text = this.text();
    if (this.id === undefined || text === this.kept) return;
    this.kept = text;
    await this.library.saveDraft({ id: this.id, text });
  }
}
