// What a download tells, a few times a second.

import type { DownloadNotice, DownloadProgress, DownloadState } from '../download-types.ts';
import { Speed } from './speed.ts';

const EVERY = 250;

export class Reporter {
  private state: DownloadState = 'asking';
  private reason: string | undefined;
  private readonly speed = new Speed();
  private told = -Infinity;
  private readonly timer: ReturnType<typeof setInterval>;
  done = 0;
  total: number | undefined;
  first: number | undefined;
  notice: DownloadNotice | undefined;

  constructor(
    private readonly url: string,
    private readonly emit: (progress: DownloadProgress) => void,
  ) {
    // A speed that falls to nothing is told, too.
    this.timer = setInterval(() => this.state !== 'elsewhere' && this.state !== 'paused' && this.send(), 1000);
  }

  /** Something else happens from now on. */
  is(state: DownloadState, reason?: string): void {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.send();
  }

  /** So many bytes are there. */
  at(done: number): void {
    this.done = done;
    if (this.state !== 'downloading' && this.state !== 'checking' && this.state !== 'elsewhere') this.is('downloading');
    if (performance.now() - this.told >= EVERY) this.send();
  }

  /** What another tab told of the same file. */
  follow(progress: DownloadProgress): void {
    this.emit({ ...progress, state: 'elsewhere' });
  }

  send(): void {
    this.told = performance.now();
    this.speed.add(this.done, this.told);
    const { url, state, done, total, first, notice, reason } = this;
    const rate = state === 'downloading' ? this.speed.rate() : undefined;
    const left = rate && total !== undefined ? { secondsLeft: (total - done) / rate } : {};
    this.emit({
      url,
      state,
      done,
      ...(total !== undefined && { total }),
      ...(first !== undefined && { first }),
      ...(rate !== undefined && { bytesPerSecond: rate, ...left }),
      ...(notice && { notice }),
      ...(reason !== undefined && { reason }),
    });
  }

  end(): void {
    clearInterval(this.timer);
  }
}
