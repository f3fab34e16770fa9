// An answer while it is written: its text so far is kept all the time, and other tabs can tell that someone is at it.

import type { ChatEvent, Summary } from 'rullama';
import type { Library } from './library.ts';
import type { MessageRecord } from './records.ts';

/** Milliseconds between two states that are kept. */
const EVERY_MS = 500;

/** The lock that whoever writes a message holds. */
const lockOf = (id: string) => `rullama.writing.${id}`;

export class Writing {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private last: Promise<void> = Promise.resolve();
  private keptAt = Date.now();
  private thoughtAt: number | undefined;
  private release: () => void = () => undefined;
  private ended = false;
  private readonly flush = () => void this.keep();

  /** Begins to write `record`; its text may go on from what is there. */
  constructor(
    private readonly library: Library,
    readonly record: MessageRecord,
  ) {
    record.state = 'writing';
    void navigator.locks?.request(lockOf(record.id), () => new Promise<void>((resolve) => {
      if (this.ended) resolve();
      else this.release = resolve;
    })).catch(() => undefined);
    document.addEventListener('visibilitychange', this.flush);
    window.addEventListener('pagehide', this.flush);
  }

  add(event: Exclude<ChatEvent, { type: 'done' }>): void {
    const { record } = this;
    if (event.type === 'thinking') {
      this.thoughtAt ??= Date.now();
      record.thinking = (record.thinking ?? '') + event.text;
    } else {
      if (this.thoughtAt !== undefined) record.thinkingMs = (record.thinkingMs ?? 0) + Date.now() - this.thoughtAt;
      this.thoughtAt = undefined;
      if (event.type === 'content') record.content += event.text;
      else if (event.type === 'toolCall') record.toolCalls = [...(record.toolCalls ?? []), event.call];
      else record.unreadable = [...(record.unreadable ?? []), event.text];
    }
    // Timers of a hidden page may wait for minutes.
    if (Date.now() - this.keptAt >= EVERY_MS) this.keep();
    else this.timer ??= setTimeout(this.flush, EVERY_MS);
  }

  /** Ends the answer, which is kept as it is; without a summary it was cut. */
  async end(summary: Summary | undefined): Promise<void> {
    const { record } = this;
    this.stop();
    record.ended = Date.now();
    record.state = summary ? 'done' : 'cut';
    if (summary) {
      const { prefillS, decodeS, firstTokenS, decodeTokS, prefilledTokens } = summary.timings;
      record.finish = summary.finish;
      record.stats = { tokens: summary.ids.length, promptTokens: summary.promptTokens, prefillS, decodeS, firstTokenS, decodeTokS, reused: Math.max(0, summary.promptTokens - prefilledTokens) };
    } else delete record.finish;
    await this.library.putMessage(record);
    this.release();
  }

  /** Ends without keeping anything more. */
  async discard(): Promise<void> {
    this.stop();
    await this.last;
    this.release();
  }

  private stop(): void {
    this.ended = true;
    clearTimeout(this.timer);
    document.removeEventListener('visibilitychange', this.flush);
    window.removeEventListener('pagehide', this.flush);
  }

  private keep(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.keptAt = Date.now();
    if (!this.ended) this.last = this.library.putMessage(this.record).catch(() => undefined);
  }
}

/** Marks an answer as cut as soon as nobody writes it, which may be at once. */
export async function watch(library: Library, message: MessageRecord): Promise<void> {
  const cut = async () => {
    const now = (await library.messages(message.chat)).find(({ id }) => id === message.id);
    if (now?.state === 'writing') await library.patchMessage(now, { state: 'cut' });
  };
  if (navigator.locks) await navigator.locks.request(lockOf(message.id), cut);
  else await cut();
}
