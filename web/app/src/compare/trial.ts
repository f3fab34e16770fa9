// What an answer is tried with, beside one that there is.

import type { AttachedRecord } from '../adapters/records.ts';
import type { Values } from '../chats/records.ts';
import type { Choice } from '../start-view.ts';

export interface Trial {
  /** In place of the conversation's own. */
  settings: Values;
  /** In place of its adapters. */
  adapters?: AttachedRecord[];
}

/** A trial as a person asks for it; with another model where `model` is one. */
export interface Wanted extends Trial {
  model?: Choice;
}
