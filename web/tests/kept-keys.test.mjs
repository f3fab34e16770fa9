// What the model has read of recent chats: kept when nothing else goes on, given back where that is faster, gone with the chat; and where
// anything is off, computed again as if it had never been there.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { openPage } from './browser.mjs';
import { chatsUnderTest, choose, loadAgain } from './chats.mjs';
import { answerText, ask, finished, keptAre, keptKeys as kept, statsOf, until } from './person.mjs';

const { context, openLoaded, origin } = chatsUnderTest();

/** Puts files there; of a name that is there already the last bytes are other ones. */
const write = (page, names) =>
  page.evaluate(async (names) => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-keys', { create: true });
    for (const name of names) {
      const file = await folder.getFileHandle(name, { create: true });
      const before = await (await file.getFile()).arrayBuffer();
      const out = await file.createWritable();
      await out.write(before.slice(0, Math.max(0, before.byteLength - 20)));
      await out.write('other bytes than those');
      await out.close();
    }
  }, names);

/** Tokens of the last prompt, and those of them that were not computed again. */
async function prompt(page) {
  const [, all, known = '0'] = /prompt ([\d,]+) tokens(?:, ([\d,]+) known)?/.exec(await statsOf(page));
  return { all: Number(all.replace(',', '')), known: Number(known.replace(',', '')) };
}

/** The page with a chat of one answer, whose keys are kept. */
async function openKept() {
  const opened = await openLoaded();
  await ask(opened.page, 'hello');
  await finished(opened.page, 1);
  await keptAre(opened.page, 1);
  return opened;
}

async function again(page) {
  await page.reload();
  await page.waitForSelector('.message.model');
  await loadAgain(page);
}

test('a chat that is opened again goes on without reading it again', async () => {
  const { page, problems } = await openKept();
  const first = await prompt(page);
  assert.equal(first.known, 0);
  await again(page);
  await ask(page, 'recall');
  await finished(page, 2);
  const second = await prompt(page);
  assert.ok(second.known > first.all && second.known < second.all, JSON.stringify([first, second]));
  assert.match(await answerText(page), /hello.*recall/);
  // Left and come back to, too.
  await keptAre(page, 1);
  await page.click('#new-chat');
  await page.click('.chat-link');
  await page.waitForSelector('.message.model');
  await ask(page, 'third');
  await finished(page, 3);
  const third = await prompt(page);
  assert.ok(third.known >= second.all, JSON.stringify([second, third]));
  assert.deepEqual(problems, []);
});

test('what does not belong to the chat or the model is computed: damaged, edited, other words for the model, other caches', async () => {
  const { page, problems } = await openKept();
  const expectComputed = async (answers) => {
    await ask(page, 'recall');
    await finished(page, answers);
    assert.equal((await prompt(page)).known, 0);
    assert.match(await answerText(page), /recall/);
  };
  await again(page);
  await write(page, (await kept(page)).map(({ name }) => name));
  await expectComputed(2);
  await keptAre(page, 1);
  await again(page);
  await page.click('#open-settings');
  await page.fill('#system', 'Speak like a pilot.');
  await page.click('dialog .primary');
  await expectComputed(3);
  await keptAre(page, 1);
  await page.reload();
  await page.click('#choose-model');
  await page.click('.advanced summary');
  await page.selectOption('#kv', 'f32');
  await page.click('#load-embedded');
  await page.waitForSelector('.message.model');
  await expectComputed(4);
  await keptAre(page, 1);
  // The first question is another one.
  await again(page);
  await page.locator('.message.user').first().hover();
  await page.locator('.message.user [data-tool=edit]').first().click();
  await page.fill('.message.user textarea', 'recall anew');
  await page.click('.message.user button.primary');
  await finished(page, 1);
  assert.equal((await prompt(page)).known, 0);
  assert.deepEqual(problems, []);
});

test('an answer that is tried beside the first leaves what is kept of that', async () => {
  const { page, problems } = await openKept();
  const first = await prompt(page);
  await page.locator('[data-tool=compare]').click();
  await page.fill('.ask-again [name=system]', 'Speak like a pilot.');
  await page.click('.ask-again .primary');
  await page.waitForSelector('.comparison .columns > article:nth-of-type(2) [data-tool=choose]');
  await page.waitForTimeout(1500);
  await again(page);
  await ask(page, 'recall');
  await finished(page, 2);
  const { known } = await prompt(page);
  assert.ok(known > first.all, JSON.stringify([first, known]));
  assert.deepEqual(problems, []);
});

test('keys go with their chat, and all of them by one click, and when they are switched off', async () => {
  const { page, problems } = await openKept();
  await choose(page, 'hello', 'Delete');
  await keptAre(page, 0);
  await page.click('#new-chat');
  await ask(page, 'second');
  await finished(page, 1);
  await keptAre(page, 1);
  await page.click('#change-model');
  const line = page.locator('#kept-models .keys');
  await line.waitFor();
  assert.match(await line.innerText(), /has read of 1 recent chat: [\d.]+ k?B\./);
  // What it takes is part of the sum, and the focus stands where a model is loaded.
  assert.match(await page.locator('#kept-models').innerText(), /^Kept in this browser\s+[\d.]+ k?B/);
  await page.waitForFunction(() => document.activeElement.id === 'load-embedded');
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/keys-storage.png` });
  await line.locator('button').click();
  await keptAre(page, 0);
  assert.match(await page.locator('#kept-models').innerText(), /The chats are still there/);
  await page.click('#load-embedded');
  await page.waitForSelector('.message.model');
  await ask(page, 'third');
  await finished(page, 2);
  await keptAre(page, 1);
  await page.click('#open-settings');
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/keys-setting.png` });
  assert.ok(await page.isChecked('#keep-keys'));
  await page.uncheck('#keep-keys');
  await page.click('dialog .primary');
  await keptAre(page, 0);
  await ask(page, 'fourth');
  await finished(page, 3);
  await page.waitForTimeout(1500);
  await keptAre(page, 0);
  assert.deepEqual(problems, []);
});

test('nothing is kept while an answer is written or where there is no room, and the oldest make room', async () => {
  const { page, problems } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await ask(page, 'slow');
  await page.waitForTimeout(1500);
  await keptAre(page, 0);
  await finished(page, 2);
  const [{ name }] = await keptAre(page, 1);
  const others = Array.from({ length: 8 }, (_, i) => `other${i}.keys`);
  await write(page, others);
  await ask(page, 'third');
  await finished(page, 3);
  const left = await until(() => kept(page), (files) => files.length === 8);
  assert.deepEqual(left.map((file) => file.name).sort(), [name, ...others.slice(1)].sort());
  const session = await context().newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: origin(), quotaSize: 1000 });
  await page.click('#new-chat');
  await ask(page, 'recall');
  await finished(page, 1);
  await page.waitForTimeout(1500);
  assert.ok(!(await kept(page)).some((file) => !left.some((one) => one.name === file.name)));
  assert.equal(await page.locator('.error').count(), 0);
  assert.deepEqual(problems, []);
});

test('where the storage is full, conversations take the room of what was read', async () => {
  // The bound holds, and the room is known, from the first opening of the database on.
  const { page: first } = await openPage(context(), `${origin()}/model/model.json`);
  const session = await context().newCDPSession(first);
  await session.send('Storage.overrideQuotaForOrigin', { origin: origin(), quotaSize: 10_000_000 });
  await first.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-keys', { create: true });
    const out = await (await folder.getFileHandle('large.keys', { create: true })).createWritable();
    await out.write(new Uint8Array(8 << 20));
    await out.close();
  });
  const { page, problems } = await openLoaded();
  await keptAre(page, 1);
  const message = { id: 'm', parent: null, role: 'user', content: randomBytes(2_400_000).toString('base64'), created: 1 };
  const large = { format: 'rullama-chats', version: 1, chats: [{ id: 'x', title: 'Large', created: 1, changed: 1, messages: [message] }] };
  await page.setInputFiles('#import-file', { name: 'large.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(large)) });
  // Nothing else looks at what was read before the first answer.
  await keptAre(page, 0);
  await page.waitForSelector('#trouble', { state: 'hidden' });
  await page.reload();
  await page.waitForSelector('.chat-link:has-text("Large")');
  assert.deepEqual(problems, []);
});
