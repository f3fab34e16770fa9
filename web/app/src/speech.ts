// What is read aloud, and by which voice. Loaded with the first answer that is read.

import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

/** Characters that are spoken at a time: some voices fall silent in the middle of long texts. */
const AT_ONCE = 200;

/** A voice of this device: in the browser's language, else the one that is its default. */
export function localVoice(): SpeechSynthesisVoice | undefined {
  const voices = speechSynthesis.getVoices().filter(({ localService }) => localService);
  const language = navigator.language.split('-')[0] as string;
  return voices.find(({ lang }) => lang === navigator.language) ?? voices.find(({ lang }) => lang.startsWith(language)) ?? voices.find((voice) => voice.default) ?? voices[0];
}

/** What is said of an answer, in pieces that end where sentences do; code is only named. */
export function spoken(body: Element | null | undefined): string[] {
  const copy = body?.cloneNode(true) as Element | undefined;
  for (const code of copy?.querySelectorAll('.code, math') ?? []) code.replaceWith(code.matches('math') ? t(ChatText.formula) : t(ChatText.code));
  const blocks = [...(copy?.querySelectorAll('p, li, h1, h2, h3, h4, h5, h6, td, th') ?? [])].filter((block) => block.querySelector('p, li, td') === null);
  const lines = blocks.length > 0 ? blocks.map(({ textContent }) => textContent ?? '') : [copy?.textContent ?? ''];
  return lines.flatMap((line) => line.match(new RegExp(`[^]{1,${AT_ONCE}}(?:[.!?。！？]+\\s*|\\s|$)|[^]{1,${AT_ONCE}}`, 'g')) ?? []).map((piece) => piece.trim()).filter((piece) => piece !== '');
}
