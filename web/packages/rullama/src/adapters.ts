// Adapters that were read: what users hold of them, and how their files travel.

import { RullamaError } from './errors.ts';
import type { Client } from './client.ts';
import type { AdapterInfo, AttachedRef, FileRef } from './protocol.ts';
import type { AdapterFile, AdapterSource, Attached } from './types.ts';

/** Largest factor on an adapter's scale; the engine's own bound. */
const MAX_SCALE = 1000;

/** A LoRA adapter on the GPU, to be attached to conversations of the engine that it was loaded with. */
export class Adapter {
  readonly name: string;
  /** Bytes on the GPU. */
  readonly bytes: number;
  readonly rank: number;
  readonly alpha: number;
  /** The model that it was trained on, as its files call it. */
  readonly base: string | undefined;
  /** Tensors of its files that are not applied: those of vision and audio, and copies of the model's own. */
  readonly leftOut: string[];
  private unloaded = false;

  constructor(
    private readonly client: Client,
    private readonly info: AdapterInfo,
  ) {
    ({ name: this.name, bytes: this.bytes, rank: this.rank, alpha: this.alpha, leftOut: this.leftOut } = info);
    this.base = info.base ?? undefined;
  }

  /**
   * Forgets it. A conversation that has it attached keeps it until others are attached there or it is closed; its GPU memory is
   * free when none has it any more.
   */
  async unload(): Promise<void> {
    if (this.unloaded) return;
    this.unloaded = true;
    await this.client.call('adapterClose', this.info.adapter);
  }

  /** The engine's number of it, for an engine's `client`; `undefined` for another engine, or when it was unloaded. */
  numberFor(client: Client): number | undefined {
    return client === this.client && !this.unloaded ? this.info.adapter : undefined;
  }
}

/**
 * Adapters with their factors as they travel.
 *
 * @throws RullamaError `invalid-argument` for what is no list of adapters of this engine with a factor each.
 */
export function attachedTo(client: Client, list: Attached[]): AttachedRef[] {
  if (!Array.isArray(list)) throw refusal('The adapters are no list.', 'Give a list of `{ adapter, scale }`.');
  return list.map((one, i) => {
    const { adapter, scale = 1 } = (one ?? {}) as Partial<Attached>;
    if (!(adapter instanceof Adapter)) throw refusal(`Adapter ${i} is none.`, 'Give what `loadAdapter` gave, as `{ adapter, scale }`.');
    if (typeof scale !== 'number' || !(Math.abs(scale) <= MAX_SCALE)) {
      throw refusal(`\`scale\` of adapter ${i} is ${String(scale)}.`, `Give a number from -${MAX_SCALE} to ${MAX_SCALE}, or leave it out.`);
    }
    const number = adapter.numberFor(client);
    if (number === undefined) throw refusal(`Adapter ${i} (${adapter.name}) was unloaded, or belongs to another engine.`, 'Load it again.');
    return { adapter: number, scale };
  });
}

/**
 * An adapter's files as they travel.
 *
 * @throws RullamaError `invalid-argument` for what is no file, `network` for an address that cannot be read.
 */
export function adapterFiles(source: AdapterSource): Promise<FileRef[]> {
  const list = Array.isArray(source) ? source : [source];
  if (list.length === 0) throw refusal('There is no file of an adapter.', 'Give its files: of PEFT both, of GGUF the one.');
  return Promise.all(list.map(file));
}

/** @throws RullamaError `invalid-argument` for a form that adapters do not have. */
export function checkForm(form: 'peft' | 'gguf'): 'peft' | 'gguf' {
  if (form === 'peft' || form === 'gguf') return form;
  throw refusal(`\`form\` is ${JSON.stringify(form)}.`, "Give 'peft' or 'gguf'.");
}

async function file(source: string | URL | AdapterFile): Promise<FileRef> {
  if (typeof source === 'string' || source instanceof URL) return fetched(address(source));
  if (source instanceof Blob) return { blob: source, name: source instanceof File ? source.name : 'the adapter' };
  const { name, bytes } = (source ?? {}) as Partial<{ name: string; bytes: Uint8Array<ArrayBuffer> | ArrayBuffer }>;
  if (typeof name !== 'string' || !(bytes instanceof Uint8Array || bytes instanceof ArrayBuffer)) {
    throw refusal('What was given as an adapter is no file.', 'Give a File, an address or `{ name, bytes }`, or a list of them.');
  }
  return { blob: new Blob([bytes]), name };
}

/** Relative addresses count from the page; in Node there are none. */
function address(source: string | URL): string {
  try {
    return new URL(source, globalThis.document?.baseURI).href;
  } catch {
    throw refusal(`"${source}" is not the address of an adapter's file.`, 'Give an http or https address, or a file.');
  }
}

async function fetched(url: string): Promise<FileRef> {
  const failed = (why: string, cause?: unknown) =>
    new RullamaError('network', `The adapter's file ${url} cannot be read: ${why}.`, {
      remedy: 'Check the address and the connection. A server of another origin must allow the page to read it (CORS).',
      cause,
    });
  try {
    const response = await fetch(url);
    if (!response.ok) throw failed(`the server answers ${response.status}`);
    return { blob: await response.blob(), name: url };
  } catch (cause) {
    throw cause instanceof RullamaError ? cause : failed(RullamaError.from(cause).message, cause);
  }
}

function refusal(message: string, remedy: string): RullamaError {
  return new RullamaError('invalid-argument', message, { remedy });
}
