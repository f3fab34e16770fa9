// Pictures, sounds and videos of requests: carried as base64 or in data URLs, and shown to the model before the request waits for its turn.

import { RullamaError } from '../errors.ts';
import { FRAMES, FRAME_TOKENS } from '../frames.ts';
import type { MediaPart } from '../media-types.ts';
import { Failure } from './failure.ts';

/** Perceives a part; its name for the engine. */
export type Show = (part: MediaPart) => Promise<string>;

type Fields = Record<string, unknown>;
type Kind = 'image' | 'audio' | 'video';

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Messages with names in the place of their media, which the model has perceived then. What is no message is left to the engine, which
 * refuses it. `places` are the messages' names in errors; "" is the request itself.
 *
 * @throws Failure for an address, what is no base64, and what is no picture or sound.
 */
export async function shown(messages: object[], places: string[] | undefined, show: Show): Promise<object[]> {
  const named: object[] = [];
  for (const [i, message] of messages.entries()) named.push(await named1(message as Fields, places?.[i] ?? `messages[${i}]`, show));
  return named;
}

async function named1(message: Fields, place: string, show: Show): Promise<object> {
  const { images, content } = message;
  const of = (kind: Kind | 'frame', source: string) => perceived(kind, source, `${place === '' ? '' : `${place}.`}${Array.isArray(images) ? 'images' : 'content'}`, show);
  const changed: Fields = {};
  if (Array.isArray(images) && images.every((image) => typeof image === 'string')) {
    const names: string[] = [];
    for (const image of images as string[]) names.push(await of('image', image));
    changed['images'] = names;
  }
  if (Array.isArray(content)) {
    const parts: unknown[] = [];
    for (const part of content) {
      const kind = kindOf(part);
      const frames = kind === 'video' ? framesOf(part as Fields) : undefined;
      if (kind === undefined) parts.push(readable(part, place));
      else if (frames) parts.push(await ofFrames(part as Fields, frames, place, (source) => of('frame', source)));
      else parts.push({ type: kind, [kind]: await of(kind, sourceOf(part as Fields)) });
    }
    changed['content'] = parts;
  }
  return { ...message, ...changed };
}

/** What a part of a content shows, if anything. */
function kindOf(part: unknown): Kind | undefined {
  const type = isObject(part) ? part['type'] : undefined;
  return typeof type === 'string' ? (/^(?:input_)?(image|audio|video)$|^(image|audio|video)_url$/.exec(type)?.slice(1).find(Boolean) as Kind | undefined) : undefined;
}

/** The list of a video's frames, if it has one. */
function framesOf(part: Fields): unknown[] | undefined {
  return [part['frames'], part['video']].find(Array.isArray);
}

/** A video whose frames are named. Nothing of one that is refused is perceived before. */
async function ofFrames(part: Fields, frames: unknown[], place: string, name: (source: string) => Promise<string>): Promise<Fields> {
  const refused = (why: string) => Failure.field(place === '' ? 'content' : `${place}.content`, `cannot be read: ${why}.`);
  if (frames.length === 0) throw refused('a video has no frames');
  if (frames.length > FRAMES) throw refused(`a video has more than ${FRAMES} frames: give that many, at even distances, with their \`timestamps\``);
  const sources = frames.map(frameSource);
  const missing = sources.indexOf('');
  if (missing >= 0) throw refused(`a video's frame ${missing} has no data`);
  const named: unknown[] = [];
  for (const [i, source] of sources.entries()) {
    const frame = frames[i];
    const seconds = isObject(frame) ? frame['seconds'] : undefined;
    named.push({ source: await name(source), ...(seconds !== undefined && { seconds }) });
  }
  const { video: _, ...rest } = part;
  return { ...rest, type: 'video', frames: named };
}

function frameSource(frame: unknown): string {
  if (typeof frame === 'string') return frame;
  if (!isObject(frame)) return '';
  return ['source', 'image', 'image_url', 'url', 'data'].map((name) => frameSource(frame[name])).find((source) => source !== '') ?? '';
}

/** A part that is text, as it is. What is no part is left to the engine. */
function readable(part: unknown, place: string): unknown {
  const type = isObject(part) ? part['type'] : undefined;
  if (typeof type !== 'string' || ['text', 'input_text', 'output_text'].includes(type)) return part;
  const why = `cannot be read: a part of the content is of type \`${type.slice(0, 60)}\`, but only texts, pictures and sounds are read.`;
  throw Failure.field(place === '' ? 'content' : `${place}.content`, why);
}

/** A part's data: under its type's name or another's, or one level below. */
function sourceOf(part: Fields): string {
  const names = [part['type'] as string, 'image_url', 'image', 'audio', 'video', 'url', 'data', 'path'];
  const text = (value: unknown) => (isObject(value) ? [value['url'], value['data']].find((inner) => typeof inner === 'string') : value);
  const found = names.map((name) => text(part[name])).find((value) => typeof value === 'string');
  return (found as string | undefined) ?? '';
}

async function perceived(kind: Kind | 'frame', source: string, field: string, show: Show): Promise<string> {
  const refused = (value: string, reason: string) => Failure.field(field, `cannot be used: \`messages\` is ${value}, which ${reason}.`);
  if (kind === 'video') throw refused('a video', 'is not read: give its frames as pictures, in a list `frames`');
  if (source === '') throw refused('a picture or a sound', 'has no data: give it as base64');
  const url = source.startsWith('data:');
  if (url && !source.includes(';base64,')) throw refused('a data URL', 'is not of base64');
  if (!url && source.includes('://')) {
    throw refused(Array.from(source.slice(0, 160)).slice(0, 80).join(''), 'is not fetched: give the data itself, as base64 or in a data URL');
  }
  try {
    if (kind === 'audio') return await show({ type: 'audio', audio: source });
    return await show({ type: 'image', image: source, ...(kind === 'frame' && { tokens: FRAME_TOKENS }) });
  } catch (thrown) {
    const error = RullamaError.from(thrown);
    if (error.code !== 'invalid-argument' && error.code !== 'model-unsupported') throw error;
    throw Failure.field(field, `cannot be used: ${error.message} ${error.remedy}`.trim());
  }
}
