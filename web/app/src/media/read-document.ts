// Reading files that are neither pictures nor sounds: text in UTF-8 or UTF-16, and PDF. What cannot be read is refused with the remedy.

import type { DocumentRecord } from './documents.ts';

/** Bytes of a text, and of a PDF, from which on a file is refused unread. */
const MOST_TEXT = 2 * 2 ** 20;
const MOST_PDF = 64 * 2 ** 20;

const mib = (bytes: number) => `${(bytes / 2 ** 20).toLocaleString('en', { maximumFractionDigits: 1 })} MiB`;

/**
 * The text of a file.
 *
 * @throws Error that says why there is none, and what to do.
 */
export async function documentOf(blob: Blob, name: string): Promise<DocumentRecord> {
  if (blob.size === 0) throw new Error('it is empty');
  const head = new Uint8Array(await blob.slice(0, 1024).arrayBuffer());
  // The mark of a PDF may stand behind other bytes.
  if (new TextDecoder('latin1').decode(head).includes('%PDF-')) {
    if (blob.size > MOST_PDF) throw new Error(`it has ${mib(blob.size)}, and PDF files of up to ${mib(MOST_PDF)} are read: save the pages that matter as a file of their own`);
    const { pdfText } = await import('./pdf.ts');
    return { type: 'text', name, text: await pdfText(await blob.arrayBuffer()) };
  }
  const wide = head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : undefined;
  if (!wide && head.includes(0)) throw new Error(remedyFor(name));
  if (blob.size > MOST_TEXT) throw new Error(`it has ${mib(blob.size)}, and texts of up to ${mib(MOST_TEXT)} are read: attach the part that matters`);
  let text: string;
  try {
    text = new TextDecoder(wide ?? 'utf-8', { fatal: true }).decode(await blob.arrayBuffer());
  } catch {
    throw new Error('it is no text in UTF-8: save it as UTF-8 in your editor');
  }
  if (text.includes('\0')) throw new Error(remedyFor(name));
  if (text.trim() === '') throw new Error('it is empty');
  return { type: 'text', name, text: text.replace(/\r\n?/g, '\n') };
}

function remedyFor(name: string): string {
  if (/\.(docx?|odt|rtf|pages|xlsx?|ods|pptx?|odp|epub)$/i.test(name)) return 'it is a document of another program: save it as PDF or as text there';
  if (/\.(zip|gz|tar|7z|rar|xz|zst)$/i.test(name)) return 'it is an archive: unpack it, and attach what is in it';
  return 'it is no picture, no sound, no text and no PDF';
}
