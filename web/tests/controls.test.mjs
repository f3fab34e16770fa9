// The page's controls, on a development build with the fake engine: settings, focus, headings, drops, served models, widths.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, expectError, finished, pageUnderTest, waitForChat } from './person.mjs';

const openLoaded = pageUnderTest('?fake=1');
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.tagName);
const kept = (page) => page.evaluate(() => localStorage.getItem('rullama.settings'));

/** Drops a file with this content onto the window. */
const drop = (page, name, content) =>
  page.evaluate(([name, content]) => {
    const data = new DataTransfer();
    data.items.add(new File([content], name));
    window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [name, content]);

test('settings are kept by Done alone, and only in range', async () => {
  const { page } = await openLoaded();
  const before = await kept(page);
  for (const close of [() => page.keyboard.press('Escape'), () => page.mouse.click(5, 5), () => page.click('[aria-label="Close settings"]')]) {
    await page.click('#open-settings');
    await page.fill('[name=temperature]', '9');
    await close();
    await page.waitForSelector('dialog', { state: 'hidden' });
    assert.equal(await kept(page), before);
  }
  for (const [name, value, label] of [['temperature', '9', 'Temperature'], ['maxTokens', '-1', 'Longest answer'], ['maxTokens', '0', 'Longest answer'], ['topP', '7', 'Top-p']]) {
    await page.click('#open-settings');
    await page.fill(`[name=${name}]`, value);
    await page.click('dialog .primary');
    assert.match(await page.locator('dialog .problem').innerText(), new RegExp(`^${label} is`));
    assert.ok(await page.locator('dialog').isVisible());
    await page.keyboard.press('Escape');
    assert.equal(await kept(page), before);
  }
  const set = async (lasting) => {
    await page.click('#open-settings');
    await page.fill('[name=maxTokens]', '3');
    if (lasting) await page.check('#for-new');
    await page.click('dialog .primary');
  };
  await set(false);
  assert.equal(await kept(page), before, 'they are of this chat alone');
  await ask(page, 'long');
  await finished(page, 1);
  assert.match(await page.locator('.stats').innerText(), /3 tokens.*length limit$/);
  await set(true);
  assert.match(await kept(page), /"maxTokens":"3"/);
  await page.click('#new-chat');
  await page.click('#open-settings');
  assert.equal(await page.inputValue('[name=maxTokens]'), '3');
  await page.evaluate(() => localStorage.removeItem('rullama.settings'));
  await page.close();
});

test('answers of a form are JSON, shown as code; what is no schema, or cannot be kept, is named', async () => {
  const { page } = await openLoaded();
  const hold = async (schema) => {
    await page.click('#open-settings');
    await page.fill('[name=format]', schema);
    await page.click('dialog .primary');
  };
  await hold('{"type": ');
  assert.match(await page.locator('dialog .problem').innerText(), /^The form of answers is no JSON schema/);
  assert.equal(await focused(page), 'format');
  await page.keyboard.press('Escape');
  await hold('{"type": "object", "not": {}}');
  await ask(page, 'hello');
  assert.match(await expectError(page, /invalid-argument/), /keyword `not`/);
  await hold('{"type": "object"}');
  await ask(page, 'hello');
  await finished(page, 1);
  assert.equal(await page.locator('.message.model .code code').innerText(), '{"kept":{"type":"object"}}');
  await hold('');
  await ask(page, 'hello');
  await finished(page, 2);
  assert.doesNotMatch(await page.locator('.message.model').last().innerText(), /kept/);
  await page.close();
});

test('settings that an earlier visit kept out of range do no harm', async () => {
  const { page } = await openLoaded();
  await page.evaluate(() => localStorage.setItem('rullama.settings', JSON.stringify({ maxTokens: '-1', topP: '7', temperature: 9 })));
  await page.reload();
  await page.click('#load-embedded');
  await waitForChat(page);
  await ask(page, 'hello');
  await finished(page, 1);
  await page.evaluate(() => localStorage.removeItem('rullama.settings'));
  await page.close();
});

test('the focus never falls out of the page', async () => {
  const { page } = await openLoaded();
  await ask(page, 'long');
  await page.focus('#stop');
  await page.keyboard.press('Enter');
  await finished(page, 1);
  assert.equal(await focused(page), 'prompt');
  await page.focus('.regenerate');
  await page.keyboard.press('Enter');
  assert.equal(await focused(page), 'stop');
  await page.keyboard.press('Enter');
  await finished(page, 1);
  await page.waitForFunction(() => document.activeElement.id === 'prompt');
  await page.focus('#change-model');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.id === 'load-embedded');
  await page.fill('#url', 'http://localhost/slow.gguf');
  await page.press('#url', 'Enter');
  await page.waitForFunction(() => document.activeElement.id === 'cancel-load');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement.id === 'load-embedded');
  await page.close();
});

test('every view has one first heading, and no level is skipped', async () => {
  const { page } = await openLoaded();
  const levels = () => page.evaluate(() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1])));
  const ordered = async () => {
    const found = await levels();
    assert.equal(found.filter((level) => level === 1).length, 1, `${found}`);
    assert.equal(found[0], 1, `${found}`);
    found.slice(1).forEach((level, i) => assert.ok(level <= found[i] + 1, `${found}`));
  };
  await ordered();
  await page.click('#change-model');
  await page.waitForSelector('#start:visible');
  await ordered();
  await page.close();
});

test('Copy says that it copied, for a moment', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await page.click('.message.model footer .tool');
  await page.waitForFunction(() => document.querySelector('.message.model footer .tool').textContent !== 'Copy');
  await page.waitForFunction(() => document.querySelector('.message.model footer .tool').textContent === 'Copy');
  await page.close();
});

test('a dropped file is loaded, attached or refused in words', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await drop(page, 'notes.docx', 'PK\0');
  await page.waitForFunction(() => /notes\.docx.*was not attached/.test(document.querySelector('#draft-note').textContent));
  await drop(page, 'notes.txt', 'some text');
  await page.waitForSelector('.attachment:has-text("notes.txt")');
  await drop(page, 'other.gguf', 'GGUF....');
  await page.waitForFunction(() => document.querySelector('#model-name').textContent === 'other.gguf');
  await waitForChat(page);
  assert.equal(await page.locator('.message.user > p').innerText(), 'hello', 'the model goes on with it');
  await page.close();
});

test('any file can be chosen, and text runs in its own direction', async () => {
  const { page } = await openLoaded();
  assert.equal(await page.getAttribute('#file', 'accept'), null);
  await ask(page, 'مرحبا، كيف حالك؟');
  await finished(page, 1);
  assert.equal(await page.locator('.message.user p').evaluate((p) => getComputedStyle(p).direction), 'rtl');
  assert.equal(await page.getAttribute('#prompt', 'dir'), 'auto');
  await page.close();
});

test('served models have a card each and bring their settings', async () => {
  const { page } = await openLoaded();
  const models = [{ name: 'gemma4-tiny:latest', size: 12_908_064, url: '/blobs/sha256-0', parameters: '5B', type: 'Q8_0', system: 'Be brief.', sampling: { temperature: 0.5, stop: null } }];
  await page.route('**/models.json', (route) => route.fulfill({ json: { models } }));
  await page.reload();
  await page.waitForSelector('.served-model');
  assert.equal(await page.locator('.served-model .hint').innerText(), '5B · Q8_0 · 13 MB');
  await page.click('.served-model button');
  await waitForChat(page);
  assert.equal(await page.locator('#model-name').innerText(), 'gemma4-tiny:latest');
  await page.click('#open-settings');
  assert.equal(await page.inputValue('[name=temperature]'), '0.5');
  assert.equal(await page.inputValue('#system'), 'Be brief.');
  await page.close();
});

test('a context out of range is refused by the form, or named without a useless Try again', async () => {
  const { page } = await openLoaded();
  await page.click('#change-model');
  await page.click('.advanced summary');
  for (const context of ['10', '300.5', '999999']) {
    await page.fill('[name=context]', context);
    await page.click('#load-embedded');
    assert.ok(await page.locator('#start').isVisible(), context);
    assert.equal(await page.locator('[name=context]:invalid').count(), 1, context);
  }
  await page.fill('[name=context]', '9000');
  await page.click('#load-embedded');
  assert.match(await expectError(page, /^invalid-argument$/), /context/);
  assert.equal(await page.locator('.error button').count(), 0);
  await page.close();
});

test('addresses that are none are named, before anything is fetched', async () => {
  const { page } = await openLoaded();
  await page.click('#change-model');
  await page.fill('#url', 'gemma4:e2b');
  await page.click('#load-url');
  assert.match(await expectError(page, /^invalid-argument$/), /gemma4:e2b/);
  await page.close();
});

test('narrow windows do not scroll sideways', async () => {
  for (const width of [320, 390]) {
    const { page } = await openLoaded('?fake=1', { viewport: { width, height: 640 }, colorScheme: width === 320 ? 'dark' : 'light' });
    const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await ask(page, 'hello');
    await finished(page, 1);
    assert.equal(await overflow(), 0);
    for (const id of ['new-chat', 'open-settings', 'change-model']) {
      const box = await page.locator(`#${id}`).boundingBox();
      assert.ok(box.x >= 0 && box.x + box.width <= width, `${id} at ${width}`);
    }
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/chat-${width}.png` });
    await page.click('#change-model');
    assert.equal(await overflow(), 0);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/start-${width}.png`, fullPage: true });
    await page.close();
  }
});
