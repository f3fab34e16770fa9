// A question asked again, of another model or with other settings: two answers beside each other. A development build with the fake engine.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerText, ask, builtPage, finished, openLoadedAt, waitForChat } from './person.mjs';

const built = builtPage();
const SERVED = { models: [{ name: 'other model', url: 'http://localhost/other.gguf' }, { name: 'huge model', url: 'http://localhost/huge.gguf' }, { name: 'slow model', url: 'http://localhost/slow.gguf' }] };

/** A chat with one answer, on a page whose server has other models. */
async function answered(question = 'hello') {
  const { context } = built.browser;
  await context.route('**/models.json', (route) => route.fulfill({ json: SERVED }));
  const { page, problems } = await openLoadedAt(context, `${built.site.url}/?fake=1`);
  await ask(page, question);
  await finished(page, 1);
  return { page, problems };
}

const second = '.comparison .columns > article:nth-of-type(2)';

async function askAgain(page, fill = async () => undefined) {
  await page.locator('[data-tool=compare]').last().click();
  await page.waitForSelector('dialog.ask-again[open]');
  await fill();
  await page.click('.ask-again .primary');
}

const versions = (page) => page.locator('.versions').last().getAttribute('aria-label');

test('other settings: both answers with their speed and time; the one that is chosen goes on, with its settings', async () => {
  const { page, problems } = await answered();
  await askAgain(page, async () => {
    await page.fill('.ask-again [name=temperature]', '0.25');
    await page.check('.ask-again [name=thinking]');
    await page.fill('.ask-again [name=system]', 'Be brief.');
  });
  await page.waitForSelector(`${second} [data-tool=choose]`);
  assert.match(await page.locator(second).innerText(), /temperature 0\.25 · thinks first · Be brief\.[^]*tok\/s[^]*in all/);
  assert.match(await page.locator('.comparison .columns > article').first().innerText(), /tok\/s[^]*in all/);
  // Beside each other where there is room, else one below the other.
  const [a, b] = [await page.locator('.comparison .columns > article').first().boundingBox(), await page.locator(second).boundingBox()];
  assert.ok(b.x >= a.x + a.width && Math.abs(a.y - b.y) < 2);
  await page.setViewportSize({ width: 390, height: 800 });
  const [c, d] = [await page.locator('.comparison .columns > article').first().boundingBox(), await page.locator(second).boundingBox()];
  assert.ok(d.y >= c.y + c.height && d.x + d.width <= 390);
  await page.setViewportSize({ width: 1100, height: 800 });
  // Without a choice the first stays, and the second is a version of it.
  await page.keyboard.press('Escape');
  assert.equal(await versions(page), 'Version 1 of 2');
  await page.reload();
  await page.click('#load-last');
  await waitForChat(page);
  assert.equal(await versions(page), 'Version 1 of 2');
  await askAgain(page, () => page.fill('.ask-again [name=system]', 'Be long.'));
  await page.click(`${second} [data-tool=choose]`);
  await page.waitForSelector('.versions[aria-label="Version 3 of 3"]');
  await page.click('#open-settings');
  assert.equal(await page.inputValue('#system'), 'Be long.');
  await page.keyboard.press('Escape');
  await ask(page, 'and now');
  await finished(page, 2);
  assert.deepEqual(problems, []);
  await page.close();
});

test('another model is loaded in place of the first, which comes back when its answer is chosen', async () => {
  const { page } = await answered();
  const first = await answerText(page);
  await askAgain(page, async () => {
    await page.selectOption('.ask-again [name=model]', { label: 'other model' });
    assert.match(await page.locator('.ask-again .hint').innerText(), /rullama demo is closed, other model is loaded/);
  });
  await page.waitForSelector(`${second} [data-tool=choose]`);
  assert.equal(await page.locator(`${second} h3`).first().innerText(), 'other model');
  assert.equal(await page.textContent('#model-name'), 'other model');
  const choose = page.locator('.comparison .columns > article').first();
  assert.match(await choose.innerText(), /Loads rullama demo again\./);
  await choose.locator('[data-tool=choose]').click();
  await page.waitForFunction(() => document.querySelector('#model-name').textContent === 'rullama demo' && document.querySelector('#prompt:enabled'));
  await waitForChat(page);
  assert.equal(await versions(page), 'Version 1 of 2');
  assert.equal(await answerText(page), first);
  await page.close();
});

test('a model that cannot be loaded, a load that is cancelled, an answer that fails or is stopped: nothing of the conversation is lost', async () => {
  const { page } = await answered();
  await askAgain(page, () => page.selectOption('.ask-again [name=model]', { label: 'huge model' }));
  await page.waitForSelector('.note:has-text("huge model could not be loaded, and the conversation goes on with rullama demo")');
  await askAgain(page, () => page.selectOption('.ask-again [name=model]', { label: 'slow model' }));
  await page.click('#cancel-load');
  await page.waitForSelector('.note:has-text("slow model was not loaded")');
  assert.equal(await page.locator('.message').count(), 2);
  assert.equal(await page.textContent('#model-name'), 'rullama demo');
  await ask(page, 'flaky');
  await finished(page, 2);
  await askAgain(page);
  await page.waitForSelector('.comparison .error[data-code=nan]');
  await page.click('.comparison .error button');
  await page.waitForSelector(`${second} [data-tool=choose]`);
  await page.keyboard.press('Escape');
  await ask(page, 'long');
  await page.click('#stop');
  await finished(page, 3);
  await askAgain(page);
  await page.waitForSelector('.comparison .waiting, .comparison .writing');
  await page.keyboard.press('Escape');
  await page.locator('.comparison footer .quiet').waitFor();
  await page.waitForFunction(() => !document.querySelector('.comparison .writing, .comparison .waiting'));
  await page.keyboard.press('Escape');
  await page.waitForSelector('.comparison', { state: 'detached' });
  assert.equal(await page.locator('.message').count(), 6);
  assert.match(await page.locator('.message.user').last().innerText(), /long/);
  await page.close();
});
