// The model as what listens: a recording that it writes down, in a chat of its own that nobody sees.

import { RullamaError, type Engine } from 'rullama';
import { h } from '../dom.ts';
import { clock, letGo, record, streamOf, watchLevel } from '../media/recorder.ts';
import { CommonText } from '../texts/en/common.ts';
import { DictationText } from '../texts/en/dictation.ts';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';
import type { Session } from './place.ts';
import { Words } from './words.ts';

/** Seconds of the longest recording: what towers hear at a time. */
const LONGEST = 30;
/** Tokens of the longest text: more than anybody says in that time. */
const MOST_TOKENS = 600;
/** Loudness of a microphone that is off. */
const SILENCE = 0.003;

const INSTRUCTION = 'Write down exactly what is said, in its language, and nothing else.';

/** Records until it is told to stop, and has the model write that down. Gives what went wrong, in words. */
export async function writeDown(session: Session, tell: (text: string, ...more: Node[]) => void): Promise<string | undefined> {
  const { left, leave } = session;
  const engine = session.engine();
  if (!engine || session.busy()) return t(DictationText.theModelIsAnswering);
  const cancel = h('button', { type: 'button', className: 'quiet tool', onclick: leave }, t(CommonText.cancel));
  let sound: Blob | undefined;
  try {
    sound = await recorded(session, (...shown) => tell(t(DictationText.listening), ...shown, cancel));
  } catch (thrown) {
    return whyNot(thrown);
  }
  if (left.aborted) return undefined;
  if (!sound) return t(DictationText.nothingWasHeard);
  const stop = h('button', { type: 'button', className: 'quiet tool', onclick: leave }, t(CommonText.stop));
  tell(t(DictationText.theModelWrites), stop);
  return written(session, engine, sound);
}

/** What was said; nothing where nothing was. */
async function recorded({ done, finish, left, leave }: Session, show: (...elements: HTMLElement[]) => void): Promise<Blob | undefined> {
  let stream: MediaStream | undefined;
  let stopWatching: (() => void) | undefined;
  try {
    stream = await streamOf({ audio: true });
    // Pressed once more before it began.
    if (done.aborted) leave();
    if (left.aborted) return undefined;
    const recording = record(stream);
    const level = h('meter', { min: 0, max: 1, low: 0.02, high: 0.9, 'aria-label': t(MediaText.levelOfTheMicrophone) });
    const time = h('span', { className: 'time', dir: 'ltr' });
    let loudest: number | undefined;
    stopWatching = watchLevel(stream, (loud) => {
      if (loud !== undefined) loudest = Math.max(loudest ?? 0, loud);
      level.value = loud ?? 0;
      time.textContent = `${clock(recording.seconds())} / ${clock(LONGEST)}`;
      if (recording.seconds() >= LONGEST) finish();
    });
    time.textContent = `${clock(0)} / ${clock(LONGEST)}`;
    show(level, time);
    await new Promise<void>((resolve) => [done, left].forEach((signal) => signal.addEventListener('abort', () => resolve())));
    const sound = await recording.end();
    // Of silence models make words.
    return loudest !== undefined && loudest < SILENCE ? undefined : sound;
  } finally {
    stopWatching?.();
    letGo(stream);
  }
}

/** Has the model write a recording into the field. */
async function written({ field, left }: Session, engine: Engine, sound: Blob): Promise<string | undefined> {
  const words = new Words(field);
  const chat = engine.chat();
  let text = '';
  try {
    const question = { role: 'user' as const, content: INSTRUCTION, media: [{ type: 'audio' as const, audio: sound }] };
    for await (const event of chat.send(question, { temperature: 0, maxTokens: MOST_TOKENS, signal: left })) {
      if (left.aborted) return undefined;
      if (event.type === 'content') words.show((text += event.text));
    }
    return text.trim() === '' && !left.aborted ? t(DictationText.nothingWasHeard) : undefined;
  } catch (thrown) {
    const { code, message, remedy } = RullamaError.from(thrown);
    // Of an engine that is gone the page tells by itself.
    return left.aborted || code === 'device-lost' || code === 'closed' ? undefined : t(DictationText.itWasNotWritten, { message, remedy });
  } finally {
    void chat.close().catch(() => undefined);
  }
}

function whyNot(thrown: unknown): string {
  return (thrown as { name?: unknown } | null)?.name === 'NotAllowedError' ? t(DictationText.theBrowserDoesNot) : t(DictationText.thereIsNoMicrophone);
}
