// Answers that are being written elsewhere: their end is waited for, and those that nobody writes any more were cut.

import type { Library } from './chats/library.ts';
import type { MessageRecord } from './chats/records.ts';
import { watch } from './chats/writing.ts';
import type { Conversation } from './conversation.ts';

export class Watching {
  private readonly watched = new Set<string>();

  /** `ended` gets the messages of a conversation when such an answer has ended. */
  constructor(
    private readonly library: Library,
    private readonly ended: (conversation: Conversation, messages: MessageRecord[]) => void,
  ) {}

  /** Whether the end of one is waited for. */
  get any(): boolean {
    return this.watched.size > 0;
  }

  /** Watches those of a conversation; `own` is the one that is written here. */
  of(conversation: Conversation, own: string | null | undefined): void {
    for (const message of conversation.tree.all()) {
      if (message.state !== 'writing' || own === message.id || this.watched.has(message.id)) continue;
      this.watched.add(message.id);
      void watch(this.library, message).finally(async () => {
        const messages = await this.library.messages(conversation.id);
        this.watched.delete(message.id);
        this.ended(conversation, messages);
      });
    }
  }
}
