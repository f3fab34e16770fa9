// Models in several files.

const PART = /^(.+)-\d{5}-of-(\d{5}\.gguf)$/i;

/** Bytes in which every part but the first says what it is. */
const HEAD = 1 << 16;

/** The files among those chosen that are parts of the model that the first part belongs to; empty where none is one. */
export function partsIn(files: File[]): File[] {
  const modelOf = ({ name }: File) => PART.exec(name)?.slice(1).join('');
  const model = files.map(modelOf).find((one) => one !== undefined);
  return model === undefined ? [] : files.filter((file) => modelOf(file) === model);
}

/** What a model is called by the file of a part, or by its only one. */
export const wholeName = (name: string): string => name.replace(PART, '$1.gguf');

/** Whether a file is a part, and not the first, whose names stand before. */
export async function isLaterPart(file: Blob): Promise<boolean> {
  const text = new TextDecoder('latin1').decode(await file.slice(0, HEAD).arrayBuffer());
  return text.startsWith('GGUF') && text.includes('split.count');
}
