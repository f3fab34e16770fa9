// The text of PDF files, by pdf.js in its own worker: the build for browsers that are not the newest.

import { getDocument, GlobalWorkerOptions, type PDFDocumentProxy } from 'pdfjs-dist/legacy/build/pdf.mjs';

GlobalWorkerOptions.workerSrc = new URL('pdf.worker.js', import.meta.url).href;

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
  const task = getDocument({ data, stopAtErrors: false, disableFontFace: true, useSystemFonts: false, verbosity: 0 });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it was not read within ${LIMIT_MS / 1000} s: save the pages that matter as a file of their own`)), LIMIT_MS);
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
    if (error.name === 'PasswordException') throw new Error('it is encrypted: save a copy without a password, as by printing it to a PDF');
    throw new Error('it is damaged, or no PDF: open it in another program and save it anew');
  });
  if (pdf.numPages > PAGES) throw new Error(`it has ${pdf.numPages.toLocaleString('en')} pages, and ${PAGES} are read: save those that matter as a file of their own`);
  const pages: string[] = [];
  let length = 0;
  for (let i = 1; i <= pdf.numPages; i += 1) {
    const page = await pdf.getPage(i);
    const { items } = await page.getTextContent();
    const text = items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join('').replace(/\0/g, '').trim();
    page.cleanup();
    length += text.length;
    if (length > MOST) throw new Error('it has more text than is read: save the pages that matter as a file of their own');
    pages.push(text);
  }
  if (length === 0) throw new Error('its pages are pictures without text: recognise their text first (OCR), or attach the pages as pictures');
  return pages.length === 1 ? (pages[0] as string) : pages.map((text, i) => `[page ${i + 1}]\n${text}`).join('\n\n');
}
