// Conversations in links, on a development build with the fake engine: the address holds them, and only whoever opens it decides to keep one.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { openPage, startBrowser } from './browser.mjs';
import { chat, chatsUnderTest, choose, questions, titled } from './chats.mjs';
import { answerTexts, until } from './person.mjs';

const { address, openLoaded } = chatsUnderTest();

/** The address as the page has it: Playwright's own is told of changes later. */
const addressOf = (page) => page.evaluate(() => location.href);

/** The link that the dialog of a conversation shows. */
async function linkOf(page, title) {
  await choose(page, title, 'Share by a link');
  const link = await page.inputValue('.share input');
  await page.click('.share button:has-text("Close")');
  await page.waitForSelector('.share', { state: 'detached' });
  return link;
}

test('a conversation goes over in a link, and nothing of it to the server', async () => {
  const { page } = await openLoaded();
  await chat(page, 'say\nthe answer', 'more');
  const answers = await answerTexts(page);
  const link = await linkOf(page, 'say');
  assert.ok(link.startsWith(`${address()}#shared=`) && link.length < 2000, link);
  await page.close();
  const other = await startBrowser({ webgpu: false });
  try {
    const requests = [];
    other.context.on('request', (request) => requests.push(`${request.url()} ${request.postData() ?? ''}`));
    const { page, problems } = await openPage(other.context, link);
    await page.waitForSelector('.share b:has-text("say")');
    assert.match(await page.locator('.share').innerText(), /4 messages/);
    assert.equal(await addressOf(page), address(), 'it is out of the address and of the history');
    await page.click('.share button:has-text("Close")');
    assert.equal(await page.locator('.chat-link').count(), 0, 'nothing is kept unasked');
    // The same page is open already.
    await page.evaluate((to) => (location.href = to), link);
    await page.click('.share button:has-text("Keep and show")');
    await titled(page, 'say');
    await questions(page, 'say\nthe answer', 'more');
    assert.deepEqual(await answerTexts(page), answers);
    await until(() => addressOf(page), (now) => /#chat=\w+$/.test(now));
    await page.goto(address());
    await page.evaluate((to) => (location.href = to), link);
    await page.waitForFunction(() => document.querySelectorAll('.message.user').length === 2);
    assert.equal(await page.locator('.chat-link').count(), 1, 'what is here is not kept twice');
    // What the model is told is there to be read before it is kept.
    const asking = JSON.parse(inflateRawSync(Buffer.from(link.split('#shared=')[1], 'base64url')));
    asking.chats[0] = { ...asking.chats[0], id: 'another', settings: { system: 'Speak like a pirate.' } };
    for (const message of asking.chats[0].messages) message.content += ' else';
    await page.evaluate((to) => (location.href = to), `${address()}#shared=${deflateRawSync(JSON.stringify(asking)).toString('base64url')}`);
    await page.click('.share summary');
    await page.waitForSelector('.share details p:has-text("Speak like a pirate.")');
    await page.click('.share button:has-text("Close")');
    await page.evaluate((to) => (location.href = to), link.slice(0, -40));
    await page.waitForSelector('.toast:has-text("damaged or cut off")');
    const held = link.split('#shared=')[1].slice(0, 40);
    assert.ok(requests.length > 0 && requests.every((one) => !one.includes(held) && !one.includes('the answer')));
    assert.deepEqual(problems, []);
  } finally {
    await other.close();
  }
});
