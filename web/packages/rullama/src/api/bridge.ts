// Between the service worker and the page that holds an engine: a message that asks who does, then one port for each request.

import { RullamaError } from '../errors.ts';
import type { Engine } from '../rullama.ts';
import { apiHandler } from './handler.ts';
import type { ApiOptions } from './host.ts';

/** Worker to page. `who` comes with a port, the others by it. */
export type ToPage =
  | { rullama: 'who' }
  | { rullama: 'request'; method: string; path: string; type: string | null; body: ArrayBuffer | null }
  | { rullama: 'cancel' };

/** Page to worker, by the port. `end` has words where the body broke off. */
export type FromPage =
  | { here: boolean }
  | { head: { status: number; headers: [string, string][] } }
  | { chunk: Uint8Array<ArrayBuffer> }
  | { end: string | undefined };

export interface ServiceOptions extends ApiOptions {
  /**
   * Address of the service worker, the package's `dist/service-worker.js`, which must lie in the site's folder that is to ask;
   * `service-worker.js` beside the page unless said. `false` where a worker of the site's own has it in it.
   */
  worker?: string | URL | false | undefined;
  /** What stands before `/api/` and `/v1/`, such as `/rullama/`; the worker's folder unless said. */
  base?: string | undefined;
}

export interface Service {
  /** What programs ask: `host` of Ollama's clients; OpenAI's add `v1`. */
  address: string;
  /** Holds the engine back from requests; those in progress end. */
  close(): void;
}

/** Milliseconds after which a worker that answers for long is told that it is still needed. */
const AWAKE = 10_000;
/** Milliseconds in which a worker takes a page over. */
const CLAIM = 5000;

/**
 * Lets programs of this origin ask the engine by Ollama's and OpenAI's addresses, through a service worker: until the page is closed,
 * or `close` is called. With several pages that hold engines, a page asks its own.
 *
 * @throws RullamaError `invalid-argument` where the worker cannot be registered.
 */
export async function serveApis(engine: Engine, options: ServiceOptions = {}): Promise<Service> {
  const container = globalThis.navigator?.serviceWorker;
  if (!container) {
    throw new RullamaError('invalid-argument', 'There are no service workers here.', {
      remedy: 'Serve the page by https or from localhost, outside of a private window; or use `Rullama.openai()` or `apiHandler`.',
    });
  }
  const registration = await register(container, options);
  const handler = apiHandler(engine, options);
  const closed = new AbortController();
  const who = ({ data, ports: [port] }: MessageEvent<ToPage>) => {
    if (data?.rullama === 'who' && port) take(port, handler, registration, closed.signal);
  };
  container.addEventListener('message', who);
  container.startMessages();
  void engine.lost.then(() => closed.abort());
  closed.signal.addEventListener('abort', () => container.removeEventListener('message', who));
  await claimed(container, registration, options.worker !== false).catch((thrown) => {
    closed.abort();
    throw thrown;
  });
  const base = options.base?.replace(/\/*$/, '/') ?? registration.scope;
  return { address: new URL(base, location.href).href.replace(/\/$/, ''), close: () => closed.abort() };
}

async function register(container: ServiceWorkerContainer, { worker = 'service-worker.js', base }: ServiceOptions) {
  if (worker === false) return container.ready;
  const address = new URL(worker, document.baseURI);
  if (base !== undefined) address.searchParams.set('base', base);
  try {
    return await container.register(address);
  } catch (cause) {
    const { message } = RullamaError.from(cause);
    throw new RullamaError('invalid-argument', `The service worker ${address.href} cannot be registered: ${message}`, {
      remedy: "Copy the package's dist/service-worker.js beside the page, and name its address with the option `worker`.",
      cause,
    });
  }
}

/**
 * Waits until requests of this page go by the worker: one that waits for an earlier one to go takes its place.
 *
 * @throws RullamaError `invalid-argument` where the browser does not let it.
 */
async function claimed(container: ServiceWorkerContainer, registration: ServiceWorkerRegistration, own: boolean): Promise<void> {
  const { installing, waiting, active } = registration;
  const worker = own ? (installing ?? waiting ?? active) : active;
  if (!worker) return;
  const refused = (why: string, remedy: string) => new RullamaError('invalid-argument', `The service worker ${worker.scriptURL} ${why}.`, { remedy });
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      if (worker.state === 'installed') worker.postMessage({ rullama: 'take' });
      else if (worker.state === 'activated') resolve();
      else if (worker.state === 'redundant') reject(refused('was refused by the browser', 'Look into its console for why, and reload the page.'));
    };
    worker.addEventListener('statechange', look);
    look();
  });
  // A page outside of the worker's folder is never controlled: it holds the engine for others.
  const controlled = () => container.controller?.scriptURL === worker.scriptURL || !location.href.startsWith(registration.scope);
  if (controlled()) return;
  worker.postMessage({ rullama: 'claim' });
  const late = Date.now() + CLAIM;
  while (!controlled()) {
    if (Date.now() > late) throw refused('does not get to see what this page asks', 'Reload the page, not past the cache (without Shift).');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One request: its answer by `port`, piece by piece. */
function take(port: MessagePort, handler: ReturnType<typeof apiHandler>, registration: ServiceWorkerRegistration, closed: AbortSignal): void {
  const control = new AbortController();
  const stop = () => control.abort();
  closed.addEventListener('abort', stop, { once: true });
  (port as EventTarget).addEventListener('close', stop);
  const send = (message: FromPage) => port.postMessage(message);
  port.onmessage = async ({ data }: MessageEvent<ToPage>) => {
    if (data.rullama === 'cancel') return stop();
    if (data.rullama !== 'request') return;
    const awake = setInterval(() => registration.active?.postMessage({ rullama: 'alive' }), AWAKE);
    try {
      const { method, path, type, body } = data;
      const init = { method, body, signal: control.signal, ...(type && { headers: { 'Content-Type': type } }) };
      const response = await handler(new Request(new URL(path, location.origin), init));
      send({ head: { status: response.status, headers: [...response.headers] } });
      if (response.body) await forward(response.body, send, control.signal);
      send({ end: undefined });
    } catch (thrown) {
      send({ end: RullamaError.from(thrown).message });
    } finally {
      clearInterval(awake);
      closed.removeEventListener('abort', stop);
    }
  };
  send({ here: !closed.aborted });
}

async function forward(body: ReadableStream<Uint8Array<ArrayBuffer>>, send: (message: FromPage) => void, signal: AbortSignal): Promise<void> {
  const reader = body.getReader();
  const stop = () => void reader.cancel();
  signal.addEventListener('abort', stop, { once: true });
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    send({ chunk: value });
  }
}
