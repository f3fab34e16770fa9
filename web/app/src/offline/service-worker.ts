// The page's service worker: the page opens without a network, in the version that was taken whole. A new version waits for the next
// reload by the only tab, so that no tab gets files of two.

import { Precache, type Manifest } from './precache.ts';

declare const __PRECACHE__: Manifest;
declare const self: ServiceWorkerGlobalScope;

/** What may answer a request, in this order; the first that does not leave it has it. */
type Answer = (event: FetchEvent) => Promise<Response> | undefined;

const precache = new Precache(__PRECACHE__, self.registration.scope, self.caches);

const answers: Answer[] = [
  (event) => (event.request.mode === 'navigate' && self.registration.waiting ? renew(event) : undefined),
  (event) => precache.answer(event.request, (work) => event.waitUntil(work)),
];

self.addEventListener('install', (event) => event.waitUntil(precache.install()));

self.addEventListener('activate', (event) => event.waitUntil(precache.clean().then(() => self.clients.claim())));

self.addEventListener('fetch', (event) => {
  for (const answer of answers) {
    const response = answer(event);
    if (response) return event.respondWith(response);
  }
});

self.addEventListener('message', (event) => {
  if (event.data === 'renew') event.waitUntil(self.skipWaiting());
});

const AGAIN = '<!doctype html><meta name="color-scheme" content="light dark"><title>rullama</title><script>setTimeout(() => location.reload(), 50)</script>';

/** With the only tab reloading, the version that waits takes over, and the tab asks it. */
function renew(event: FetchEvent): Promise<Response> | undefined {
  const usual = precache.answer(event.request, (work) => event.waitUntil(work));
  if (!usual) return undefined;
  return (async () => {
    const tabs = await self.clients.matchAll({ type: 'window' });
    const { waiting } = self.registration;
    if (tabs.length > 1 || !waiting) return usual;
    waiting.postMessage('renew');
    // Not a `Refresh` header: where the address ends in a fragment, that would only scroll.
    return new Response(AGAIN, { headers: { 'Content-Type': 'text/html; charset=utf-8' } });
  })();
}
