// What stands around a conversation.

import type { EngineOptions } from 'rullama';

/** What the rest of the page does for this view. */
export interface Frame {
  /** Shows a new conversation, or what comes before one. */
  newChat(): void;
  /** Loads the model anew, with other options where they are given. */
  reload(options?: EngineOptions): void;
  /** What it was loaded with. */
  loadedWith(): EngineOptions;
  /** Another conversation is shown: `id` when it is kept. */
  shown(id: string | undefined): void;
  /** What a conversation offers while no model is loaded. */
  offer(): HTMLElement;
}
