// A split model (`...-00001-of-00003.gguf`) is downloaded as a whole, by the address of any of its parts.

import { RullamaError } from '../errors.ts';
import type { DownloadProgress, Downloaded } from '../download-types.ts';
import { download, type DownloadRequest } from './download.ts';
import { browserHost, type Host } from './host.ts';
import { digestOf } from './names.ts';
import { fileName, partAddresses, readJournal, readRecord } from './record.ts';
import { probe } from './remote.ts';

/** As `download`, of all parts where there are several; what is told and given is of all together. */
export async function downloadModel(request: DownloadRequest, emit: (progress: DownloadProgress) => void, signal: AbortSignal, host: Host = browserHost()): Promise<Downloaded> {
  check(request);
  const urls = partAddresses(request.url);
  if (!urls) return download(request, host, emit, signal);
  if (request.sha256 !== undefined) {
    throw new RullamaError('invalid-argument', '`sha256` is of one file, and this model is split into several.', { remedy: 'Leave it out.' });
  }
  const asking = { host, headers: request.headers ?? {}, signal };
  // Lengths that a server keeps secret, or one that is away, leave the sum unknown.
  const lengths = await Promise.all(urls.map((url) => probe({ ...asking, url }).then(({ len }) => len, () => undefined)));
  const total = lengths.reduce((sum: number | undefined, len) => (sum === undefined || len === undefined ? undefined : sum + len), 0);
  let [before, own]: [number, Downloaded | undefined] = [0, undefined];
  let verified = true;
  for (const url of urls) {
    const part = await download({ ...request, url }, host, (progress) => emit({ ...inAll(progress, before, total), url: request.url }), signal);
    before += part.bytes;
    verified &&= part.verified;
    if (url === request.url) own = part;
  }
  const { name } = own as Downloaded;
  return { name, url: request.url, bytes: before, verified };
}

function check({ sha256, headers }: DownloadRequest): void {
  const refusal = (message: string, remedy: string) => new RullamaError('invalid-argument', message, { remedy });
  if (sha256 !== undefined && digestOf(sha256) === undefined) throw refusal('`sha256` is no digest.', 'Give 64 hexadecimal digits.');
  try {
    new Headers(headers);
  } catch {
    throw refusal('`headers` has a name or a value that no header has.', 'Give names and values as text.');
  }
}

/** Whether a download of one of them was begun and not finished. */
export async function begun(urls: string[], host: Host): Promise<boolean> {
  const folder = await host.folder().catch(() => undefined);
  if (!folder) return false;
  for (const url of urls) {
    const name = fileName(url);
    const record = await readRecord(folder, name);
    if (record.url === url && (await readJournal(folder, name, record))) return true;
  }
  return false;
}

/** What a part tells, as of all. */
function inAll(progress: DownloadProgress, before: number, total: number | undefined): DownloadProgress {
  const { total: _total, secondsLeft: _left, ...rest } = progress;
  const done = before + progress.done;
  const rate = progress.bytesPerSecond;
  return { ...rest, done, ...(total !== undefined && { total, ...(rate !== undefined && rate > 0 && { secondsLeft: (total - done) / rate }) }) };
}
