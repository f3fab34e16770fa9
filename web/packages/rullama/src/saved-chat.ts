// A conversation as bytes: what was said, and what the engine's caches hold of it.
//
// `RULLAMAC`, the length of a JSON header in 4 little-endian bytes, the header, and the session's bytes as the engine writes them,
// which carry a checksum of their own.

import { checkHistory } from './check.ts';
import { RullamaError } from './errors.ts';
import type { ChatOptions } from './types.ts';

/** How a conversation is saved. */
export interface SaveOptions {
  /** Aborting before the engine has begun leaves it, with code `cancelled`. */
  signal?: AbortSignal;
  /** Most bytes that the caches may have; what has more is refused as `invalid-argument`. */
  most?: number;
  /** Whether the messages go with it, which then may have no files; without them `setMessages` must follow `restore`. */
  messages?: boolean;
}

const MAGIC = new TextEncoder().encode('RULLAMAC');
const START = MAGIC.length + 4;

/** @throws RullamaError `invalid-argument` for media that JSON cannot hold. */
export function packChat(options: ChatOptions, session: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!isJson(options)) {
    throw new RullamaError('invalid-argument', 'The conversation has files of pictures or sounds, which saved bytes cannot hold.', {
      remedy: 'Send media as base64, or keep `chat.messages` and open a chat with them.',
    });
  }
  const header = new TextEncoder().encode(JSON.stringify(options));
  const bytes = new Uint8Array(START + header.length + session.length);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint32(MAGIC.length, header.length, true);
  bytes.set(header, START);
  bytes.set(session, START + header.length);
  return bytes;
}

/** Whether JSON gives the value back: plain objects, lists and simple values alone. */
function isJson(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isJson);
  if (typeof value !== 'object' || value === null) return true;
  return [Object.prototype, null].includes(Object.getPrototypeOf(value)) && Object.values(value).every(isJson);
}

/** @throws RullamaError `invalid-argument` for bytes that are no saved conversation, or damaged. */
export function unpackChat(bytes: Uint8Array): { options: ChatOptions; session: Uint8Array } {
  const refused = (why: string, cause?: unknown) =>
    new RullamaError('invalid-argument', `The saved conversation cannot be restored: ${why}.`, {
      remedy: 'Give the bytes that `chat.save()` gave, all of them and unchanged; or open a chat with the messages that you kept.',
      cause,
    });
  if (!(bytes instanceof Uint8Array)) throw refused('it is no Uint8Array');
  if (bytes.length < START || MAGIC.some((byte, i) => bytes[i] !== byte)) throw refused('it is none, or of another version');
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(MAGIC.length, true);
  if (length > bytes.length - START) throw refused('it is cut off');
  let options: unknown;
  try {
    options = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(START, START + length)));
    if (typeof options !== 'object' || options === null || Array.isArray(options)) throw new Error('its header is no object');
    checkHistory((options as ChatOptions).messages ?? []);
  } catch (cause) {
    throw refused(`it is damaged (${RullamaError.from(cause).message})`, cause);
  }
  return { options, session: bytes.subarray(START + length) };
}
