// The page's own tools at work. What each returns is read by the model; what it throws, too, as the reason of a failure.

import { calculatorOf } from './load.ts';

/** Bytes and milliseconds that a page may take. */
const MOST_BYTES = 4 * 2 ** 20;
const LIMIT_MS = 20_000;
type Args = Record<string, unknown>;

export interface Bounds {
  /** Whether a host may be read. */
  allowed(host: string): boolean;
  /** Characters of a page that are read at once. */
  most: number;
  signal: AbortSignal;
}

export async function runPageTool(name: string, args: Args, bounds: Bounds): Promise<string> {
  if (name === 'clock') return clock(args['timezone']);
  if (name === 'calculator') return (await calculatorOf())(String(args['expression']));
  if (name === 'fetch_page') return readPage(String(args['url']), Number(args['start'] ?? 0), bounds);
  return multiply(args);
}

function multiply({ a, b }: Args): string {
  if (!Number.isInteger(a) || !Number.isInteger(b)) throw new Error('a and b must be whole numbers');
  return String(BigInt(a as number) * BigInt(b as number));
}

function clock(timezone: unknown): string {
  const now = new Date();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const timeZone = typeof timezone === 'string' && timezone !== '' ? timezone : own;
  try {
    const shown = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'long', timeZone }).format(now);
    return `${shown} (${timeZone}); ${now.toISOString()}`;
  } catch {
    throw new Error(`${JSON.stringify(timezone)} is no time zone: use a name such as Europe/Zurich`);
  }
}

/** An address; nothing where it is none. */
export function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** The page's address, where it is one that can be read. */
export function pageAddress(url: unknown): URL {
  const address = urlOf(String(url));
  if (!address || !/^https?:$/.test(address.protocol)) throw new Error(`${JSON.stringify(String(url).slice(0, 200))} is no web address: it begins with https:// or http://`);
  if (address.username || address.password) throw new Error('an address with a name or a password is not read');
  return address;
}

async function readPage(url: string, start: number, { allowed, most, signal }: Bounds): Promise<string> {
  const address = pageAddress(url);
  const limit = AbortSignal.timeout(LIMIT_MS);
  const both = AbortSignal.any([signal, limit]);
  try {
    const response = await ask(address, both);
    const { host } = new URL(response.url);
    if (!allowed(host)) {
      await response.body?.cancel();
      throw new Error(`the page leads to ${response.url}, on another host: call again with that address`);
    }
    if (!response.ok) throw new Error(`${address.host} answers ${response.status} ${response.statusText}`.trim());
    const type = response.headers.get('content-type') ?? '';
    if (!/^(text\/|application\/(json|xml|xhtml\+xml|[\w.+-]+\+(json|xml)))/i.test(type)) throw new Error(`it is of type ${type.slice(0, 80) || 'unknown'}: only texts are read`);
    const text = await bounded(response, type);
    return part(/html/i.test(type) ? htmlText(text) : text, Number.isInteger(start) && start > 0 ? start : 0, most);
  } catch (thrown) {
    if (limit.aborted && !signal.aborted) throw new Error(`${address.host} does not answer within ${LIMIT_MS / 1000} s`);
    throw thrown;
  }
}

async function ask(address: URL, signal: AbortSignal): Promise<Response> {
  try {
    return await fetch(address, { credentials: 'omit', referrerPolicy: 'no-referrer', cache: 'no-store', signal });
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new Error(`${address.host} cannot be reached, or does not let pages of others read it (CORS), as most sites do`);
  }
}

async function bounded(response: Response, type: string): Promise<string> {
  const charset = /charset="?([\w-]+)/i.exec(type)?.[1] ?? 'utf-8';
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(charset);
  } catch {
    decoder = new TextDecoder();
  }
  const reader = response.body?.getReader();
  let text = '';
  let bytes = 0;
  for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
    bytes += next.value.byteLength;
    if (bytes > MOST_BYTES) {
      await reader?.cancel();
      throw new Error(`the page has more than ${MOST_BYTES / 2 ** 20} MiB`);
    }
    text += decoder.decode(next.value, { stream: true });
  }
  return text + decoder.decode();
}

/** What a person reads of a page. A parsed document runs no script and loads nothing. */
function htmlText(html: string): string {
  const page = new DOMParser().parseFromString(html, 'text/html');
  for (const element of page.querySelectorAll('script, style, noscript, template, svg, nav, iframe, form, head > :not(title)')) element.remove();
  for (const element of page.querySelectorAll('p, div, section, article, header, footer, li, tr, br, h1, h2, h3, h4, h5, h6, pre, blockquote')) element.append('\n');
  const title = page.title.trim();
  const words = (page.querySelector('main, article') ?? page.body)?.textContent ?? '';
  return `${title}\n\n${words}`.replace(/[^\S\n]+/g, ' ').replace(/ ?\n ?/g, '\n').replace(/\n{3,}/g, '\n\n').trim();
}

function part(text: string, start: number, most: number): string {
  if (text === '') throw new Error('the page has no text: scripts that this tool does not run may write it');
  if (start >= text.length) throw new Error(`the page has ${text.length} characters: start is beyond them`);
  const end = Math.min(text.length, start + most);
  return text.slice(start, end) + (end < text.length ? `\n[characters ${start} to ${end} of ${text.length}; call again with start ${end} for more]` : '');
}
