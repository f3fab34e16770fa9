// A medium on the page.

import { h } from '../dom.ts';
import { blobOf, wordsOf, type MediaRecord } from './records.ts';

/** Addresses of what is shown, one for each file. */
const addresses = new WeakMap<Blob, string>();

function addressOf(blob: Blob): string {
  const known = addresses.get(blob);
  if (known !== undefined) return known;
  const address = URL.createObjectURL(blob);
  addresses.set(blob, address);
  return address;
}

export function mediumView(record: MediaRecord): HTMLElement {
  const src = addressOf(blobOf(record));
  const words = wordsOf(record);
  if (record.type === 'audio') return h('audio', { controls: true, src, preload: 'metadata', 'aria-label': words, title: record.name });
  if (record.type === 'video') return h('video', { controls: true, src, preload: 'metadata', playsInline: true, 'aria-label': words, title: record.name });
  return h('img', { src, alt: words, title: record.words || record.name, decoding: 'async', draggable: false });
}

/** The media of a message. */
export const mediaView = (media: MediaRecord[]): HTMLElement => h('div', { className: 'media' }, ...media.map(mediumView));
