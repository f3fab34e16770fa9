// The server's side of a download: what it says of a file, and bodies that are read a chunk at a time.
//
// `If-Range` is not sent: browsers would ask other origins for permission first, which many file servers refuse. The tag of every
// answer is compared instead, which finds the same.

import { RullamaError } from '../errors.ts';
import type { Host } from './host.ts';

/** Milliseconds that the head of an answer may take, and in which something more of a body must come. */
const PATIENCE = 30_000;
const SILENCE = 20_000;
/** Milliseconds before the second attempt, doubled with each further one, at most so many. */
const BACKOFF = 250;
const LONGEST_PAUSE = 8000;
/** What a server may ask to wait, at most. */
const LONGEST_WAIT = 60_000;
const FIRST_ATTEMPTS = 3;
/** No model has more bytes; what takes memory by a file's length is bounded by it. */
const MOST_BYTES = 2 ** 42;
/** A GGUF file begins with it. */
const MAGIC = 'GGUF';

/** What a server says of a file. */
export interface Remote {
  url: string;
  len: number | undefined;
  /** Changes when the file changes. */
  tag: string | undefined;
  /** Whether it answers `Range` requests. */
  ranges: boolean;
  /** Its digest, where the server has it. */
  sha256: string | undefined;
}

/** Worth another attempt, after so many milliseconds at least. */
export class Retry {
  constructor(
    readonly reason: string,
    readonly wait = 0,
  ) {}
}

/** The file is not the one that was begun. */
export class Changed {
  constructor(readonly what: string) {}
}

/** What every request of a download has in common. */
export interface Asking {
  host: Host;
  url: string;
  headers: Record<string, string>;
  signal: AbortSignal;
  /** How the browser orders it among other requests. */
  priority?: RequestPriority;
}

/** Milliseconds before attempt `failures + 1`. */
export const backoff = (failures: number): number => Math.min(BACKOFF * 2 ** Math.min(failures - 1, 16), LONGEST_PAUSE);

/** Asks for the first bytes. */
export async function probe(asking: Asking): Promise<Remote> {
  for (let failures = 1; ; failures++) {
    try {
      return await probeOnce(asking);
    } catch (thrown) {
      if (!(thrown instanceof Retry)) throw thrown;
      if (failures >= FIRST_ATTEMPTS) throw await unreadable(asking, thrown.reason);
      await asking.host.sleep(Math.max(thrown.wait, backoff(failures)), asking.signal);
      stopped(asking.signal);
    }
  }
}

async function probeOnce(asking: Asking): Promise<Remote> {
  const { url } = asking;
  const response = await request(asking, { at: 0, end: MAGIC.length });
  const ranges = response.status === 206 && plain(response);
  if (response.status !== 206 && response.status !== 200) throw refused(url, response);
  const body = new Body(response, asking);
  const head = await body.next();
  void body.cancel();
  const begins = new TextDecoder('latin1').decode(head?.subarray(0, MAGIC.length));
  if (begins !== MAGIC) throw noModel(url, response, begins);
  let len = ranges ? Number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]) || undefined : lengthOf(response);
  if (ranges && len === undefined) {
    // Servers of another origin may hide `Content-Range`, but not `Content-Length`.
    const whole = await request(asking, undefined);
    len = lengthOf(whole);
    void whole.body?.cancel().catch(() => undefined);
  }
  if (len !== undefined && len > MOST_BYTES) {
    throw new RullamaError('network', `${url}: the server says that the file has ${len} bytes, more than any model.`, { remedy: 'Check the address.' });
  }
  const linked = /^"?([0-9a-f]{64})"?$/i.exec(response.headers.get('x-linked-etag') ?? '')?.[1]?.toLowerCase();
  return { url, len, tag: tagOf(response), ranges: ranges && len !== undefined, sha256: linked };
}

/** A request past the cache, for some bytes or for all. */
export async function request({ host, url, headers, signal, priority = 'auto' }: Asking, span: { at: number; end: number } | undefined): Promise<Response> {
  const patience = new AbortController();
  const stop = () => patience.abort();
  const timer = setTimeout(stop, PATIENCE);
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  try {
    const range = span && { Range: `bytes=${span.at}-${span.end - 1}` };
    return await host.fetch(url, { headers: { ...headers, ...range }, cache: 'no-store', priority, signal: patience.signal });
  } catch (thrown) {
    stopped(signal);
    const { name, message } = thrown as Error;
    throw new Retry(patience.signal.aborted ? `no answer in ${PATIENCE / 1000} s` : `${name}: ${message}`);
  } finally {
    clearTimeout(timer);
    // The body is stopped by its reader.
    signal.removeEventListener('abort', stop);
  }
}

/** The answer that has some of a file's bytes, and of this version. */
export async function requestPart(asking: Asking, span: { at: number; end: number }, remote: Remote): Promise<Response> {
  const response = await request(asking, span);
  const drop = () => void response.body?.cancel().catch(() => undefined);
  if (response.status === 416) throw (drop(), new Changed('it became shorter'));
  if (response.status !== 206 && response.status !== 200) throw refused(asking.url, response);
  if (tagOf(response) !== remote.tag) throw (drop(), new Changed('it has a new tag'));
  if (response.status === 200) throw (drop(), new Retry('the server sent the whole file in place of a part'));
  const [, from, length] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '') ?? [];
  if (length !== undefined && length !== '*' && Number(length) !== remote.len) throw (drop(), new Changed(`it has ${length} bytes`));
  if (from !== undefined && Number(from) !== span.at) throw (drop(), new Retry(`asked for bytes from ${span.at}, got ${from}`));
  return response;
}

/** Ends what was stopped by its caller. */
export function stopped(signal: AbortSignal): void {
  if (signal.aborted) throw new RullamaError('cancelled', 'The download was paused.', { remedy: 'Begin it again to go on: what has arrived is kept.' });
}

export const tagOf = (response: Response): string | undefined =>
  response.headers.get('etag') ?? response.headers.get('last-modified') ?? undefined;

/** Whether a body has the file's own bytes. */
const plain = (response: Response): boolean => (response.headers.get('content-encoding') ?? 'identity') === 'identity';

/** The bytes of a body, where the server tells; of a compressed one it tells others. */
export function lengthOf(response: Response): number | undefined {
  const length = Number(response.headers.get('content-length') ?? '');
  return plain(response) && Number.isSafeInteger(length) && length > 0 ? length : undefined;
}

/** A body, whose silence is not waited for without end. */
export class Body {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  constructor(
    response: Response,
    private readonly asking: Asking,
  ) {
    this.reader = response.body?.getReader();
  }

  /** The next bytes; nothing at the end. */
  async next(): Promise<Uint8Array | undefined> {
    const { signal } = this.asking;
    let end: (() => void) | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const silence = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Retry(`nothing came for ${SILENCE / 1000} s`)), SILENCE);
        end = () => reject(new Retry('stopped'));
        signal.addEventListener('abort', end);
        if (signal.aborted) end();
      });
      const { done, value } = await Promise.race([this.reader?.read() ?? { done: true as const, value: undefined }, silence]);
      return done ? undefined : value;
    } catch (thrown) {
      void this.cancel();
      stopped(signal);
      throw thrown instanceof Retry ? thrown : new Retry(`${(thrown as Error).name}: ${(thrown as Error).message}`);
    } finally {
      clearTimeout(timer);
      if (end) signal.removeEventListener('abort', end);
    }
  }

  /** Lets go of the rest. */
  async cancel(): Promise<void> {
    await this.reader?.cancel().catch(() => undefined);
  }
}

/** What a status means that is none of a file. */
export function refused(url: string, response: Response): RullamaError | Retry {
  void response.body?.cancel().catch(() => undefined);
  const { status } = response;
  if (status === 408 || status === 429 || status >= 500) {
    const wait = Number(response.headers.get('retry-after')) * 1000;
    return new Retry(`status ${status}`, Math.min(wait > 0 ? wait : 0, LONGEST_WAIT));
  }
  const error = (what: string, remedy: string) => new RullamaError('network', `${url}: ${what} (status ${status}).`, { remedy });
  if (status === 404 || status === 410) return error('there is no such file', 'Check the address. The file may have been renamed or removed.');
  if (status === 401 || status === 403) {
    const repository = hubRepository(url);
    if (!repository) return error('the server does not give it to everyone', 'Get a fresh link if this one has expired, or download the file where you are signed in and choose it from the disk.');
    return error('the model is gated or private',
      `Accept its licence at https://huggingface.co/${repository} while signed in, download the file there and choose it from the disk; a program may send a token with the option \`headers\`.`);
  }
  return error('the server does not send it', 'Check the address, or download the file with the browser and choose it from the disk.');
}

/** Owner and name where an address is of Hugging Face's hub. */
export function hubRepository(url: string): string | undefined {
  return /^https:\/\/(?:www\.)?(?:huggingface\.co|hf\.co)\/([^/]+\/[^/]+)\/resolve\//.exec(url)?.[1];
}

function noModel(url: string, response: Response, begins: string): RullamaError {
  const page = /^text\/html/.test(response.headers.get('content-type') ?? '') || /^\s*</.test(begins);
  const what = page ? 'what comes is a web page' : begins === '' ? 'the file is empty' : `the file begins with ${JSON.stringify(begins)}`;
  return new RullamaError('model-format', `${url}: this is not a GGUF file: ${what}.`, { remedy: 'Give the address of the file itself.' });
}

/** A request whose answer stays hidden tells a server that is not there from one that does not let this page read. */
async function unreadable({ host, url, signal }: Asking, reason: string): Promise<RullamaError> {
  const answers = !/^status/.test(reason) && (await host.fetch(url, { method: 'HEAD', mode: 'no-cors', cache: 'no-store', signal }).then(() => true, () => false));
  stopped(signal);
  if (!answers) return new RullamaError('network', `${url}: no answer (${reason}).`, { remedy: 'Check the address and the connection, then try again.' });
  const gated = hubRepository(url) ? ' If the model is gated, accept its licence there while signed in.' : '';
  return new RullamaError('network', `${url}: the server answers, but does not allow this page to read the file (CORS).`, {
    remedy: `Download the file with the browser and choose it from the disk, or let the server send Access-Control-Allow-Origin.${gated}`,
  });
}
