// Hugging Face's hub: pages of files and repositories, as people copy them, become addresses of files.
//
// https://huggingface.co/OWNER/NAME/blob/REVISION/FILE is a page about a file; its bytes are at .../resolve/REVISION/FILE.
// OWNER/NAME alone is a repository, of which one file is chosen; as for Ollama, OWNER/NAME:TAG names a quantisation.

import { RullamaError } from './errors.ts';

const SITE = 'https://huggingface.co';
const HOSTS = ['huggingface.co', 'www.huggingface.co', 'hf.co', 'www.hf.co'];
/** What is taken from a repository with several files when no tag says which, best first. */
const PREFERRED = ['Q4_K_M', 'Q4_0', 'Q8_0'];

/**
 * The file that an address of the hub stands for; `undefined` for what is not of the hub, or is a file's own address.
 *
 * @throws RullamaError `invalid-argument` when a repository has no such file, `network` when it cannot be asked.
 */
export async function hubFile(text: string): Promise<string | undefined> {
  const path = pathOnHub(text);
  if (path === undefined) return undefined;
  const [owner, nameAndTag, kind, revision, ...rest] = path.split('/').filter((part) => part !== '');
  if (!owner || !nameAndTag || owner === 'api' || owner === 'datasets' || owner === 'spaces') return undefined;
  if ((kind === 'blob' || kind === 'raw') && revision && rest.length > 0) {
    return `${SITE}/${[owner, nameAndTag, 'resolve', revision, ...rest].join('/')}`;
  }
  if (kind !== undefined && kind !== 'tree') return undefined;
  const [name = '', tag] = nameAndTag.split(':');
  const files = await filesOf(`${owner}/${name}`, revision ?? 'main');
  const within = rest.length > 0 ? `${decodeURIComponent(rest.join('/'))}/` : '';
  const file = choose(files.filter((file) => file.startsWith(within)), `${owner}/${name}`, tag);
  return `${SITE}/${owner}/${name}/resolve/${revision ?? 'main'}/${file.split('/').map(encodeURIComponent).join('/')}`;
}

/** What follows the host, for addresses of the hub, with and without a scheme. */
function pathOnHub(text: string): string | undefined {
  const match = /^(?:https?:\/\/)?([^/:?#]+)\/([^?#]*)/i.exec(text);
  return match && HOSTS.includes((match[1] as string).toLowerCase()) ? match[2] : undefined;
}

async function filesOf(repository: string, revision: string): Promise<string[]> {
  const failed = (why: string, cause?: unknown) =>
    new RullamaError('network', `The files of ${repository} on Hugging Face cannot be listed: ${why}.`, {
      remedy: 'Check the name and the connection, or give the address of the file itself. A gated model must be downloaded first.',
      cause,
    });
  let response: Response;
  try {
    response = await fetch(`${SITE}/api/models/${repository}/tree/${revision}?recursive=true`);
  } catch (cause) {
    throw failed('there is no answer', cause);
  }
  if (!response.ok) throw failed(`the answer is ${response.status}`);
  const list = (await response.json().catch(() => null)) as unknown;
  if (!Array.isArray(list)) throw failed('the answer is not a list');
  return list.flatMap((entry: { path?: unknown } | null) => (typeof entry?.path === 'string' ? [entry.path] : []));
}

/** One model among a repository's files: without the parts for pictures, and of a split one the first part. */
function choose(all: string[], repository: string, tag: string | undefined): string {
  const part = (file: string) => Number(/-(\d+)-of-\d+\.gguf$/i.exec(file)?.[1] ?? 1);
  const models = all.filter((file) => /\.gguf$/i.test(file) && !/mmproj/i.test(file) && part(file) === 1);
  const tagged = (tag: string) => models.filter((file) => new RegExp(`(^|[-._/])${escape(tag)}(-0*1-of-\\d+)?\\.gguf$`, 'i').test(file));
  const wanted = tag === undefined || /^latest$/i.test(tag) ? PREFERRED.flatMap(tagged) : tagged(tag);
  const chosen = wanted[0] ?? (tag === undefined && models.length === 1 ? models[0] : undefined);
  if (chosen !== undefined) return chosen;
  const names = models.map((file) => file.split('/').pop());
  throw new RullamaError(
    'invalid-argument',
    models.length === 0 ? `${repository} has no GGUF file.` : `${repository} has ${models.length} GGUF files${tag ? `, none for "${tag}"` : ''}.`,
    { remedy: models.length === 0 ? 'Choose a repository with GGUF files.' : `Give the address of one of them: ${names.join(', ')}.` },
  );
}

const escape = (text: string) => text.replace(/[^\w]/g, '\\$&');
