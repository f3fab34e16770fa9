// What a conversation holds, told from the events as the engine keeps it.

import type { StreamEvent } from './protocol.ts';
import { copied } from './media-parts.ts';
import type { Message, OpenAIMessage } from './types.ts';

type Past = Message | OpenAIMessage;

/** The messages of a conversation. The engine has the same: a failed answer changes neither. */
export class History {
  private messages: Past[] = [];

  /** Begins with `first`; what is no list is refused when the conversation is opened. */
  constructor(private readonly first: Past[] | undefined) {
    this.reset();
  }

  /** A copy of it; files of media are shared. */
  all(): Past[] {
    return copied(this.messages);
  }

  /** Back to what it began with. */
  reset(): void {
    this.messages = Array.isArray(this.first) ? [...this.first] : [];
  }

  /** The messages of a send and the answer to them. */
  sent(messages: Past[], reply: Message): void {
    this.messages.push(...copied(messages), reply);
  }

  /** Other messages in place of these. */
  replace(messages: Past[]): void {
    this.messages = copied(messages);
  }

  /** What the last answer, which was cut, goes on with. */
  continued({ content, thinking, toolCalls }: Message): void {
    const last = this.messages.at(-1);
    if (!last) return;
    const { reasoning_content: reasoning, ...rest } = last as Message & { reasoning_content?: string | null };
    const thought = `${reasoning || rest.thinking || ''}${thinking ?? ''}`;
    const calls = [...(rest.toolCalls ?? []), ...(toolCalls ?? [])];
    // What was handed in stays as it was.
    const whole: Message = { ...rest, content: `${textOf(last)}${content}`, ...(thought && { thinking: thought }), ...(calls.length > 0 && { toolCalls: calls }) };
    this.messages[this.messages.length - 1] = whole;
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

const textOf = ({ content }: Past) => (typeof content === 'string' ? content : (content ?? []).map((part) => ('text' in part ? part.text : '')).join(''));

/** What is sent, as messages: a text is the user's. */
export function toMessages(message: string | Past | Past[]): Past[] {
  if (typeof message === 'string') return [{ role: 'user', content: message }];
  return Array.isArray(message) ? message : [message];
}
