// Files with the towers of a model, as llama.cpp writes them beside it.

/** Bytes at the beginning of a file in which its kind stands. */
const HEAD = 1 << 16;
const KEY = 'general.architecture';
/** GGUF's number for texts. */
const TEXT = 8;

/** Whether a file has towers and no model: its architecture says so. */
export async function isProjector(file: Blob): Promise<boolean> {
  const bytes = new Uint8Array(await file.slice(0, HEAD).arrayBuffer().catch(() => new ArrayBuffer(0)));
  const text = new TextDecoder('latin1').decode(bytes);
  if (!text.startsWith('GGUF')) return false;
  const at = text.indexOf(KEY);
  if (at < 0 || at + KEY.length + 16 > bytes.length) return false;
  const view = new DataView(bytes.buffer);
  const place = at + KEY.length;
  return view.getUint32(place, true) === TEXT && text.startsWith('clip', place + 12);
}
