// One tab trains at a time: two would halve each other's pace, and write over each other's checkpoints.

import { TuneText } from '../texts/en/tune.ts';
import { t } from '../texts/text.ts';
const LOCK = 'rullama.training';

/**
 * Makes this the tab that trains, until what it gives is called. A tab that holds a lock is not frozen while it is hidden.
 *
 * @throws Error where another tab is.
 */
export async function holdTab(): Promise<() => void> {
  if (!navigator.locks) return () => undefined;
  return new Promise((resolve, reject) => {
    void navigator.locks.request(LOCK, { ifAvailable: true }, (lock) => {
      if (!lock) return reject(new Error(t(TuneText.anotherTabOfThis)));
      return new Promise<void>((release) => resolve(release));
    });
  });
}

/** Whether another tab trains. */
export async function trainsElsewhere(): Promise<boolean> {
  const { held } = (await navigator.locks?.query().catch(() => undefined)) ?? {};
  return held?.some(({ name }) => name === LOCK) ?? false;
}
