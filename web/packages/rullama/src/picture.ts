// Pictures on their way to the engine: the browser decodes, the engine resizes.

import { RullamaError } from './errors.ts';
import type { Pixels } from './media-types.ts';

/** Most bytes of a file, as the engine has it. */
export const MAX_BYTES = 128 * 2 ** 20;
/** Most pixels: what a page can hold as bitmap, canvas and pixels at once. */
const MAX_PIXELS = 64_000_000;
/** Longest side of a canvas. */
const MAX_SIDE = 32_767;

/** A size in pixels. */
export interface Extent {
  width: number;
  height: number;
}

export const refused = (message: string, remedy: string, cause?: unknown) => new RullamaError('invalid-argument', message, { remedy, ...(cause !== undefined && { cause }) });

/** Decodes a file of a picture, turned as its EXIF orientation says, in its own colours. */
export async function decodePicture(file: Blob): Promise<ImageBitmap> {
  if (typeof createImageBitmap !== 'function') {
    throw refused('Files of pictures are decoded by a browser, which this is not.', 'Give the pixels: { data, width, height }.');
  }
  if (file.size === 0) throw refused('The picture is empty.', 'Give a file that has one.');
  if (file.size > MAX_BYTES) throw refused(`The file of the picture has ${file.size} bytes, more than ${MAX_BYTES}.`, 'Make it smaller.');
  const stated = statedSize(new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer()));
  if (stated) checkSize(stated);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
  } catch (cause) {
    const remedy = stated ? 'It is damaged or cut off: give a whole file.' : 'Give a PNG, JPEG, GIF, WebP or AVIF file.';
    throw refused('The file is no picture that this browser can read.', remedy, cause);
  }
  try {
    checkSize(bitmap);
  } catch (error) {
    bitmap.close();
    throw error;
  }
  return bitmap;
}

/** The pixels of a picture in its own size. */
export function pixelsOf(bitmap: ImageBitmap): Pixels {
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw refused(`The browser has no canvas for ${width} x ${height} pixels.`, 'Make the picture smaller.');
  context.drawImage(bitmap, 0, 0);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

export function checkSize({ width, height }: Extent): void {
  const sides = [width, height].every((side) => Number.isInteger(side) && side > 0);
  if (!sides) throw refused(`A picture of ${width} x ${height} pixels has none.`, 'Give another picture.');
  if (width * height > MAX_PIXELS) throw refused(`The picture has ${width} x ${height} pixels, more than ${MAX_PIXELS} in all.`, 'Make it smaller.');
  if (Math.max(width, height) > MAX_SIDE) throw refused(`The picture has ${width} x ${height} pixels, a side of more than ${MAX_SIDE}.`, 'Make it smaller.');
}

/** The size that a file states, so that nothing larger is decoded than can be; `undefined` where its format is not known here. */
export function statedSize(bytes: Uint8Array): Extent | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (at: number, length: number) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (bytes.length < 30) return undefined;
  if (text(1, 3) === 'PNG') return { width: view.getUint32(16), height: view.getUint32(20) };
  if (text(0, 3) === 'GIF') return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  if (text(0, 2) === 'BM') return { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
  if (text(0, 4) === 'RIFF' && text(8, 4) === 'WEBP') return ofWebp(view, text(12, 4));
  if (text(4, 4) === 'ftyp') return ofBoxes(view, text);
  return bytes[0] === 0xff && bytes[1] === 0xd8 ? ofJpeg(view) : undefined;
}

function ofWebp(view: DataView, kind: string): Extent | undefined {
  const three = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (kind === 'VP8X') return { width: three(24) + 1, height: three(27) + 1 };
  if (kind === 'VP8 ') return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (kind !== 'VP8L') return undefined;
  const bits = view.getUint32(21, true);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}

/** The frame header behind segments that are skipped by their lengths. */
function ofJpeg(view: DataView): Extent | undefined {
  for (let at = 2; at + 9 < view.byteLength; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const mark = view.getUint8(at + 1);
    const frame = mark >= 0xc0 && mark <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(mark);
    if (frame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
    at += mark === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** The largest size that the boxes of an AVIF or HEIF file name. */
function ofBoxes(view: DataView, text: (at: number, length: number) => string): Extent | undefined {
  let largest: Extent | undefined;
  for (let at = 16; at + 16 <= view.byteLength; at++) {
    if (view.getUint8(at) !== 0x69 || text(at, 4) !== 'ispe') continue;
    const size = { width: view.getUint32(at + 8), height: view.getUint32(at + 12) };
    if (!largest || size.width * size.height > largest.width * largest.height) largest = size;
  }
  return largest;
}
