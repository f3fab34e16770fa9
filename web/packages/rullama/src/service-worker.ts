// Entry of the service worker: answers Ollama's and OpenAI's addresses of this origin by forwarding to the page that holds an engine.
// It has no imports, so that it may be registered as it is, or be part of a worker of one's own (`importScripts`, `import`).
//
// `service-worker.js?base=/rullama/` answers `/rullama/api/...` and `/rullama/v1/...`; the base is the registration's scope unless
// said. Nothing else is touched.

import type { FromPage, ToPage } from './api/bridge.ts';
import type { ErrorBody } from './api/failure.ts';

interface Client {
  id: string;
  postMessage(message: ToPage, transfer: MessagePort[]): void;
}

interface FetchEvent extends Event {
  request: Request;
  clientId: string;
  respondWith(response: Promise<Response>): void;
  waitUntil(work: Promise<unknown>): void;
}

interface Scope {
  location: Location;
  registration: { scope: string };
  skipWaiting(): Promise<void>;
  clients: { matchAll(options: object): Promise<Client[]>; claim(): Promise<void> };
  addEventListener(type: 'fetch', listen: (event: FetchEvent) => void): void;
  addEventListener(type: 'message', listen: (event: MessageEvent & { waitUntil(work: Promise<unknown>): void }) => void): void;
}

/** Milliseconds in which a page says that it holds an engine; its main thread may be at work. */
const PATIENCE = 2000;
/** Milliseconds that a preferred page has after another's answer. */
const GRACE = 200;

const scope = globalThis as unknown as Scope;
/** The page that answered last. */
let known: string | undefined;

function base(): string {
  const asked = new URL(scope.location.href).searchParams.get('base');
  return asked === null ? new URL(scope.registration.scope).pathname : asked.replace(/\/*$/, '/');
}

/** `/api/...` or `/v1/...` of a request that is meant for an engine. */
function pathOf(address: string): string | undefined {
  const url = new URL(address);
  const start = base();
  if (url.origin !== scope.location.origin || !url.pathname.startsWith(start)) return undefined;
  const rest = `/${url.pathname.slice(start.length)}`;
  return /^\/(api|v1)\//.test(rest) ? rest : undefined;
}

scope.addEventListener('message', (event) => {
  const asked = (event.data as { rullama?: string } | null)?.rullama;
  // Another version of this worker goes when a page asks for this one. A page that was there before it is not controlled by it yet.
  if (asked === 'take') event.waitUntil(scope.skipWaiting());
  else if (asked === 'claim') event.waitUntil(scope.clients.claim());
  // `alive` keeps the worker awake by having come.
});

scope.addEventListener('fetch', (event) => {
  const path = pathOf(event.request.url);
  if (path === undefined) return;
  let over: () => void = () => undefined;
  event.waitUntil(new Promise<void>((resolve) => (over = resolve)));
  event.respondWith(answered(event, path, () => over()));
});

async function answered(event: FetchEvent, path: string, over: () => void): Promise<Response> {
  const { request } = event;
  const port = await holder(event.clientId);
  if (!port) {
    over();
    return nobody(path);
  }
  const bytes = ['GET', 'HEAD'].includes(request.method) ? null : await request.arrayBuffer();
  const send = (message: ToPage, transfer: Transferable[] = []) => port.postMessage(message, transfer);
  const stop = () => (send({ rullama: 'cancel' }), port.close(), over());
  request.signal.addEventListener('abort', stop);
  return new Promise<Response>((resolve) => {
    let out: ReadableStreamDefaultController<Uint8Array> | undefined;
    port.onmessage = ({ data }: MessageEvent<FromPage>) => {
      if ('head' in data) {
        const body = new ReadableStream<Uint8Array>({ start: (controller) => void (out = controller), cancel: stop });
        resolve(new Response(body, data.head));
      } else if ('chunk' in data) out?.enqueue(data.chunk);
      else if ('end' in data) {
        if (data.end === undefined) out?.close();
        else out?.error(new TypeError(data.end));
        port.close();
        over();
      }
    };
    // A page that goes away says nothing more; where the browser tells of it, the reader is told, too.
    (port as EventTarget).addEventListener('close', () => {
      try {
        out?.error(new TypeError('The page that holds the engine was closed.'));
      } catch {
        // It had ended already.
      }
      resolve(nobody(path));
      over();
    });
    const { method, headers } = request;
    send({ rullama: 'request', method, path, type: headers.get('Content-Type'), body: bytes }, bytes ? [bytes] : []);
  });
}

/** A port to a page that holds an engine: the one that asks itself, the one that answered last, or any. */
async function holder(asking: string): Promise<MessagePort | undefined> {
  const clients = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const rank = ({ id }: Client) => (id === asking ? 0 : id === known ? 1 : 2);
  clients.sort((a, b) => rank(a) - rank(b));
  const found: (MessagePort | undefined)[] = [];
  const asked = clients.map((client, i) => ask(client).then((port) => (found[i] = port)));
  const inOrder = async () => {
    for (const each of asked) if (await each) return;
  };
  const some = asked.map((each) => each.then((port) => port ?? Promise.reject(new Error('it holds none'))));
  // Once one has answered, a page that hangs is not waited for any longer.
  const enough = Promise.any(some).then(() => pause(GRACE), () => undefined);
  await Promise.race([inOrder(), enough, pause(PATIENCE)]);
  const best = found.findIndex((port) => port !== undefined);
  const port = found[best];
  if (port) known = clients[best]?.id;
  for (const each of asked) void each.then((other) => other !== port && other?.close());
  return port;
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** The port to a page, once it has said that it holds an engine; undefined when it says that it holds none. */
function ask(client: Client): Promise<MessagePort | undefined> {
  const { port1, port2 } = new MessageChannel();
  client.postMessage({ rullama: 'who' }, [port2]);
  return new Promise((resolve) => {
    port1.onmessage = ({ data }: MessageEvent<FromPage>) => resolve('here' in data && data.here ? port1 : undefined);
    (port1 as EventTarget).addEventListener('close', () => resolve(undefined));
  });
}

function nobody(path: string): Response {
  const message = 'no open page holds a model. Open the page, load a model, and ask again.';
  const openai: ErrorBody = { message, type: 'service_unavailable_error', param: null, code: null };
  const headers = { 'Content-Type': 'application/json', 'Retry-After': '5' };
  return new Response(JSON.stringify({ error: path.startsWith('/v1/') ? openai : message }), { status: 503, headers });
}
