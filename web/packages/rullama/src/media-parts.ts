// What can be said of the parts of a message without reading them.

import type { ContentPart, MediaPart, VideoPart } from './media-types.ts';

/** The fields in which the parts of different programs have a video. */
export const VIDEO = ['video', 'video_url', 'input_video'];

export const isMedia = (part: ContentPart | string): part is MediaPart => typeof part !== 'string' && (part.type as string) !== 'text' && !('text' in part);

export const isVideo = (part: { type?: unknown }): part is VideoPart => VIDEO.includes(part.type as string);

/** A copy of what is handed in: objects and lists anew; what media consist of is shared, or, where it may change, copied. */
export function copied<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copied) as T;
  if (ArrayBuffer.isView(value)) return (value as unknown as Uint8Array).slice() as T;
  if (typeof value !== 'object' || value === null) return value;
  const plain = [Object.prototype, null].includes(Object.getPrototypeOf(value));
  return plain ? (Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copied(inner)])) as T) : value;
}
