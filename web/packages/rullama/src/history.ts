// What a conversation holds, told from the events as the engine keeps it.

import type { StreamEvent } from './protocol.ts';
import type { Message, OpenAIMessage } from './types.ts';

type Past = Message | OpenAIMessage;

/** The messages of a conversation. The engine has the same: a failed answer changes neither. */
export class History {
  private messages: Past[] = [];

  /** Begins with `first`; what is no list is refused when the conversation is opened. */
  constructor(private readonly first: Past[] | undefined) {
    this.reset();
  }

  /** A copy of it. */
  all(): Past[] {
    return structuredClone(this.messages);
  }

  /** Back to what it began with. */
  reset(): void {
    this.messages = Array.isArray(this.first) ? [...this.first] : [];
  }

  /** The messages of a send and the answer to them. */
  sent(messages: Past[], reply: Message): void {
    this.messages.push(...structuredClone(messages), reply);
  }

  /** An answer in place of the last one. */
  retried(reply: Message): void {
    while (isModel(this.messages.at(-1))) this.messages.pop();
    this.messages.push(reply);
  }
}

/** Adds an event to the answer that it is part of. */
export function extend(reply: Message, event: StreamEvent): void {
  if (event.type === 'content') reply.content += event.text;
  else if (event.type === 'thinking') reply.thinking = (reply.thinking ?? '') + event.text;
  else if (event.type === 'toolCall') reply.toolCalls = [...(reply.toolCalls ?? []), event.call];
}

const isModel = (message: Past | undefined) => message?.role === 'model' || message?.role === 'assistant';
