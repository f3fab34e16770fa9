// From what a person or a program names to the address of a model's file.

import { RullamaError } from './errors.ts';
import { hubFile } from './hub.ts';

/** Schemes that `fetch` reads. */
const SCHEMES = ['http:', 'https:', 'blob:'];

/** Whether it is one of those, or the page's own, as of an extension or of an application made of pages. */
function reads(protocol: string): boolean {
  const own = (globalThis.location as Location | undefined)?.protocol;
  return SCHEMES.includes(protocol) || (protocol === own && protocol !== 'file:');
}

/**
 * The absolute address of the file that `source` names, relative to `base`. A page of Hugging Face's hub stands for the file that
 * it shows, and a repository there for the one of its files that is chosen by `hub.ts`.
 *
 * @throws RullamaError `invalid-argument` for what is no address that can be read here.
 */
export async function modelAddress(source: string | URL, base?: string): Promise<string> {
  const onHub = await hubFile(String(source).trim());
  if (onHub) return onHub;
  let address: URL;
  try {
    address = new URL(String(source).trim(), base);
  } catch (cause) {
    throw unreadable(source, 'it is not an address', cause);
  }
  if (!reads(address.protocol)) throw unreadable(source, `"${address.protocol}" is not read here, only http and https are`);
  return address.href;
}

function unreadable(source: string | URL, why: string, cause?: unknown): RullamaError {
  return new RullamaError('invalid-argument', `"${source}" cannot be loaded: ${why}.`, {
    remedy:
      'Give an http or https address, or a file. Names from Ollama’s store are for the program `rullama`: what it serves ' +
      '(`rullama serve`) lists the addresses of its models in /models.json.',
    cause,
  });
}
