// The browser's recognition on this device: the words that it hears, and why it hears none.

import { h } from '../dom.ts';
import { CommonText } from '../texts/en/common.ts';
import { DictationText } from '../texts/en/dictation.ts';
import { locale, t } from '../texts/text.ts';
import type { Session } from './place.ts';
import type { Local, Recognition } from './ways.ts';
import { Words } from './words.ts';

/** Listens until it is told to stop, or ends by itself; gives what went wrong, as the browser calls it. */
export function recognise(session: Session, { recognizer, lang }: Local, began: () => void): Promise<string | undefined> {
  const recognition: Recognition = new recognizer();
  Object.assign(recognition, { lang, continuous: true, interimResults: true, processLocally: true });
  // Otherwise it would go to a server.
  if (recognition.processLocally !== true) return Promise.resolve('service-not-allowed');
  const { done, left } = session;
  return new Promise<string | undefined>((resolve) => {
    const write = hearing(new Words(session.field));
    let heard = false;
    recognition.onstart = began;
    recognition.onresult = (event) => {
      heard = true;
      write(event);
    };
    // Not every browser ends after an error. Silence behind words is none.
    recognition.onerror = ({ error }) => resolve(error === 'aborted' || (heard && error === 'no-speech') ? undefined : error);
    recognition.onend = () => resolve(undefined);
    done.addEventListener('abort', () => recognition.stop());
    left.addEventListener('abort', () => resolve(undefined));
    try {
      recognition.start();
    } catch {
      resolve('service-not-allowed');
    }
  }).finally(() => {
    Object.assign(recognition, { onstart: null, onresult: null, onerror: null, onend: null });
    recognition.abort();
  });
}

/** Writes results: final ones stay, those behind them may change. */
function hearing(words: Words): (event: SpeechRecognitionEvent) => void {
  let settled = 0;
  return ({ results }) => {
    const text = (i: number) => results[i]?.[0]?.transcript.trim() ?? '';
    for (; results[settled]?.isFinal; settled += 1) {
      words.show(text(settled));
      words.settle();
    }
    words.show(Array.from({ length: results.length - settled }, (_, i) => text(settled + i)).join(' '));
  };
}

/** What a person can do about it: about an error of the browser's, or `pack`, one that could not be fetched. */
export function remarkOn(error: string, lang: string): string {
  if (error === 'pack') return t(DictationText.couldNotBeFetched, { language: nameOf(lang) });
  if (error === 'no-speech') return t(DictationText.nothingWasHeard);
  if (error === 'audio-capture') return t(DictationText.thereIsNoMicrophone);
  if (error === 'not-allowed') return t(DictationText.theBrowserDoesNot);
  if (error === 'language-not-supported' || error === 'service-not-allowed') return t(DictationText.notOnThisDevice, { language: nameOf(lang) });
  return t(DictationText.recognitionHasFailed, { error });
}

export const nameOf = (lang: string): string => new Intl.DisplayNames([locale()], { type: 'language' }).of(lang) ?? lang;

/** Asks whether the browser may fetch its language pack; `model` where that is to write instead, nothing where a person leaves it. */
export async function askForPack(lang: string, modelHears: boolean, left: AbortSignal): Promise<'browser' | 'model' | undefined> {
  const close = h('button', { value: '', className: 'quiet' }, t(CommonText.cancel));
  const form = h('form', { method: 'dialog' },
    h('h2', { id: 'pack-title' }, t(DictationText.aLanguagePack)),
    h('p', {}, t(DictationText.onceItHasFetched, { language: nameOf(lang) })),
    h('p', { className: 'actions' },
      h('button', { value: 'browser', className: 'primary' }, t(DictationText.fetchIt)),
      modelHears && h('button', { value: 'model' }, t(DictationText.letTheModel)),
      close));
  const dialog = h('dialog', { className: 'settings pack', 'aria-labelledby': 'pack-title' }, form);
  document.body.append(dialog);
  dialog.showModal();
  left.addEventListener('abort', () => dialog.close(''));
  await new Promise((resolve) => (dialog.onclose = resolve));
  dialog.remove();
  const { returnValue } = dialog;
  return returnValue === 'browser' || returnValue === 'model' ? returnValue : undefined;
}

/** Has the browser fetch its language pack; whether it is there then. */
export async function fetchPack({ recognizer, lang }: Local): Promise<boolean> {
  const options = { langs: [lang], processLocally: true };
  const installed = await recognizer.install?.(options).catch(() => false);
  return installed === true && (await recognizer.available?.(options).catch(() => undefined)) === 'available';
}
