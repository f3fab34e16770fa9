// The text of PDF files, by pdf.js in its own worker: the build for browsers that are not the newest.

import { getDocument, GlobalWorkerOptions, type PDFDocumentProxy } from 'pdfjs-dist/legacy/build/pdf.mjs';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';

GlobalWorkerOptions.workerSrc = new URL('pdf.worker.js', import.meta.url).href;

/** Which characters the codes of Chinese, Japanese and Korean fonts mean that a file does not bring; each is loaded when a file names it. */
const CMAPS = { cMapUrl: new URL('cmaps/', import.meta.url).href, cMapPacked: true };

const PAGES = 300;
const LIMIT_MS = 60_000;
/** Characters of all pages together. */
const MOST = 2 * 2 ** 20;

/**
 * The text of all pages.
 *
 * @throws Error that says why there is none, and what to do.
 */
export async function pdfText(data: ArrayBuffer): Promise<string> {
  const task = getDocument({ data, ...CMAPS, stopAtErrors: false, disableFontFace: true, useSystemFonts: false, verbosity: 0 });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(t(MediaText.itWasNotRead, { seconds: LIMIT_MS / 1000 }))), LIMIT_MS);
  });
  try {
    return await Promise.race([textOf(task.promise), late]);
  } finally {
    clearTimeout(timer);
    void task.destroy();
  }
}

async function textOf(opening: Promise<PDFDocumentProxy>): Promise<string> {
  const pdf = await opening.catch((error: Error) => {
    if (error.name === 'PasswordException') throw new Error(t(MediaText.itIsEncryptedSave));
    throw new Error(t(MediaText.itIsDamagedOr));
  });
  if (pdf.numPages > PAGES) throw new Error(t(MediaText.itHasNumPagesPages, { numPages: pdf.numPages, most: PAGES }));
  const pages: string[] = [];
  let length = 0;
  for (let i = 1; i <= pdf.numPages; i += 1) {
    const page = await pdf.getPage(i);
    const { items } = await page.getTextContent();
    const text = items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join('').replace(/\0/g, '').trim();
    page.cleanup();
    length += text.length;
    if (length > MOST) throw new Error(t(MediaText.itHasMoreText));
    pages.push(text);
  }
  if (length === 0) throw new Error(t(MediaText.itsPagesArePictures));
  return pages.length === 1 ? (pages[0] as string) : pages.map((text, i) => `[page ${i + 1}]\n${text}`).join('\n\n');
}
