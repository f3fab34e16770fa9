// Pictures and sounds of messages: what each is called, what it takes of the context, and the numbers that the engine needs of it.

import type { MediaPart, PictureSource, PictureTokens, Pixels, Samples, SoundSource } from './media-types.ts';
import { once } from './once.ts';
import { checkSize, decodePicture, MAX_BYTES, pixelsOf, refused } from './picture.ts';
import type { MediaSize, RawMedium } from './protocol.ts';
import { channelsOf, decodeSound, hearable } from './sound.ts';

/** A medium that was read. */
export interface Medium {
  /** The same for the same medium with the same budget. */
  source: string;
  kind: 'image' | 'audio';
  /** How much there is of it; of soft tokens their number. */
  size: MediaSize | number;
  /** What the engine perceives. */
  raw(): Promise<RawMedium>;
}

/** A medium apart from how much of it is to be seen. */
type Read = Omit<Medium, 'source'> & { hash: string };

const BUDGETS: unknown[] = [70, 140, 280, 560, 1120];
/** The fields in which the parts of different programs have their data. */
const PICTURE = ['image', 'image_url', 'input_image'];
const SOUND = ['audio', 'input_audio', 'audio_url'];

/** What was read of files and bitmaps, which do not change. */
const known = new WeakMap<object, Promise<Read>>();

/**
 * Reads a part. `tokens` is the budget of pictures that have none of their own; `dim` the width of soft tokens.
 *
 * @throws RullamaError `invalid-argument` for what is no picture or sound, is damaged, or is too large.
 */
export async function readPart(part: MediaPart, tokens: PictureTokens | undefined, dim: number): Promise<Medium> {
  const { type } = part as { type?: unknown };
  if (part.type === 'soft') return ofSoft(part.values, part.of, dim);
  if (PICTURE.includes(type as string)) {
    const { tokens: own = tokens } = part as { tokens?: PictureTokens | undefined };
    if (own !== undefined && !BUDGETS.includes(own)) throw refused(`\`tokens\` is ${String(own)}.`, `Give one of ${BUDGETS.join(', ')}, or leave it out.`);
    return withBudget(await remembered(dataOf(part, PICTURE) as PictureSource, readPicture), own);
  }
  if (SOUND.includes(type as string)) return withBudget(await remembered(dataOf(part, SOUND) as SoundSource, readSound), undefined);
  const shown = typeof type === 'string' ? `"${type.slice(0, 40)}"` : String(type);
  throw refused(`A part of the content is of type ${shown}.`, `The types are text, soft, video, ${[...PICTURE, ...SOUND].join(', ')}.`);
}

/** The data of a part: in a field of the type's name, as `url` or `data`, or one level below. */
function dataOf(part: object, names: string[]): unknown {
  const fields = part as Record<string, unknown>;
  const found = [...names, 'url', 'data', 'source'].map((name) => fields[name]).find((value) => value !== undefined && value !== null);
  if (found === undefined) throw refused('A part of the content has no data.', `Give it as \`${names[0]}\`.`);
  const { url, data, width } = found as Record<string, unknown>;
  if (typeof found === 'object' && width === undefined) {
    if (typeof url === 'string') return url;
    if (typeof data === 'string') return data;
  }
  return found;
}

function withBudget({ hash, ...read }: Read, budget: PictureTokens | undefined): Medium {
  const { kind, size, raw } = read;
  if (budget === undefined || typeof size === 'number' || size.kind !== 'image') return { ...read, source: `${kind}:${hash}` };
  const withIt = async () => ({ ...(await raw()), budget }) as RawMedium;
  return { kind, source: `${kind}:${budget}:${hash}`, size: { ...size, budget }, raw: withIt };
}

function remembered<T>(value: T, read: (value: T) => Promise<Read>): Promise<Read> {
  const lasting = value instanceof Blob || (typeof ImageBitmap !== 'undefined' && value instanceof ImageBitmap);
  return lasting ? once(known, value, () => read(value)) : read(value);
}

async function readPicture(source: PictureSource): Promise<Read> {
  if (typeof ImageBitmap !== 'undefined' && source instanceof ImageBitmap) {
    checkSize(source);
    return ofPixels(pixelsOf(source));
  }
  const file = fileOf(source);
  if (!file) return ofPixels(source as Pixels);
  const bitmap = await decodePicture(file);
  const { width, height } = bitmap;
  bitmap.close();
  const raw = async (): Promise<RawMedium> => {
    const again = await decodePicture(file);
    try {
      return { kind: 'image', ...pixelsOf(again) };
    } finally {
      again.close();
    }
  };
  return { kind: 'image', hash: await hashOf(await file.arrayBuffer()), size: { kind: 'image', width, height }, raw };
}

async function ofPixels({ data, width, height }: Pixels): Promise<Read> {
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw refused('A picture is neither a file nor pixels.', 'Give a Blob, ImageBitmap, ImageData, base64, a data URL, or { data, width, height } with a Uint8Array.');
  }
  checkSize({ width, height });
  if (data.length !== 4 * width * height) {
    throw refused(`${data.length} bytes are not ${width} x ${height} pixels.`, 'Give red, green, blue and alpha of each.');
  }
  const hash = await hashOf(data, `${width}x${height}`);
  return { kind: 'image', hash, size: { kind: 'image', width, height }, raw: async () => ({ kind: 'image', data, width, height }) };
}

async function readSound(source: SoundSource): Promise<Read> {
  if (typeof AudioBuffer !== 'undefined' && source instanceof AudioBuffer) return ofSamples({ samples: channelsOf(source), sampleRate: source.sampleRate });
  const file = fileOf(source);
  if (!file) return ofSamples(source as Samples);
  const { length } = await decodeSound(file);
  if (length === 0) throw refused('The sound has no samples.', 'Give another file.');
  const raw = async (): Promise<RawMedium> => ({ kind: 'audio', samples: await decodeSound(file) });
  return { kind: 'audio', hash: await hashOf(await file.arrayBuffer()), size: { kind: 'audio', samples: length }, raw };
}

async function ofSamples(given: Samples): Promise<Read> {
  if (typeof given !== 'object' || given === null || !('samples' in given)) {
    throw refused('A sound is neither a file nor samples.', 'Give a Blob, AudioBuffer, base64, a data URL, or { samples, sampleRate } with a Float32Array.');
  }
  const samples = await hearable(given);
  return { kind: 'audio', hash: await hashOf(samples), size: { kind: 'audio', samples: samples.length }, raw: async () => ({ kind: 'audio', samples }) };
}

async function ofSoft(values: Float32Array, of: 'image' | 'audio', dim: number): Promise<Medium> {
  if (of !== 'image' && of !== 'audio') throw refused(`Soft tokens are of ${String(of)}.`, "Say `of: 'image'` or `of: 'audio'`.");
  if (!(values instanceof Float32Array) || values.length === 0 || values.length % dim !== 0) {
    throw refused(`\`values\` is no Float32Array of whole rows of ${dim}.`, 'Give what `encode` gave for this model.');
  }
  return { kind: of, source: `${of}:soft:${await hashOf(values)}`, size: values.length / dim, raw: async () => ({ soft: of, values }) };
}

/** A file, from what may hold one; `undefined` for what is none. */
export function fileOf(source: unknown): Blob | undefined {
  if (source instanceof Blob) return source;
  if (source instanceof Uint8Array) return new Blob([source as Uint8Array<ArrayBuffer>]);
  return typeof source === 'string' ? new Blob([bytesOf(source)]) : undefined;
}

/** The bytes of base64, bare or in a data URL. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  if (text.length > (MAX_BYTES / 3) * 4 + 1024) throw refused(`A medium of ${text.length} characters is too large.`, `Give one of at most ${MAX_BYTES} bytes.`);
  const url = text.startsWith('data:');
  const at = text.indexOf(';base64,');
  if (url && (at < 0 || at > 200)) throw refused('A data URL is not of base64.', 'Give it as base64, or give a Blob.');
  if (!url && /^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    throw refused(`${text.slice(0, 80)} is not fetched.`, 'Give the data itself: a Blob, base64 or a data URL.');
  }
  const base64 = (url ? text.slice(at + 8) : text).replace(/\s/g, '').replace(/-/g, '+').replace(/_/g, '/');
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw refused('A picture or a sound is no base64.', 'Give a Blob, base64 or a data URL.', cause);
  }
}

export async function hashOf(data: ArrayBuffer | ArrayBufferView, more = ''): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', data as BufferSource);
  return `${more}${Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
