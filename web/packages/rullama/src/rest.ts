// The rest of a model's file, as the page follows it.

import type { Client } from './client.ts';
import type { Downloaded, DownloadProgress, Rest, RestState } from './download-types.ts';
import { RullamaError } from './errors.ts';

/** Lets the rest come, from `progress` on. */
export function following(client: Client, progress: DownloadProgress): Rest {
  let state: RestState = { progress };
  let turn: AbortController | undefined;
  let [resolve, reject]: [(whole: Downloaded) => void, (error: RullamaError) => void] = [() => {}, () => {}];
  const done = new Promise<Downloaded>((...both) => ([resolve, reject] = both));
  const watchers = new Set<(state: RestState) => void>();
  const tell = (now: RestState) => {
    state = now;
    for (const told of watchers) told(state);
  };
  const resume = () => {
    if (turn?.signal.aborted === false) return;
    const mine = (turn = new AbortController());
    const onEvent = (progress: DownloadProgress) => mine === turn && tell({ progress });
    const failed = (thrown: unknown) => {
      const error = RullamaError.from(thrown);
      const { code } = error;
      // What ends the model is told by `lost`.
      if (code === 'closed') return reject(error);
      // A pause that was taken back before it was over.
      if (mine !== turn) return;
      turn = undefined;
      tell({ progress: { ...state.progress, state: 'paused' }, ...(code !== 'cancelled' && { error }) });
    };
    void client.call('finish', null, { signal: mine.signal, onEvent }).then((whole) => whole && resolve(whole), failed);
  };
  // Who does not wait for it is told by `lost`, or has closed it.
  done.catch(() => {});
  void client.lost.then(reject);
  resume();
  return {
    done,
    resume,
    pause: () => turn?.abort(),
    watch(told) {
      watchers.add(told);
      told(state);
      return () => watchers.delete(told);
    },
  };
}
