// Cuts a GGUF file into the parts of a split model, as `llama-gguf-split` does.

/** Bytes of a value by its type; texts and lists say their own. */
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const [TEXT, LIST] = [8, 9];
const ALIGNMENT = 32;
const aligned = (length) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** The parts, each a buffer. Of a file with the usual alignment. */
export function splitGguf(file, count) {
  let at = 24;
  const u32 = () => file.readUInt32LE((at += 4) - 4);
  const u64 = () => Number(file.readBigUInt64LE((at += 8) - 8));
  // What is read moves the place itself.
  const pass = (bytes) => void (at += bytes);
  const skip = (type) => {
    if (type === TEXT) pass(u64());
    else if (type !== LIST) at += SIZES[type];
    else for (let of = u32(), n = u64(); n > 0; n -= 1) skip(of);
  };
  for (let keys = Number(file.readBigUInt64LE(16)); keys > 0; keys -= 1) {
    skip(TEXT);
    skip(u32());
  }
  const metadata = file.subarray(24, at);
  const tensors = Array.from({ length: Number(file.readBigUInt64LE(8)) }, () => {
    const start = at;
    skip(TEXT);
    pass(8 * u32() + 4);
    return { head: file.subarray(start, at), offset: u64() };
  });
  const data = file.subarray(aligned(at));
  const ends = [...tensors.slice(1).map(({ offset }) => offset), data.length];
  const size = Math.ceil(tensors.length / count);
  return Array.from({ length: count }, (_, number) => {
    const own = tensors.map((tensor, i) => ({ ...tensor, bytes: data.subarray(tensor.offset, ends[i]) })).slice(number * size, (number + 1) * size);
    const keys = [key('split.no', 2, number), key('split.count', 2, count), key('split.tensors.count', 5, tensors.length)];
    const before = number === 0 ? [metadata] : [];
    const kept = number === 0 ? Number(file.readBigUInt64LE(16)) : 0;
    let offset = 0;
    const heads = own.map(({ head, bytes }) => {
      const place = offset;
      offset += aligned(bytes.length);
      return Buffer.concat([head, long(place)]);
    });
    const header = Buffer.concat([file.subarray(0, 8), long(own.length), long(kept + keys.length), ...before, ...keys, ...heads]);
    return Buffer.concat([padded(header), ...own.map(({ bytes }) => padded(bytes))]);
  });
}

const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);

function long(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A key with a number of type `u16` (2) or `i32` (5). */
function key(name, type, value) {
  const bytes = Buffer.alloc(type === 2 ? 6 : 8);
  bytes.writeUInt32LE(type);
  if (type === 2) bytes.writeUInt16LE(value, 4);
  else bytes.writeInt32LE(value, 4);
  return Buffer.concat([long(name.length), Buffer.from(name), bytes]);
}
