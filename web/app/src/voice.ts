// Reads an answer aloud, with voices of this device alone: others would send the text to somebody's servers.

import { h } from './dom.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

/** Milliseconds that the button says why it did nothing. */
const SAID_MS = 2500;

/** The message that is being read. */
let reading: string | undefined;
let shown: HTMLButtonElement | undefined;
/** The message that is to be read once what reads is there. */
let wanted: string | undefined;

/** A button that reads the answer it stands under, and stops; nothing where the browser cannot speak. */
export function voiceButton(id: string): HTMLButtonElement | undefined {
  if (!('speechSynthesis' in window)) return undefined;
  const button = h('button', { type: 'button', className: 'quiet tool', 'data-tool': 'voice' });
  // The tools of a message are made anew now and then.
  if (reading === id) shown = button;
  button.textContent = reading === id ? t(ChatText.stopReading) : t(ChatText.readAloud);
  button.onclick = () => {
    const again = reading === id || wanted === id;
    stop();
    if (!again) void read(id, button).catch(() => (wanted = undefined));
  };
  return button;
}

async function read(id: string, button: HTMLButtonElement): Promise<void> {
  wanted = id;
  const { localVoice, spoken } = await import('./speech.ts');
  // Stopped meanwhile, or left.
  if (wanted !== id) return;
  wanted = undefined;
  const pieces = spoken(button.closest('.message')?.querySelector('.body'));
  const voice = localVoice();
  if (!voice || pieces.length === 0) {
    button.textContent = voice ? t(ChatText.nothingToRead) : t(ChatText.noVoiceOnThis);
    setTimeout(() => (button.textContent = t(ChatText.readAloud)), SAID_MS);
    return;
  }
  reading = id;
  shown = button;
  button.textContent = t(ChatText.stopReading);
  pieces.forEach((piece, i) => {
    const utterance = new SpeechSynthesisUtterance(piece);
    utterance.voice = voice;
    utterance.lang = voice.lang;
    if (i === pieces.length - 1) utterance.onend = () => reading === id && stop();
    utterance.onerror = () => reading === id && stop();
    speechSynthesis.speak(utterance);
  });
}

/** Ends what is being read, as leaving a conversation does. */
export function stop(): void {
  wanted = undefined;
  if (reading === undefined) return;
  reading = undefined;
  speechSynthesis.cancel();
  if (shown) shown.textContent = t(ChatText.readAloud);
  shown = undefined;
}

// Otherwise it goes on speaking after the page.
window.addEventListener('pagehide', stop);
// Browsers read their list of voices when it is first asked for, and have it later.
if ('speechSynthesis' in window) speechSynthesis.getVoices();
