// The rest of a model's file, as the page follows it.

import type { Client } from './client.ts';
import type { Downloaded, DownloadProgress, Rest, RestState } from './download-types.ts';
import { RullamaError } from './errors.ts';

export class Following implements Rest {
  readonly done: Promise<Downloaded>;
  private state: RestState;
  private readonly watchers = new Set<(state: RestState) => void>();
  private turn: AbortController | undefined;
  private resolve!: (whole: Downloaded) => void;
  private reject!: (error: RullamaError) => void;

  constructor(
    private readonly client: Client,
    progress: DownloadProgress,
  ) {
    this.state = { progress };
    this.done = new Promise((resolve, reject) => ([this.resolve, this.reject] = [resolve, reject]));
    // Who does not wait for it is told by `lost`, or has closed it.
    this.done.catch(() => undefined);
    void client.lost.then(this.reject);
    this.resume();
  }

  watch(told: (state: RestState) => void): () => void {
    this.watchers.add(told);
    told(this.state);
    return () => this.watchers.delete(told);
  }

  pause(): void {
    this.turn?.abort();
  }

  resume(): void {
    if (this.state.whole || (this.turn && !this.turn.signal.aborted)) return;
    const turn = (this.turn = new AbortController());
    const onEvent = (progress: DownloadProgress) => this.turn === turn && this.tell({ progress });
    void this.client.call('finish', null, { signal: turn.signal, onEvent }).then(
      (whole) => {
        if (!whole) return;
        this.tell({ progress: this.state.progress, whole });
        this.resolve(whole);
      },
      (thrown: unknown) => this.ended(turn, RullamaError.from(thrown)),
    );
  }

  private ended(turn: AbortController, error: RullamaError): void {
    // A pause that was taken back before it was over.
    if (this.turn !== turn) return;
    this.turn = undefined;
    if (error.code === 'closed' || error.code === 'source-changed') return this.reject(error);
    const progress: DownloadProgress = { ...this.state.progress, state: 'paused' };
    this.tell({ progress, ...(error.code !== 'cancelled' && { error }) });
  }

  private tell(state: RestState): void {
    this.state = state;
    for (const told of this.watchers) told(state);
  }
}
