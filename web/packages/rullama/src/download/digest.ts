// The SHA-256 that a file should have, as far as somebody says it: the caller, the address, the server, Hugging Face's list of files.

import { RullamaError } from '../errors.ts';
import { digestOf } from './names.ts';
import { hubRepository, type Asking, type Remote } from './remote.ts';

/** Bytes of a list that are read at most. */
const MOST = 8 << 20;

/**
 * The digest; nothing where nobody says it.
 *
 * @throws RullamaError `source-changed` where the list speaks of a file of another length than the server sends.
 */
export async function publishedDigest(asking: Asking, remote: Remote, wanted: string | undefined): Promise<string | undefined> {
  // Blobs of Ollama's stores and registries are named by it.
  const named = /\/sha256(?:[:-]|%3A)([0-9a-f]{64})(?:[?#]|$)/i.exec(asking.url)?.[1];
  return wanted ?? digestOf(named) ?? remote.sha256 ?? (await onHub(asking, remote));
}

/** Large files are stored by their SHA-256 there (LFS), and the list of a folder says it. */
async function onHub(asking: Asking, remote: Remote): Promise<string | undefined> {
  const repository = hubRepository(asking.url);
  if (!repository) return undefined;
  const [revision, ...path] = new URL(asking.url).pathname.split('/').slice(4);
  const within = path.slice(0, -1).map((part) => `/${part}`).join('');
  const list = await listed(asking, `https://huggingface.co/api/models/${repository}/tree/${revision}${within}`);
  const entry = list.find((entry) => typeof entry?.['path'] === 'string' && entry['path'].split('/').map(encodeURIComponent).join('/') === path.map(encoded).join('/'));
  const lfs = entry?.['lfs'] as { oid?: unknown; size?: unknown } | undefined;
  const digest = digestOf(lfs?.oid);
  if (digest !== undefined && typeof lfs?.size === 'number' && remote.len !== undefined && lfs.size !== remote.len) {
    throw new RullamaError('source-changed', `${asking.url}: Hugging Face lists ${lfs.size} bytes and sends ${remote.len}.`, {
      remedy: 'The file is being replaced there: try again in some minutes.',
    });
  }
  return digest;
}

/** A part of a path, encoded in one of the several ways that there are. */
function encoded(part: string): string {
  try {
    return encodeURIComponent(decodeURIComponent(part));
  } catch {
    return part; // a percent sign that encodes nothing
  }
}

/** Where the list cannot be had, nothing is known, and nothing is claimed. */
async function listed({ host, headers, signal }: Asking, address: string): Promise<(Record<string, unknown> | null)[]> {
  try {
    const response = await host.fetch(address, { headers, signal });
    if (!response.ok || Number(response.headers.get('content-length')) > MOST) return [];
    const list: unknown = await response.json();
    return Array.isArray(list) ? list : [];
  } catch {
    return [];
  }
}
