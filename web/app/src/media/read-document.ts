// Reading files that are neither pictures nor sounds: text in UTF-8 or UTF-16, and PDF. What cannot be read is refused with the remedy.

import type { DocumentRecord } from './documents.ts';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';

/** Bytes of a text, and of a PDF, from which on a file is refused unread. */
const MOST_TEXT = 2 * 2 ** 20;
const MOST_PDF = 64 * 2 ** 20;

const mib = (bytes: number) => t(MediaText.amountMiB, { amount: Math.round((10 * bytes) / 2 ** 20) / 10 });

/**
 * The text of a file.
 *
 * @throws Error that says why there is none, and what to do.
 */
export async function documentOf(blob: Blob, name: string): Promise<DocumentRecord> {
  if (blob.size === 0) throw new Error(t(MediaText.itIsEmpty));
  const head = new Uint8Array(await blob.slice(0, 1024).arrayBuffer());
  // The mark of a PDF may stand behind other bytes.
  if (new TextDecoder('latin1').decode(head).includes('%PDF-')) {
    if (blob.size > MOST_PDF) throw new Error(t(MediaText.itHasSizeAnd, { size: mib(blob.size), most: mib(MOST_PDF) }));
    const { pdfText } = await import('./pdf.ts');
    return { type: 'text', name, text: await pdfText(await blob.arrayBuffer()) };
  }
  const wide = head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : undefined;
  if (!wide && head.includes(0)) throw new Error(remedyFor(name));
  if (blob.size > MOST_TEXT) throw new Error(t(MediaText.itHasSizeAndTexts, { size: mib(blob.size), most: mib(MOST_TEXT) }));
  let text: string;
  try {
    text = new TextDecoder(wide ?? 'utf-8', { fatal: true }).decode(await blob.arrayBuffer());
  } catch {
    throw new Error(t(MediaText.itIsNoText));
  }
  if (text.includes('\0')) throw new Error(remedyFor(name));
  if (text.trim() === '') throw new Error(t(MediaText.itIsEmpty));
  return { type: 'text', name, text: text.replace(/\r\n?/g, '\n') };
}

function remedyFor(name: string): string {
  if (/\.(docx?|odt|rtf|pages|xlsx?|ods|pptx?|odp|epub)$/i.test(name)) return t(MediaText.itIsADocument);
  if (/\.(zip|gz|tar|7z|rar|xz|zst)$/i.test(name)) return t(MediaText.itIsAnArchive);
  return t(MediaText.itIsNoPicture);
}
