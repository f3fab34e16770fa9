// Where the per-layer embeddings lie in a GGUF file, about half of E2B and E4B: a chat can begin before they have arrived.
//
// What is found only says in which order a file is fetched: a file that misleads is fetched in another order, and read by the engine,
// which checks everything.

/** The tensor that the engine reads by rows where it is not on the GPU. */
const TABLE = 'per_layer_token_embd.weight';
/** Bytes of a description that are looked at, and what is believed of a file's counts, nesting and names. */
const MOST_HEAD = 128 << 20;
const MOST_ENTRIES = 1 << 17;
const MOST_STRINGS = 1 << 23;
const MOST_DEPTH = 4;
const MOST_NAME = 1 << 16;
const DEFAULT_ALIGNMENT = 32;
/** Bytes of the types of metadata that have a length of their own, by the format's numbers; 8 is a string, 9 an array. */
const SIZES: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const [UINT32, STRING, ARRAY] = [4, 8, 9];

/** Bytes from `start` to before `end`. */
export interface Range {
  start: number;
  end: number;
}

/** More of the file is needed. */
const SHORT = Symbol('short');

/**
 * The table's place in a file of `length` bytes, of which those before `stored` can be read: `null` where there is none, or none that
 * is found; `undefined` while more of the file is needed.
 */
export function tableIn(read: (into: Uint8Array, at: number) => void, stored: number, length: number): Range | null | undefined {
  try {
    return tableOf(new Cursor(read, stored), length);
  } catch (thrown) {
    if (thrown !== SHORT) return null;
    return stored >= Math.min(MOST_HEAD, length) ? null : undefined;
  }
}

function tableOf(cursor: Cursor, length: number): Range | null {
  if (cursor.uint32() !== 0x46554747) return null;
  const version = cursor.uint32();
  if (version !== 2 && version !== 3) return null;
  const [tensors, entries] = [cursor.count(MOST_ENTRIES), cursor.count(MOST_ENTRIES)];
  let alignment = DEFAULT_ALIGNMENT;
  for (let entry = 0; entry < entries; entry++) {
    const name = cursor.text();
    const type = cursor.uint32();
    if (name === 'general.alignment' && type === UINT32) alignment = cursor.uint32();
    else cursor.skipValue(type);
  }
  const starts: number[] = [];
  let table: number | undefined;
  for (let tensor = 0; tensor < tensors; tensor++) {
    const name = cursor.text();
    cursor.skip(cursor.uint32() * 8 + 4);
    const offset = cursor.count(length);
    starts.push(offset);
    if (name === TABLE) table = offset;
  }
  if (table === undefined || !(alignment > 0)) return null;
  const base = Math.ceil(cursor.at / alignment) * alignment;
  // It ends where the next tensor begins: the padding between them belongs to nobody.
  const next = starts.reduce((next, start) => (start > (table as number) && start < next ? start : next), length - base);
  const [start, end] = [base + table, base + next];
  return start < end && end <= length ? { start, end } : null;
}

/** Reads a file's description from its beginning on. */
class Cursor {
  at = 0;
  private window = new Uint8Array(0);
  private windowAt = 0;

  constructor(
    private readonly read: (into: Uint8Array, at: number) => void,
    private readonly stored: number,
  ) {}

  uint32(): number {
    return this.bytes(4).getUint32(0, true);
  }

  /** A number of 64 bits that is no larger than `most`. */
  count(most: number): number {
    const value = Number(this.bytes(8).getBigUint64(0, true));
    if (value > most) throw new RangeError(`${value} of ${most}`);
    return value;
  }

  text(): string {
    const { buffer, byteOffset, byteLength } = this.bytes(this.count(MOST_NAME));
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset, byteLength));
  }

  skip(bytes: number): void {
    this.at += bytes;
    if (this.at > this.stored) throw SHORT;
  }

  skipValue(type: number, depth = 0): void {
    const size = SIZES[type];
    if (size !== undefined) return this.skip(size);
    if (type === STRING) return this.skip(this.count(Number.MAX_SAFE_INTEGER));
    if (type !== ARRAY || depth >= MOST_DEPTH) throw new RangeError(`type ${type}`);
    const of = this.uint32();
    const each = SIZES[of];
    if (each !== undefined) return this.skip(this.count(Number.MAX_SAFE_INTEGER / 8) * each);
    const count = this.count(MOST_STRINGS);
    for (let value = 0; value < count; value++) this.skipValue(of, depth + 1);
  }

  private bytes(length: number): DataView {
    if (this.at + length > this.stored) throw SHORT;
    if (this.at < this.windowAt || this.at + length > this.windowAt + this.window.length) {
      this.window = new Uint8Array(Math.min(Math.max(length, 1 << 18), this.stored - this.at));
      this.windowAt = this.at;
      this.read(this.window, this.at);
    }
    const view = new DataView(this.window.buffer, this.at - this.windowAt, length);
    this.at += length;
    return view;
  }
}
