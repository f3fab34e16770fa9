// What the service worker keeps of the page, and how it answers from it. One version is one cache: nothing of two versions is mixed.

/** A file of the page: its address below the page's own, and the SHA-256 of its bytes in base64. */
export interface Entry {
  path: string;
  hash: string;
  /** Kept when it is first asked for. */
  later?: boolean;
}

export interface Manifest {
  /** Names all of it. */
  version: string;
  entries: Entry[];
}

const PREFIX = 'rullama-page ';
/** What is kept when it is asked for outlasts versions, by its hash. */
const LATER = 'rullama-later';
/** Files that are fetched at a time. */
const AT_ONCE = 6;

export class Precache {
  private readonly name: string;
  private readonly entries: Map<string, Entry>;
  private readonly keeping = new Map<string, Promise<void>>();

  /** `scope` is the page's own address. */
  constructor(manifest: Manifest, private readonly scope: string, private readonly caches: CacheStorage) {
    this.name = PREFIX + manifest.version;
    this.entries = new Map(manifest.entries.map((entry) => [entry.path, entry]));
  }

  /** Fetches all that is not there yet; of an older version what is the same is taken over. Fails where one file is missing or another. */
  async install(): Promise<void> {
    const cache = await this.caches.open(this.name);
    const waiting = [...this.entries.values()].filter(({ later }) => !later);
    const work = async () => {
      for (let entry = waiting.pop(); entry; entry = waiting.pop()) await this.take(cache, entry);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  }

  /** Removes other versions, and what they alone kept. */
  async clean(): Promise<void> {
    for (const name of await this.caches.keys()) if (name.startsWith(PREFIX) && name !== this.name) await this.caches.delete(name);
    const later = await this.caches.open(LATER);
    const wanted = new Set([...this.entries.values()].filter((entry) => entry.later).map((entry) => this.keyOf(entry)));
    for (const { url } of await later.keys()) if (!wanted.has(url)) await later.delete(url);
  }

  /** The answer to a request, or nothing where it is for the network. `waitUntil` keeps the worker alive. */
  answer(request: Request, waitUntil: (work: Promise<unknown>) => void): Promise<Response> | undefined {
    if (request.method !== 'GET' || !request.url.startsWith(this.scope)) return undefined;
    const { pathname, searchParams } = new URL(request.url);
    const path = pathname.slice(new URL(this.scope).pathname.length);
    // The server takes the token of a link; the page would not.
    if (searchParams.has('token')) return undefined;
    const entry = this.entries.get(path === '' && request.mode === 'navigate' ? 'index.html' : path);
    if (!entry) return undefined;
    return entry.later ? this.answerLater(entry, request, waitUntil) : this.answerKept(entry, request);
  }

  private async answerKept(entry: Entry, request: Request): Promise<Response> {
    const cache = await this.caches.open(this.name);
    // The browser may have taken it away.
    const kept = await cache.match(this.keyOf(entry));
    return kept ? part(kept, request) : fetch(request);
  }

  /** From the network until all of it is kept; a part is cut out of the whole. */
  private async answerLater(entry: Entry, request: Request, waitUntil: (work: Promise<unknown>) => void): Promise<Response> {
    const later = await this.caches.open(LATER);
    const kept = await later.match(this.keyOf(entry));
    if (kept) return part(kept, request);
    const response = await fetch(request);
    if (response.ok && !sparing()) waitUntil(this.keepLater(later, entry));
    return response;
  }

  private keepLater(later: Cache, entry: Entry): Promise<void> {
    const known = this.keeping.get(entry.path);
    if (known) return known;
    // Without room for it the page asks the network as before.
    const work = this.take(later, entry).catch(() => undefined);
    this.keeping.set(entry.path, work);
    return work;
  }

  private async take(cache: Cache, entry: Entry): Promise<void> {
    const key = this.keyOf(entry);
    if (await cache.match(key)) return;
    for (const name of await this.caches.keys()) {
      if (!name.startsWith(PREFIX)) continue;
      const same = await (await this.caches.open(name)).match(key);
      if (same) return cache.put(key, same);
    }
    const response = await fetch(new URL(entry.path, this.scope), { cache: 'no-cache' });
    if (!response.ok || response.redirected) throw new Error(`${entry.path} cannot be fetched: status ${response.status}.`);
    const bytes = await response.arrayBuffer();
    if ((await digest(bytes)) !== entry.hash) throw new Error(`${entry.path} is of another version of the page.`);
    // The bytes are not compressed any more, and no longer hang on a connection.
    const headers = new Headers(response.headers);
    headers.delete('content-encoding');
    headers.set('content-length', String(bytes.byteLength));
    await cache.put(key, new Response(bytes, { headers }));
  }

  /** With the hash, so that a file of another version is another one. */
  private keyOf({ path, hash }: Entry): string {
    return `${new URL(path, this.scope).href}?hash=${encodeURIComponent(hash)}`;
  }
}

async function digest(bytes: ArrayBuffer): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return btoa(String.fromCharCode(...hash));
}

/** Whether the reader pays for what is fetched. */
function sparing(): boolean {
  return (navigator as { connection?: { saveData?: boolean } }).connection?.saveData === true;
}

/** The bytes that `Range` asks for (RFC 9110, section 14); several ranges are answered with the whole. */
export async function part(whole: Response, request: Request): Promise<Response> {
  const asked = /^bytes=(\d*)-(\d*)$/.exec(request.headers.get('range') ?? '');
  if (!asked || (asked[1] === '' && asked[2] === '')) return whole;
  const blob = await whole.blob();
  const { size } = blob;
  const start = asked[1] === '' ? Math.max(0, size - Number(asked[2])) : Number(asked[1]);
  const end = asked[1] === '' || asked[2] === '' ? size : Math.min(Number(asked[2]) + 1, size);
  const headers = new Headers(whole.headers);
  if (start >= end) {
    if (start < size) return new Response(blob, { headers });
    headers.set('content-range', `bytes */${size}`);
    return new Response(null, { status: 416, headers });
  }
  headers.set('content-range', `bytes ${start}-${end - 1}/${size}`);
  headers.set('content-length', String(end - start));
  return new Response(blob.slice(start, end, blob.type), { status: 206, statusText: 'Partial Content', headers });
}
