// From a request as `fetch` has it to its answer: the addresses of both APIs, JSON read within bounds, and streams.

import type { Given } from './answer.ts';
import { Failure, type Form, formOf } from './failure.ts';
import { type ApiOptions, Host } from './host.ts';
import * as ollama from './ollama.ts';
import * as about from './ollama-models.ts';
import * as openai from './openai.ts';
import { response } from './responses.ts';
import type { Engine } from '../rullama.ts';

/** Bytes of the largest body, and how deep its values may be nested. */
const LARGEST = 32 << 20;
const DEEPEST = 120;

/** A route: what it does with the request's JSON, null where its method brings none. */
type Route = (host: Host, json: unknown, control: AbortController) => unknown;

const streamed = (run: (host: Host, json: unknown, control: AbortController) => Promise<Given<unknown, unknown>>): Route => run;

const ROUTES: Record<string, Route> = {
  'POST /api/chat': streamed(ollama.chat),
  'POST /api/generate': streamed(ollama.generate),
  'POST /api/embed': (host, json, { signal }) => ollama.embed(host, json, false, signal),
  'POST /api/embeddings': (host, json, { signal }) => ollama.embed(host, json, true, signal),
  'POST /api/show': about.show,
  'GET /api/tags': about.tags,
  'GET /api/ps': about.running,
  'GET /api/version': about.version,
  'POST /v1/chat/completions': streamed(openai.chatCompletion),
  'POST /v1/completions': streamed(openai.completion),
  'POST /v1/responses': streamed(response),
  'POST /v1/embeddings': (host, json, { signal }) => openai.embeddings(host, json, signal),
  'GET /v1/models': openai.models,
};

/** What changes a store, which a page has none of. */
const STORE = /^\/api\/(pull|push|create|copy|delete|blobs\/.*)$/;

/** Answers requests to both APIs' addresses, whatever stands before them, as a server does. */
export type ApiHandler = (request: Request) => Promise<Response>;

/**
 * Ollama's API (`/api/...`) and OpenAI's (`/v1/...`) on an engine, as a function from `Request` to `Response`: for a service worker,
 * and for clients that take a `fetch` of their own.
 *
 * ```ts
 * const openai = new OpenAI({ baseURL: 'http://page/v1', apiKey: 'none', fetch: clientFetch(apiHandler(ai)) });
 * ```
 */
export function apiHandler(engine: Engine, options: ApiOptions = {}): ApiHandler {
  const host = new Host(engine, options);
  return async (request) => {
    const pathname = apiPath(request.url) ?? new URL(request.url).pathname;
    const form = formOf(pathname);
    try {
      return await answered(host, request, pathname, form);
    } catch (thrown) {
      return Failure.from(thrown).respond(form);
    }
  };
}

/** `/api/...` or `/v1/...` of an address. */
export const apiPath = (address: string): string | undefined => /\/(?:api|v1)\/.*$/.exec(new URL(address).pathname)?.[0];

/** A `fetch` over a handler, for the clients of both APIs. */
export const clientFetch =
  (handler: ApiHandler): typeof fetch =>
  async (input, init) => {
    const request = new Request(input, init);
    const response = await handler(request);
    request.signal.throwIfAborted();
    return response;
  };

async function answered(host: Host, request: Request, pathname: string, form: Form): Promise<Response> {
  const { method } = request;
  if (STORE.test(pathname)) throw new Failure(501, 'models are not changed here: the page holds the one that it loaded. Load another in the page.');
  const route = ROUTES[`${method} ${pathname}`];
  const control = new AbortController();
  // A request whose sender is gone is not answered any further.
  if (request.signal.aborted) control.abort();
  else request.signal.addEventListener('abort', () => control.abort(), { once: true });
  if (!route && method === 'GET' && pathname.startsWith('/v1/models/')) {
    return inJson(openai.model(host, decodeURIComponent(pathname.slice('/v1/models/'.length))));
  }
  if (!route) throw new Failure(404, `there is no ${method} ${pathname}. The package's README lists what is answered.`);
  const given = await route(host, method === 'GET' ? null : await body(request), control);
  if (isRecords(given)) return stream(given.records, form, control);
  return inJson(isWhole(given) ? given.whole : given);
}

const isRecords = (given: unknown): given is { records: AsyncGenerator<object> } => typeof given === 'object' && given !== null && 'records' in given;
const isWhole = (given: unknown): given is { whole: unknown } => typeof given === 'object' && given !== null && 'whole' in given;

function inJson(record: unknown): Response {
  return new Response(JSON.stringify(record), { headers: { 'Content-Type': 'application/json; charset=utf-8' } });
}

/** Records as lines of JSON, or as server-sent events. */
function stream(records: AsyncGenerator<object>, form: Form, control: AbortController): Response {
  const encoder = new TextEncoder();
  // The events of a response have names, and the last of them ends it.
  const name = (record: object) => ('sequence_number' in record && 'type' in record ? `event: ${record.type}\n` : '');
  const line = (record: object) => encoder.encode(form === 'ollama' ? `${JSON.stringify(record)}\n` : `${name(record)}data: ${JSON.stringify(record)}\n\n`);
  let ended = false;
  const body = new ReadableStream<Uint8Array>({
    start(out) {
      // As `fetch` ends a body whose request is aborted.
      control.signal.addEventListener('abort', () => out.error(new DOMException('The request was aborted.', 'AbortError')));
    },
    async pull(out) {
      const { value, done } = await records.next();
      if (control.signal.aborted) return;
      if (value) {
        ended ||= 'error' in value || 'sequence_number' in value;
        out.enqueue(line(value));
      }
      if (!done) return;
      if (form === 'openai' && !ended) out.enqueue(encoder.encode('data: [DONE]\n\n'));
      out.close();
    },
    async cancel() {
      control.abort();
      await records.return(undefined);
    },
  });
  const type = form === 'ollama' ? 'application/x-ndjson' : 'text/event-stream; charset=utf-8';
  return new Response(body, { headers: { 'Content-Type': type, 'Cache-Control': 'no-store' } });
}

async function body(request: Request): Promise<unknown> {
  const refused = (status: number, why: string) => new Failure(status, why);
  const tooLarge = () => refused(413, `the body has more than ${LARGEST >> 20} MiB. Shorten it.`);
  if (Number(request.headers.get('Content-Length') ?? 0) > LARGEST) throw tooLarge();
  const text = await request.text();
  if (text.length > LARGEST) throw tooLarge();
  if (text.trim() === '') throw refused(400, 'the request has no body. Send a JSON object.');
  if (depth(text) > DEEPEST) throw refused(400, 'the body is not JSON that can be read: it is nested too deep (recursion).');
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refused(400, `the body is not JSON: ${cause instanceof Error ? cause.message : cause}.`);
  }
}

/** How deep values are nested; what is no JSON has some depth, too. */
function depth(json: string): number {
  let [deepest, now, inText] = [0, 0, false];
  for (let i = 0; i < json.length; i++) {
    const sign = json[i];
    if (inText && sign === '\\') i += 1;
    else if (sign === '"') inText = !inText;
    else if (!inText && (sign === '{' || sign === '[')) deepest = Math.max(deepest, ++now);
    else if (!inText && (sign === '}' || sign === ']')) now -= 1;
  }
  return deepest;
}
