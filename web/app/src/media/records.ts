// Pictures and sounds of messages, as they are kept and as the engine takes them.

import type { Message } from 'rullama';

/** A file beside a message's text. The field of its type's name is what the engine reads. */
export type MediaRecord = ({ type: 'image'; image: Blob } | { type: 'audio'; audio: Blob }) & {
  name: string;
  /** What it shows, in a person's words; for screen readers and searches, not for the model. */
  words?: string;
};

export const blobOf = (record: MediaRecord): Blob => (record.type === 'image' ? record.image : record.audio);

/** Endings of files that come without a type. */
const ENDINGS = { image: /\.(png|jpe?g|gif|webp|bmp|avif)$/i, audio: /\.(wav|mp3|flac|ogg|oga|opus|m4a|aac|weba)$/i };

/** What a file is for a message; nothing for what is neither picture nor sound. */
export function mediumOf(file: Blob, name: string): MediaRecord | undefined {
  // A recording is of a type for videos where it has a place for pictures.
  const is = (kind: 'image' | 'audio') => file.type.startsWith(`${kind}/`) || (file.type === '' && ENDINGS[kind].test(name));
  if (is('image') && !file.type.startsWith('image/svg')) return { type: 'image', image: file, name };
  return is('audio') ? { type: 'audio', audio: file, name } : undefined;
}

/** A person's message. */
export const withMedia = (content: string, media: MediaRecord[]): Message => ({ role: 'user', content, ...(media.length > 0 && { media }) });

/** What a medium is called where it cannot be seen or heard. */
export const wordsOf = ({ type, words, name }: MediaRecord): string => words || `${type === 'image' ? 'Picture' : 'Sound'} ${name}`;

/** Its file, of a type that says what it is. */
function typed(record: MediaRecord): Blob {
  const blob = blobOf(record);
  return blob.type.startsWith(`${record.type}/`) ? blob : new Blob([blob], { type: record.type === 'image' ? 'image/png' : 'audio/wav' });
}

/** A medium in a file of conversations: its data in a data URL. */
export interface MediaInFile {
  type: 'image' | 'audio';
  name: string;
  words?: string;
  data: string;
}

export async function inFile(record: MediaRecord): Promise<MediaInFile> {
  const { type, name, words } = record;
  return { type, name, ...(words && { words }), data: await dataUrl(typed(record)) };
}

/** Bytes that become text at once. */
const PIECE = 3 << 13;

async function dataUrl(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = '';
  for (let at = 0; at < bytes.length; at += PIECE) text += btoa(String.fromCharCode(...bytes.subarray(at, at + PIECE)));
  return `data:${blob.type};base64,${text}`;
}
