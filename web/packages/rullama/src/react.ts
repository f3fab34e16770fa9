/**
 * A conversation as a React hook.
 *
 * ```tsx
 * import { useChat } from 'rullama/react';
 *
 * function Conversation({ ai }: { ai: Engine | undefined }) {
 *   const { messages, busy, error, send, stop } = useChat(ai);
 *   return <>{messages.map((message, i) => <p key={i}>{message.content}</p>)}<button onClick={() => send('Hello')}>Ask</button></>;
 * }
 * ```
 */

import { useCallback, useEffect, useRef, useState } from 'react';
import type { RullamaError } from './errors.ts';
import type { Chat, Engine } from './rullama.ts';
import type { ChatOptions, Message, OpenAIMessage, SendOptions, Summary } from './types.ts';

type AnyMessage = Message | OpenAIMessage;

export interface UseChat {
  /** The conversation, the answer that is being written included. */
  messages: AnyMessage[];
  /** An answer is being written. */
  busy: boolean;
  /** Why the last answer failed; the conversation is then as it was before. */
  error: RullamaError | undefined;
  /** Statistics of the latest answer. */
  last: Summary | undefined;
  /** Sends a message; resolves when the answer has ended, well or not. While another is being written nothing is sent. */
  send(message: string | AnyMessage | AnyMessage[], options?: SendOptions): Promise<void>;
  /** Answers the latest message again. */
  retry(options?: SendOptions): Promise<void>;
  /** Ends the answer that is being written, and keeps what is there of it. */
  stop(): void;
  /** The conversation itself, undefined without an engine. */
  chat: Chat | undefined;
}

/**
 * One conversation on an engine, which may still be loading. It begins anew when the engine is another one; `options` count when it
 * begins. What it holds of the GPU is given back when the component goes.
 */
export function useChat(engine: Engine | undefined, options: ChatOptions = {}): UseChat {
  const begin = useRef(options);
  const [chat, setChat] = useState<Chat>();
  const [messages, setMessages] = useState<AnyMessage[]>(options.messages ?? []);
  const [state, setState] = useState<{ busy: boolean; error?: RullamaError }>({ busy: false });
  const [last, setLast] = useState<Summary>();
  const running = useRef<AbortController>(undefined);

  useEffect(() => {
    const fresh = engine?.chat(begin.current);
    setChat(fresh);
    setMessages(fresh?.messages ?? begin.current.messages ?? []);
    setState({ busy: false });
    return () => {
      running.current?.abort();
      running.current = undefined;
      // An engine that was closed has given everything back already.
      void fresh?.close().catch(() => undefined);
    };
  }, [engine]);

  const run = useCallback(
    async (ask: (chat: Chat, options: SendOptions) => ReturnType<Chat['send']>, before: (chat: Chat) => AnyMessage[], given: SendOptions = {}) => {
      if (!chat || running.current) return;
      const control = new AbortController();
      running.current = control;
      const current = () => running.current === control;
      given.signal?.addEventListener('abort', () => control.abort(), { once: true });
      if (given.signal?.aborted) control.abort();
      const asked = before(chat);
      let reply: Message = { role: 'model', content: '' };
      setMessages(asked);
      setState({ busy: true });
      try {
        for await (const event of ask(chat, { ...given, signal: control.signal })) {
          if (event.type === 'content') reply = { ...reply, content: reply.content + event.text };
          else if (event.type === 'thinking') reply = { ...reply, thinking: (reply.thinking ?? '') + event.text };
          else if (event.type === 'toolCall') reply = { ...reply, toolCalls: [...(reply.toolCalls ?? []), event.call] };
          else if (event.type === 'done') setLast(event.summary);
          if (current()) setMessages([...asked, reply]);
        }
        if (current()) setState({ busy: false });
      } catch (thrown) {
        if (current()) setState({ busy: false, error: thrown as RullamaError });
      } finally {
        if (current()) {
          running.current = undefined;
          setMessages(chat.messages);
        }
      }
    },
    [chat],
  );

  const send = useCallback<UseChat['send']>(
    (message, given) => {
      const list = typeof message === 'string' ? [{ role: 'user' as const, content: message }] : [message].flat();
      return run((chat, rest) => chat.send(list, rest), (chat) => [...chat.messages, ...list], given);
    },
    [run],
  );
  const retry = useCallback<UseChat['retry']>(
    (given) => run((chat, rest) => chat.retry(rest), (chat) => dropAnswer(chat.messages), given),
    [run],
  );
  const stop = useCallback(() => running.current?.abort(), []);
  return { messages, busy: state.busy, error: state.error, last, send, retry, stop, chat };
}

/** The conversation without the answer at its end. */
function dropAnswer(messages: AnyMessage[]): AnyMessage[] {
  const asked = messages.findLastIndex(({ role }) => role !== 'model' && role !== 'assistant');
  return messages.slice(0, asked + 1);
}
