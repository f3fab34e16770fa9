// The model that a page serves beside itself, found by its description.

import { RullamaError } from './errors.ts';
import { absolute } from './parts.ts';
import type { EmbeddedModel } from './types.ts';

/**
 * Reads the description of the embedded model.
 *
 * @throws RullamaError `network` when it is not served.
 */
export async function describeEmbedded(
  named: string | URL = 'model/model.json',
): Promise<{ model: EmbeddedModel; address: URL }> {
  const address = new URL(absolute(named));
  const failed = (why: string, cause?: unknown) =>
    new RullamaError('network', `No embedded model is served here: ${why}.`, {
      remedy:
        "Load `demo.file` from 'rullama/demo', another address or a file; or serve the model's description and name " +
        'its address with the option `embedded`.',
      cause,
    });
  let response: Response;
  try {
    response = await fetch(address);
  } catch (cause) {
    throw failed(`${address.href} does not answer`, cause);
  }
  if (!response.ok) throw failed(`${address.href} answers ${response.status}`);
  const text = await response.text().catch((cause) => Promise.reject(failed(`${address.href} breaks off`, cause)));
  const model = parse(text);
  // A server that answers every address with the page itself is common.
  if (model === undefined) throw failed(`${address.href} answers with ${kindOf(response)} in place of a description in JSON`);
  if (!isDescription(model)) throw failed(`the description ${address.href} does not name a file`);
  return { model, address };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function kindOf(response: Response): string {
  const type = response.headers.get('Content-Type')?.split(';')[0]?.trim();
  return type === 'text/html' ? 'a web page' : type ? `something else (${type})` : 'something else';
}

function isDescription(value: unknown): value is EmbeddedModel {
  return typeof value === 'object' && value !== null && typeof (value as Partial<EmbeddedModel>).file === 'string';
}
