// Where comparisons begin, and what they hear of the answers; the rest is loaded with the first.

import type { ChatAdapters } from '../adapters/chat-adapters.ts';
import type { Answering } from '../answering.ts';
import type { Frame } from '../chat-frame.ts';
import type { Library } from '../chats/library.ts';
import type { MessageRecord } from '../chats/records.ts';
import type { Conversation } from '../conversation.ts';
import type { Settings } from '../settings.ts';
import { toast } from '../toast.ts';
import { CompareText } from '../texts/en/compare.ts';
import { t } from '../texts/text.ts';

type View = import('./compare.ts').Comparison;

/** What it works with. */
export interface Around {
  readonly answering: Answering;
  readonly library: Library;
  readonly settings: Settings;
  readonly adapters: ChatAdapters;
  readonly frame: Frame;
  /** The conversation that is shown. */
  shown(): Conversation | undefined;
  modelName(): string;
  tell(conversation: Conversation, text: string): void;
}

export class Comparing {
  view: View | undefined;

  constructor(readonly around: Around) {}

  /** Lets a person say how an answer's question is asked again, and does so. */
  async ask(conversation: Conversation, message: MessageRecord): Promise<void> {
    try {
      const { compare } = await import('./compare.ts');
      await compare(this, conversation, message);
    } catch (thrown) {
      toast(t(CompareText.cannotBeShown, { message: thrown instanceof Error ? thrown.message : String(thrown) }), { ms: 12_000 });
    }
  }
}
