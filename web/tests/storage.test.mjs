// What keeps conversations fails, in the ways that browsers have: it is said by name, nothing that is open is lost, and the page goes on.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage } from './browser.mjs';
import { chatsUnderTest, questions } from './chats.mjs';
import { ask, finished, waitForChat } from './person.mjs';

const { address, context, openLoaded, origin } = chatsUnderTest();
const trouble = (page, kind) => page.waitForSelector(`[data-trouble=${kind}]`);

/** The page with a model, after `script` has run in it. */
async function openWith(script) {
  const { page, problems } = await openPage(context(), 'about:blank');
  await page.addInitScript(script);
  await page.goto(address());
  await page.waitForSelector('#load-embedded:enabled');
  return { page, problems };
}

async function load(page) {
  await page.click('#load-embedded');
  await waitForChat(page);
}

/** Whether leaving the page is asked about. */
async function asks(page) {
  let asked = false;
  const answer = (dialog) => {
    asked = true;
    return dialog.dismiss();
  };
  page.on('dialog', answer);
  await page.evaluate(() => setTimeout(() => location.reload()));
  await page.waitForTimeout(700);
  page.off('dialog', answer);
  return asked;
}

for (const [kind, what, script] of [
  ['absent', /IndexedDB is missing/, () => Reflect.deleteProperty(globalThis, 'indexedDB') && Object.defineProperty(globalThis, 'indexedDB', { value: undefined })],
  ['refused', /IndexedDB is blocked/, () => { IDBFactory.prototype.open = () => { throw new DOMException('denied', 'SecurityError'); }; }],
]) {
  test(`without storage (${kind}) the page says why, and conversations last as long as it does`, async () => {
    const { page, problems } = await openWith(script);
    await trouble(page, kind);
    assert.match(await page.locator('.trouble').innerText(), what);
    await load(page);
    await ask(page, 'hello');
    await finished(page, 1);
    await page.click('#new-chat');
    await ask(page, 'second');
    await finished(page, 1);
    await page.click('.chat-link:has-text("hello")');
    await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'hello');
    assert.equal(await asks(page), true, 'what would be lost is asked about');
    await questions(page, 'hello');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('.trouble button:has-text("Export all")')]);
    assert.match(download.suggestedFilename(), /\.json$/);
    assert.deepEqual(problems, []);
  });
}

test('a full storage is said, all goes on in memory, and is kept as soon as there is room', async () => {
  // The bound holds from the first opening of the database on.
  const { page: first } = await openPage(context(), `${origin()}/model/model.json`);
  const session = await first.context().newCDPSession(first);
  await session.send('Storage.overrideQuotaForOrigin', { origin: origin(), quotaSize: 100_000 });
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  const message = (i) => ({ id: `m${i}`, parent: i ? `m${i - 1}` : null, role: 'user', content: 'full '.repeat(200_000), created: 1 + i });
  const large = { format: 'rullama-chats', version: 1, chats: [{ id: 'x', title: 'Large', created: 1, changed: 1, messages: [message(0), message(1)] }] };
  await page.setInputFiles('#import-file', { name: 'large.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(large)) });
  await trouble(page, 'quota');
  await page.waitForSelector('.chat-link:has-text("Large")');
  await ask(page, 'two');
  assert.match(await page.locator('.trouble').innerText(), /storage .*is full.*Delete conversations/s);
  await finished(page, 2);
  await ask(page, 'recall');
  await finished(page, 3);
  assert.equal(await asks(page), true);
  await page.click('#new-chat');
  await page.click('.chat-link:has-text("hello")');
  await page.waitForFunction(() => document.querySelectorAll('.message.user').length === 3);
  await session.send('Storage.overrideQuotaForOrigin', { origin: origin() });
  await page.click('.trouble button:has-text("Try again")');
  await page.waitForSelector('.trouble', { state: 'detached' });
  page.on('dialog', (dialog) => assert.fail(dialog.type()));
  await page.reload();
  await page.waitForFunction(() => document.querySelectorAll('.message.user').length === 3);
});

test('what the browser removes while the page is open is said, and what is open is kept again', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await page.click('#new-chat');
  await ask(page, 'still here');
  await finished(page, 1);
  const session = await page.context().newCDPSession(page);
  await session.send('Storage.clearDataForOrigin', { origin: origin(), storageTypes: 'indexeddb' });
  await page.waitForSelector('.note:has-text("removed the conversations")');
  await page.waitForFunction(() => document.querySelectorAll('.chat-link').length === 1);
  assert.equal(await page.locator('.trouble').count(), 0);
  await page.reload();
  await page.waitForSelector('.message.user');
  await questions(page, 'still here');
});

test('a newer version of the page in another tab is said in this one', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  const { page: other } = await openPage(context(), `${origin()}/model/model.json`);
  await other.evaluate(() => new Promise((resolve, reject) => {
    const request = indexedDB.open('rullama', 1000);
    request.onsuccess = () => resolve(request.result.close());
    request.onerror = () => reject(request.error);
  }));
  await trouble(page, 'outdated');
  assert.match(await page.locator('.trouble').innerText(), /newer version of this page.*Reload this tab/s);
  await ask(page, 'more');
  await finished(page, 2);
  // A page that is older than what it finds leaves it alone.
  const { page: older } = await openPage(context(), address());
  await trouble(older, 'newer');
});

test('the browser is asked to keep what is here after the first answer, once', async () => {
  const { page } = await openWith(() => {
    globalThis.asked = 0;
    StorageManager.prototype.persisted = async () => false;
    StorageManager.prototype.persist = async () => Boolean((globalThis.asked += 1));
  });
  await load(page);
  assert.equal(await page.evaluate(() => globalThis.asked), 0);
  await ask(page, 'hello');
  await finished(page, 1);
  await ask(page, 'hello');
  await finished(page, 2);
  assert.equal(await page.evaluate(() => globalThis.asked), 1);
});
