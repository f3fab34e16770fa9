// Registers the service worker, says when a new version of the page is ready, and offers to install the page as a program.

import { h } from '../dom.ts';
import { ChatText } from '../texts/en/chat.ts';
import { t } from '../texts/text.ts';

/** Milliseconds between two looks for a new version, in a page that stays open. */
const OFTEN = 3_600_000;

/** Begins once the page stands, so that nothing of it waits. */
export function stayCurrent(): void {
  const { serviceWorker } = navigator;
  // Not on http from another machine, and not in some private windows.
  if (!serviceWorker) return;
  offerInstall();
  const begin = () => void serviceWorker.register('./service-worker.js', { updateViaCache: 'none' }).then((registration) => registration && watch(registration), () => undefined);
  if (document.readyState === 'complete') begin();
  else window.addEventListener('load', begin, { once: true });
}

function watch(registration: ServiceWorkerRegistration): void {
  const look = () => {
    // The first one ever has nothing to replace.
    if (registration.waiting && navigator.serviceWorker.controller) announce();
  };
  look();
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', look));
  let looked = Date.now();
  document.addEventListener('visibilitychange', () => {
    if (document.hidden || Date.now() - looked < OFTEN) return;
    looked = Date.now();
    void registration.update().catch(() => undefined);
  });
}

/** A remark that stays until it is closed. */
function announce(): void {
  if (document.querySelector('.update')) return;
  const close = () => remark.remove();
  const remark: HTMLElement = h('div', { className: 'update', role: 'status' },
    h('p', {}, t(ChatText.aNewVersionOf)),
    h('p', { className: 'actions' },
      h('button', { type: 'button', id: 'renew', onclick: () => location.reload() }, t(ChatText.reloadNow)),
      h('button', { type: 'button', className: 'quiet', onclick: close }, t(ChatText.later))));
  document.getElementById('main')?.prepend(remark);
}

/** The browser's question whether to install, kept for the button. */
interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

function offerInstall(): void {
  let asked: InstallEvent | undefined;
  const button = h('button', { type: 'button', id: 'install' }, t(ChatText.installAsAProgram));
  const row = h('p', { className: 'install', hidden: true }, button, h('span', { className: 'hint' }, t(ChatText.itOpensInA)));
  document.getElementById('start')?.append(row);
  button.onclick = () => {
    void asked?.prompt().catch(() => undefined);
    row.hidden = true;
  };
  window.addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault();
    asked = event as InstallEvent;
    row.hidden = false;
  });
  window.addEventListener('appinstalled', () => (row.hidden = true));
}
