// Pictures, sounds and videos of messages, as they are kept and as the engine takes them.

import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';
/** A file beside a message's text. The field of its type's name is what the engine reads. */
export type MediaRecord = ({ type: 'image'; image: Blob } | { type: 'audio'; audio: Blob } | { type: 'video'; video: Blob }) & {
  name: string;
  /** What it shows, in a person's words; for screen readers and searches, not for the model. */
  words?: string;
};

export const KINDS = ['image', 'audio', 'video'] as const;
export type MediaKind = (typeof KINDS)[number];

export function blobOf(record: MediaRecord): Blob {
  if (record.type === 'image') return record.image;
  return record.type === 'audio' ? record.audio : record.video;
}

/** A record of a file. */
export function recordOf(type: MediaKind, file: Blob, name: string): MediaRecord {
  if (type === 'image') return { type, image: file, name };
  return type === 'audio' ? { type, audio: file, name } : { type, video: file, name };
}

/** Endings of files that come without a type. */
const ENDINGS = { image: /\.(png|jpe?g|gif|webp|bmp|avif)$/i, audio: /\.(wav|mp3|flac|ogg|oga|opus|m4a|aac|weba)$/i, video: /\.(mp4|m4v|mov|webm|mkv|ogv)$/i };

/** What a file is for a message; nothing for what is no picture, sound or video. */
export function mediumOf(file: Blob, name: string): MediaRecord | undefined {
  const is = (kind: MediaKind) => file.type.startsWith(`${kind}/`) || (file.type === '' && ENDINGS[kind].test(name));
  const kind = KINDS.find(is);
  // Browsers take the ending of TypeScript for one of videos, which they do not play.
  return kind === undefined || file.type.startsWith('image/svg') || file.type === 'video/mp2t' ? undefined : recordOf(kind, file, name);
}

/** What a medium is called where it cannot be seen or heard. */
export const wordsOf = ({ type, words, name }: MediaRecord): string => words || { image: t(MediaText.pictureName, { name }), audio: t(MediaText.soundName, { name }), video: t(MediaText.videoName, { name }) }[type];

const USUAL = { image: 'image/png', audio: 'audio/wav', video: 'video/mp4' };

/** Its file, of a type that says what it is. */
function typed(record: MediaRecord): Blob {
  const blob = blobOf(record);
  return blob.type.startsWith(`${record.type}/`) ? blob : new Blob([blob], { type: USUAL[record.type] });
}

/** A medium in a file of conversations: its data in a data URL. */
export interface MediaInFile {
  type: MediaKind;
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
