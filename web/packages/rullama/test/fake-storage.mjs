// What a download uses of a browser, in memory: files that keep what was flushed when the machine stops, locks, and a server that
// misbehaves as it is told.
import { createHash, randomBytes } from 'node:crypto';

export const MB = 1 << 20;
export const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** A file that looks like a model, with other bytes for another seed. */
export function modelBytes(size, seed = 1) {
  const block = createHash('sha512').update(String(seed)).digest();
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 64) block.copy(bytes, at), bytes.writeUInt32LE(at, Math.min(at, size - 4));
  bytes.write('GGUF', 0, 'latin1');
  return bytes;
}

/** A file whose description tells of a per-layer table of `table` bytes between `before` and `behind` bytes of other weights. */
export function tableModel({ before, table, behind, seed = 1, words = 3 }) {
  const text = (value) => Buffer.concat([number(value.length), Buffer.from(value)]);
  const number = (value, size = 8) => {
    const bytes = Buffer.alloc(size);
    size === 8 ? bytes.writeBigUInt64LE(BigInt(value)) : bytes.writeUInt32LE(value);
    return bytes;
  };
  const tensor = (name, offset) => Buffer.concat([text(name), number(2, 4), number(256), number(8), number(0, 4), number(offset)]);
  const list = Array.from({ length: words }, (_, i) => text(`word ${i}`));
  const head = Buffer.concat([
    Buffer.from('GGUF'), number(3, 4), number(3), number(3),
    text('general.architecture'), number(8, 4), text('gemma4'),
    text('tokenizer.ggml.tokens'), number(9, 4), number(8, 4), number(words), ...list,
    text('general.alignment'), number(4, 4), number(64, 4),
    tensor('blk.0.ffn_up.weight', 0), tensor('per_layer_token_embd.weight', before), tensor('output.weight', before + table),
  ]);
  const base = Math.ceil(head.length / 64) * 64;
  const bytes = modelBytes(base + before + table + behind, seed);
  head.copy(bytes);
  return { bytes, head: head.length, start: base + before, end: base + before + table };
}

const refusal = (name) => new DOMException(`refused: ${name}`, name);

/** A folder of the private storage. `full(name, end)` may say that there is no room for bytes up to `end`. */
export class Folder {
  files = new Map();
  full = () => false;

  async getFileHandle(name, { create = false } = {}) {
    if (!this.files.has(name)) {
      if (!create) throw refusal('NotFoundError');
      this.files.set(name, { data: Buffer.alloc(0), safe: Buffer.alloc(0), open: false });
    }
    const file = this.files.get(name);
    return {
      getFile: async () => ({ size: file.data.length, text: async () => file.data.toString('utf8') }),
      createSyncAccessHandle: async () => this.access(name, file),
    };
  }

  access(name, file) {
    if (file.open) throw refusal('NoModificationAllowedError');
    file.open = true;
    const resize = (size) => {
      if (size > file.data.length && this.full(name, size)) throw refusal('QuotaExceededError');
      const grown = Buffer.alloc(size);
      file.data.copy(grown, 0, 0, Math.min(size, file.data.length));
      file.data = grown;
    };
    return {
      read: (into, { at }) => file.data.copy(into, 0, at, Math.min(at + into.length, file.data.length)),
      write: (bytes, { at }) => {
        if (this.full(name, at + bytes.length, 'write')) throw refusal('QuotaExceededError');
        if (at + bytes.length > file.data.length) resize(at + bytes.length);
        file.data.set(bytes, at);
        return bytes.length;
      },
      truncate: resize,
      getSize: () => file.data.length,
      flush: () => (file.safe = Buffer.from(file.data)),
      close: () => {
        file.open = false;
        file.safe = Buffer.from(file.data);
      },
    };
  }

  async removeEntry(name) {
    if (this.files.get(name)?.open) throw refusal('NoModificationAllowedError');
    if (!this.files.delete(name)) throw refusal('NotFoundError');
  }

  /** What is there when the machine stops now: what was flushed, and of the rest anything. */
  crashed() {
    const after = new Folder();
    for (const [name, { data, safe }] of this.files) {
      const left = Buffer.concat([safe, randomBytes(Math.max(0, data.length - safe.length))]);
      after.files.set(name, { data: left, safe: left, open: false });
    }
    return after;
  }

  names = () => [...this.files.keys()].sort();
  bytes = (name) => this.files.get(name)?.data;
  text = (name) => this.bytes(name)?.toString('utf8');
}

/** Tabs of one browser: `host()` gives what a download in one of them uses. */
export class Browser {
  constructor(folder = new Folder()) {
    this.folder = folder;
  }
  free = undefined;
  connected = true;
  holders = new Map();
  listeners = new Set();
  offline = [];
  slept = [];

  host(fetch) {
    return {
      folder: async () => this.folder,
      fetch,
      room: async () => this.free,
      locked: async (name, signal, wait, work) => {
        const before = this.holders.get(name);
        if (before) {
          wait();
          const stop = new Promise((_, reject) => signal.addEventListener('abort', () => reject(refusal('AbortError'))));
          await Promise.race([before, stop]);
        }
        const running = work();
        this.holders.set(name, running.catch(() => undefined));
        try {
          return await running;
        } finally {
          this.holders.delete(name);
        }
      },
      online: () => this.connected,
      backOnline: (signal) => new Promise((resolve) => (this.offline.push(resolve), signal.addEventListener('abort', resolve))),
      sleep: (ms) => (ms > 0 && this.slept.push(ms), new Promise((resolve) => setImmediate(resolve))),
      tell: (name, message) => this.listeners.forEach((listener) => listener(name, message)),
      hear: (name, receive) => {
        const listener = (of, message) => of === name && receive(message);
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
      },
    };
  }
}

/**
 * A server of one file. `before(request)` may answer in its place, `cut(from, number)` say after how many bytes of a body the connection
 * breaks; `stall` that it then says nothing more, `pace` makes bodies come slowly.
 */
export function serverOf(bytes, { etag = '"1"', ranges = true, length = true, headers = {}, before, cut, change } = {}) {
  const state = { bytes, etag, requests: [], fetch: undefined };
  state.fetch = async (address, init = {}) => {
    const range = new Headers(init.headers).get('range') ?? undefined;
    state.requests.push(range);
    const answer = await before?.({ address: String(address), range, number: state.requests.length, init, state });
    if (answer) return answer;
    change?.(state);
    const [, first, last] = (ranges && /^bytes=(\d+)-(\d+)$/.exec(range ?? '')) || [];
    const from = Number(first ?? 0);
    const part = first !== undefined;
    if (part && from >= state.bytes.length) return new Response(null, { status: 416 });
    const end = Math.min(part ? Number(last) + 1 : state.bytes.length, state.bytes.length);
    const told = {
      ...(state.etag && { ETag: state.etag }),
      ...(length && { 'Content-Length': String(end - from) }),
      ...(part && { 'Content-Range': `bytes ${from}-${end - 1}/${state.bytes.length}` }),
      ...headers,
    };
    const broken = range === 'bytes=0-3' ? undefined : cut?.(from, state.requests.length);
    return new Response(body(state.bytes.subarray(from, end), broken, init.signal), { status: part ? 206 : 200, headers: told });
  };
  return state;
}

function body(bytes, cut, signal) {
  let at = 0;
  const end = cut === undefined ? bytes.length : Math.min(cut, bytes.length);
  return new ReadableStream({
    async pull(stream) {
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted) return stream.error(refusal('AbortError'));
      if (at >= end) return end < bytes.length ? stream.error(new TypeError('terminated')) : stream.close();
      stream.enqueue(new Uint8Array(bytes.subarray(at, (at = Math.min(at + (256 << 10), end)))));
    },
  });
}
