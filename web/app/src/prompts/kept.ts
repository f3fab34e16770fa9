// Prompts that a person keeps in this browser, and some to begin with.

import { ChatText } from '../texts/en/chat.ts';
import { t } from '../texts/text.ts';

export interface Prompt {
  name: string;
  text: string;
}

const STORE = 'rullama.prompts';

/** What is kept; of what is damaged nothing. */
export function readPrompts(kept = keptText()): Prompt[] {
  try {
    const list = JSON.parse(kept ?? '[]') as Prompt[];
    return list.filter(({ name, text }) => typeof name === 'string' && typeof text === 'string' && text !== '').map(({ name, text }) => ({ name, text }));
  } catch {
    return [];
  }
}

function keptText(): string | null {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}

/** Whether they could be kept. */
export function keepPrompts(prompts: Prompt[]): boolean {
  try {
    localStorage.setItem(STORE, JSON.stringify(prompts));
    return true;
  } catch {
    return false;
  }
}

/** What anyone can begin with; a text to go on with comes after it. */
export const starters = (): Prompt[] => [t(ChatText.summariseTheAttached), t(ChatText.correctTheSpelling), t(ChatText.explainThisCode), t(ChatText.listWhatSpeaks)].map((text) => ({ name: '', text }));

/** Characters of a prompt that are shown of it. */
const SHOWN = 160;

export const startOf = (text: string): string => {
  const all = [...text];
  return all.length > SHOWN ? `${all.slice(0, SHOWN).join('')}…` : text;
};

/** A prompt before what is written already. */
export const withPrompt = (prompt: string, written: string): string => (written.trim() === '' ? `${prompt}${/[:：]$/.test(prompt) ? '\n\n' : ''}` : `${prompt}\n\n${written}`);
