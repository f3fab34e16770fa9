// What `rullama serve --lan` gives a browser of another machine, as docs/phone.md has it: over https by its own certificate the page, the
// GPU and the models of the store, and no service worker.
//
// Needs the program (RULLAMA_BIN, or target/debug) and app/dist.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from './browser.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const program = process.env.RULLAMA_BIN ?? path.join(here, '../../target/debug/rullama');
const noProgram = !existsSync(program) && `${program} is not there: run \`cargo build -p rullama-cli\``;
const addresses = Object.values(os.networkInterfaces()).flat().filter(({ internal, family }) => !internal && family === 'IPv4');

test('the link of --lan opens the page with a GPU and the store, once the certificate is accepted', { skip: noProgram || (addresses.length === 0 && 'this machine is in no network') }, async () => {
  const home = mkdtempSync(path.join(os.tmpdir(), 'rullama-lan-'));
  const env = { ...process.env, HOME: home, XDG_CACHE_HOME: home, LOCALAPPDATA: home };
  const server = spawn(program, ['serve', '--lan', '--port', '0', '--web', path.join(here, '../app/dist')], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const browser = await startBrowser({ ignoreHTTPSErrors: true, serviceWorkers: 'allow' });
  try {
    let said = '';
    for await (const part of server.stdout) if (/open https:\S+\s/.test((said += part))) break;
    const [, link] = /open (https:\S+)/.exec(said);
    assert.doesNotMatch(link, /127\.0\.0\.1|localhost/);
    const page = await browser.context.newPage();
    await page.goto(link);
    await page.waitForSelector('#load-embedded:enabled');
    const found = await page.evaluate(async () => ({
      secure: isSecureContext,
      adapter: (await navigator.gpu.requestAdapter()) !== null,
      models: (await fetch('models.json')).status,
      token: location.search,
      worker: await navigator.serviceWorker.register('service-worker.js').then(() => 'registered', (error) => error.name),
    }));
    assert.deepEqual(found, { secure: true, adapter: true, models: 200, token: '', worker: 'SecurityError' });
    // Who has not come by the link sees no models.
    const stranger = await new Promise((resolve, reject) => https.get(new URL('/models.json', link), { rejectUnauthorized: false }, resolve).on('error', reject));
    stranger.resume();
    assert.equal(stranger.statusCode, 401);
    await page.goto(link.replace('https:', 'http:').split('?')[0]);
    assert.match(page.url(), /^https:/, 'http is sent on');
  } finally {
    server.kill();
    await browser.close();
    rmSync(home, { recursive: true, force: true });
  }
});
