// The engine without a network, as shipped.
//
// Needs app/dist (npm run build) with a model in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from './browser.mjs';
import { ask, finished, limitAnswers, openStartAt, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';

const dist = path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist');
const { file } = JSON.parse(readFileSync(path.join(dist, 'model/model.json'), 'utf8'));
let browser;
let sites;

before(async () => {
  browser = await startBrowser({ serviceWorkers: 'allow' });
  // The page, and another server for a model by its address.
  sites = [await startServer({ '/': dist }), await startServer({ '/': path.join(dist, 'model') }, { cors: true })];
});
after(async () => {
  await browser?.close();
  for (const site of sites ?? []) await site.close();
});

const full = process.env.RULLAMA_FULL ? {} : { skip: 'RULLAMA_FULL is not set: it loads the model twice' };

test('what was stored opens, loads and answers without a network', full, async () => {
  const [site, models] = sites;
  const { page } = await openStartAt(browser.context, `${site.url}/`);
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  const address = `${models.url}/${file}`;
  const load = async () => {
    await page.click('.advanced summary');
    await page.selectOption('[name=store]', 'always');
    await page.fill('#url', address);
    await page.click('#load-url');
    await waitForChat(page);
  };
  await load();
  for (const one of sites) await one.close();
  await page.goto(`${site.url}/`);
  await page.waitForSelector('#load-url');
  await load();
  await limitAnswers(page, 8);
  await ask(page, 'Hello');
  await finished(page, 1);
  assert.ok((await page.locator('.message.model .body').innerText()).trim().length > 0);
});
