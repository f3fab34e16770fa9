// What stands around a conversation.

import type { EngineOptions, RullamaError } from 'rullama';
import type { Choice } from './start-view.ts';

/** What the rest of the page does for this view. */
export interface Frame {
  /** Shows a new conversation, or what comes before one. */
  newChat(): void;
  /** Loads the model anew, with other options where they are given. */
  reload(options?: EngineOptions): void;
  /** What it was loaded with. */
  loadedWith(): EngineOptions;
  /** The models that were loaded in this visit. */
  choices(): Choice[];
  /** Loads another model in place of this one, which comes back where that fails, with the reason. The conversation is shown again. */
  loadOther(other: Choice): Promise<RullamaError | undefined>;
  /** Another conversation is shown: `id` when it is kept. */
  shown(id: string | undefined): void;
  /** What a conversation offers while no model is loaded. */
  offer(): HTMLElement;
}
