// After a lost graphics card the model is loaded again, and the answer goes on where it ended; but not a second time without an answer.

import type { Answering } from './answering.ts';
import { canContinue } from './chats/records.ts';
import type { Conversation } from './conversation.ts';
import { TroubleText } from './texts/en/trouble.ts';
import { t } from './texts/text.ts';

/** Milliseconds that the end of a broken answer is waited for, and between two looks. */
const PATIENCE = 5000;
const STEP = 25;

/** What the view does for it. */
interface Stage {
  readonly answering: Answering;
  tell(conversation: Conversation, text: string): void;
  reload(): void;
  /** Lets an answer begin. */
  act(run: () => Promise<void>): void;
}

export class Recovery {
  private tried = false;
  private answering = false;
  /** The conversation that goes on with the next model. */
  private waiting: string | undefined;

  constructor(private readonly stage: Stage) {}

  /** Begins to load the model again, unless that was tried since the last answer; gives whether it does. */
  lost(conversation: Conversation): boolean {
    if (this.tried) return false;
    this.tried = true;
    this.waiting = conversation.id;
    this.stage.tell(conversation, t(TroubleText.theGraphicsCardWasLost));
    void ended(conversation).then(() => this.stage.reload());
    return true;
  }

  /** An answer that comes to its end makes the next loss another one. */
  changed(conversation: Conversation): void {
    const { state, role } = conversation.path.at(-1) ?? {};
    if (this.answering && !conversation.running && role === 'model' && state === 'done') this.tried = false;
    this.answering = conversation.running !== undefined;
  }

  /** Goes on with a conversation that is shown with a model again. */
  shown(conversation: Conversation): void {
    if (this.waiting !== conversation.id) return;
    this.waiting = undefined;
    const { act, answering } = this.stage;
    const last = conversation.path.at(-1);
    if (last?.state === 'cut' && canContinue(last)) act(() => answering.goOn(conversation, last));
    else if (conversation.unanswered) act(() => answering.regenerate(conversation, conversation.leaf));
  }
}

/** Waits until what came of an answer is kept. */
async function ended(conversation: Conversation): Promise<void> {
  for (let waited = 0; conversation.running && waited < PATIENCE; waited += STEP) await new Promise((resolve) => setTimeout(resolve, STEP));
}
