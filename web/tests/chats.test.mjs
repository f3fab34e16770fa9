// What a person does with conversations, on a development build with the fake engine: versions, branches, the list, settings, files.
//
// Needs app/dist (npm run build:dev) with a model's description in it. Screenshots go to tests/screenshots.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { chat, chatsUnderTest, choose, questions, titled } from './chats.mjs';
import { answerText, ask, finished } from './person.mjs';

const { address, openLoaded } = chatsUnderTest();
const here = fileURLToPath(new URL('.', import.meta.url));
const shots = path.join(here, 'screenshots');
let folder;

before(() => {
  mkdirSync(shots, { recursive: true });
  folder = mkdtempSync(path.join(os.tmpdir(), 'rullama-chats-'));
});

after(() => rmSync(folder, { recursive: true, force: true }));

test('regenerating makes a version, and the versions are stepped through', async () => {
  const { page, problems } = await openLoaded();
  await ask(page, 'say\none');
  await finished(page, 1);
  await page.click('.regenerate');
  await page.waitForSelector('.versions');
  await finished(page, 1);
  assert.equal((await page.locator('.versions').innerText()).replaceAll('\n', ''), '‹2/2›', 'both are there');
  assert.equal(await page.locator('.versions').getAttribute('aria-label'), 'Version 2 of 2');
  assert.equal(await page.locator('.message.model').count(), 1);
  await ask(page, 'recall');
  await finished(page, 2);
  await page.locator('[data-tool=previous]').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('.message').length === 2);
  assert.equal(await page.evaluate(() => document.activeElement.dataset.tool), 'next', 'the focus stays at the control');
  assert.equal(await page.locator('.versions').getAttribute('aria-label'), 'Version 1 of 2');
  await page.reload();
  await page.waitForSelector('.versions');
  assert.equal(await page.locator('.versions').getAttribute('aria-label'), 'Version 1 of 2', 'the version that is shown is kept');
  await page.click('[data-tool=next]');
  await page.waitForFunction(() => document.querySelectorAll('.message').length === 4);
  assert.deepEqual(problems, []);
});

test('any message is edited into a branch, which the model reads', async () => {
  const { page } = await openLoaded();
  await ask(page, 'recall one');
  await finished(page, 1);
  await ask(page, 'recall two');
  await finished(page, 2);
  await page.locator('.message.user [data-tool=edit]').first().click();
  await page.waitForSelector('.message-editor');
  assert.equal(await page.evaluate(() => document.activeElement.value), 'recall one');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('.message-editor').count(), 0);
  await page.locator('.message.user [data-tool=edit]').first().click();
  await page.fill('.message-editor textarea', 'recall uno');
  await page.keyboard.press('Control+Enter');
  await page.waitForSelector('.versions');
  await finished(page, 1);
  await questions(page, 'recall uno');
  assert.equal((await answerText(page)).trim(), '[recall uno]');
  // The model's own words can be changed, too.
  await page.click('.message.model [data-tool=edit]');
  await page.fill('.message-editor textarea', 'I never said that.');
  await page.click('.message-editor .primary');
  await page.waitForFunction(() => /never said/.test(document.querySelector('.message.model .body').textContent));
  assert.match(await page.locator('.message.model .stats').innerText(), /edited/);
  await ask(page, 'recall three');
  await finished(page, 2);
  assert.equal((await answerText(page)).trim(), '[recall uno] [recall three]');
  // The other branch is as it was.
  await page.locator('.message.user [data-tool=previous]').first().click();
  await page.waitForFunction(() => document.querySelectorAll('.message').length === 4);
  await questions(page, 'recall one', 'recall two');
});

test('conversations are renamed, pinned, found and deleted with undo', async () => {
  const { page, problems } = await openLoaded();
  await chat(page, 'A first *question*');
  await chat(page, 'say\nZürich has a Café');
  await chat(page, 'third');
  await titled(page, 'third', 'say', 'A first *question*');
  await choose(page, 'third', 'Rename');
  await page.fill('.rename', 'Renamed');
  await page.press('.rename', 'Enter');
  await titled(page, 'Renamed', 'say', 'A first *question*');
  await choose(page, 'A first *question*', 'Pin');
  await titled(page, 'A first *question*', 'Renamed', 'say');
  assert.deepEqual(await page.locator('.day').allInnerTexts(), ['Pinned', 'Today']);
  await page.fill('#search', 'zurich cafe');
  await titled(page, 'say');
  assert.match(await page.locator('.chat-link small').innerText(), /Zürich has a Café/);
  assert.match(await page.locator('#side [role=status]').innerText(), /1 conversation found/);
  await page.press('#search', 'Escape');
  await titled(page, 'A first *question*', 'Renamed', 'say');
  // The one that is shown.
  await choose(page, 'Renamed', 'Delete');
  await titled(page, 'A first *question*', 'say');
  await page.waitForSelector('.empty');
  await page.click('.toast button:has-text("Undo")');
  await titled(page, 'A first *question*', 'Renamed', 'say');
  await page.waitForFunction(() => document.querySelector('.message.user')?.textContent.includes('third'));
  await questions(page, 'third');
  await choose(page, 'Renamed', 'Delete');
  await choose(page, 'A first *question*', 'Delete');
  await page.waitForSelector('.toast:has-text("2 conversations are deleted")');
  await page.click('.toast button:has-text("Undo")');
  await titled(page, 'A first *question*', 'Renamed', 'say');
  await choose(page, 'say', 'Delete');
  await titled(page, 'A first *question*', 'Renamed');
  await page.click('.toast [aria-label="Close the remark"]');
  // Behind the remark, what was deleted goes for good.
  await page.waitForFunction(() => new Promise((resolve) => {
    const request = indexedDB.open('rullama');
    request.onsuccess = () => {
      const all = request.result.transaction('messages').objectStore('messages').getAll();
      all.onsuccess = () => resolve(all.result.every(({ content }) => !content.includes('Zürich')));
    };
  }));
  await page.reload();
  await titled(page, 'A first *question*', 'Renamed');
  assert.deepEqual(problems, []);
});

test('the list and its menus work by keyboard', async () => {
  const { page } = await openLoaded();
  await chat(page, 'one');
  await chat(page, 'two');
  await page.focus('#search');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'one');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Rename');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'menuitem');
  await page.keyboard.press('End');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Delete');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Rename');
  await page.keyboard.press('Escape');
  assert.match(await page.evaluate(() => document.activeElement.getAttribute('aria-label')), /More for one/);
  await page.keyboard.press('Enter');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await titled(page, 'two');
  assert.ok(await page.evaluate(() => document.querySelector('#side').contains(document.activeElement)), 'the focus stays in the list');
});

test('settings and system prompt belong to the chat; presets are saved, chosen and deleted with undo', async () => {
  const { page } = await openLoaded();
  await chat(page, 'one');
  const set = async (system, temperature) => {
    await page.fill('#system', system);
    await page.fill('[name=temperature]', temperature);
  };
  await page.click('#open-settings');
  await set('Arr.', '0.3');
  await page.click('#save-preset');
  assert.match(await page.locator('.presets [role=status]').innerText(), /Write a name/);
  await page.fill('#preset-name', 'Pirate');
  await page.press('#preset-name', 'Enter');
  await page.waitForFunction(() => /“Pirate” is saved/.test(document.querySelector('.presets [role=status]').textContent));
  assert.ok(await page.locator('dialog.settings').isVisible());
  await page.click('dialog .primary');
  assert.match(await page.locator('.note').last().innerText(), /from the next answer/);
  await chat(page, 'two');
  await page.click('#open-settings');
  assert.deepEqual([await page.inputValue('#system'), await page.inputValue('[name=temperature]')], ['', '1'], 'another chat has its own');
  await page.selectOption('#preset', { label: 'Pirate' });
  assert.deepEqual([await page.inputValue('#system'), await page.inputValue('[name=temperature]')], ['Arr.', '0.3']);
  await page.click('#delete-preset');
  await page.click('.presets button:has-text("Undo")');
  await page.waitForFunction(() => document.querySelector('#preset').selectedOptions[0].label === 'Pirate');
  await page.keyboard.press('Escape');
  await page.reload();
  await page.click('.chat-link:has-text("one")');
  await page.click('#open-settings');
  assert.deepEqual([await page.inputValue('#system'), await page.inputValue('[name=temperature]')], ['Arr.', '0.3'], 'after a reload as well');
});

test('what is exported is imported in another browser, with its branches', async () => {
  const { page } = await openLoaded();
  await chat(page, 'say\nkept <b>text</b>');
  await page.click('.regenerate');
  await page.waitForSelector('.versions');
  await finished(page, 1);
  const saved = async (run) => {
    const [download] = await Promise.all([page.waitForEvent('download'), run()]);
    const to = path.join(folder, download.suggestedFilename());
    await download.saveAs(to);
    return to;
  };
  const markdown = await saved(() => choose(page, 'say', 'Export as Markdown'));
  assert.match(readFileSync(markdown, 'utf8'), /^# say\n[^]*## You\n\nsay\nkept <b>text<\/b>\n\n## Model \(.*\)\n\nkept <b>text<\/b>\n$/);
  await page.click('#all-chats');
  const json = await saved(() => page.click('[role=menuitem]:has-text("Export all")'));
  assert.match(path.basename(json), /^rullama-chats-\d{4}-\d\d-\d\d\.json$/);
  await page.setInputFiles('#import-file', json);
  await page.waitForSelector('.toast:has-text("here already")');
  const other = await startBrowser({ webgpu: false });
  try {
    const { page: next, problems } = await openPage(other.context, address());
    const wrong = path.join(folder, 'wrong.json');
    writeFileSync(wrong, JSON.stringify({ format: 'rullama-chats', version: 1, chats: [{ id: 'x', title: 7 }] }));
    await next.setInputFiles('#import-file', wrong);
    await next.waitForSelector('.toast:has-text("wrong.json")');
    assert.match(await next.locator('.toast').innerText(), /chats\[0\]\.messages is missing|chats\[0\]\.title is 7/);
    await next.setInputFiles('#import-file', json);
    await next.waitForSelector('.toast:has-text("1 conversation imported")');
    await next.click('.chat-link');
    await next.waitForSelector('.versions');
    assert.equal(await next.locator('.versions').getAttribute('aria-label'), 'Version 2 of 2');
    assert.equal(await next.locator('.message.model b').count(), 0, 'what is imported is text');
    // A dropped export of another program.
    const drop = (text) => next.evaluate((content) => {
      const data = new DataTransfer();
      data.items.add(new File([content], 'conversations.json'));
      window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }, text);
    await drop(readFileSync(path.join(here, '../app/test/exports/chatgpt.json'), 'utf8'));
    await next.waitForSelector('.toast:has-text("2 conversations imported; pictures left out (1)")');
    await next.click('.toast button:has-text("Undo")');
    await titled(next, 'say');
    assert.deepEqual(problems, []);
  } finally {
    await other.close();
  }
});

test('in a narrow window the list is a drawer', async () => {
  const { page } = await openLoaded({ viewport: { width: 390, height: 760 }, colorScheme: 'dark' });
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  await chat(page, 'one');
  await chat(page, 'two');
  assert.ok(await page.locator('#side').isHidden());
  await page.click('#open-chats');
  assert.equal(await page.getAttribute('#open-chats', 'aria-expanded'), 'true');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
  assert.ok(await page.evaluate(() => document.querySelector('#main').inert), 'what is behind it cannot be reached');
  assert.equal(await overflow(), 0);
  await page.screenshot({ path: path.join(shots, 'narrow-drawer.png') });
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'open-chats');
  await page.click('#open-chats');
  await page.click('.chat-link:has-text("one")');
  await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'one');
  assert.ok(await page.locator('#side').isHidden());
  await page.click('#open-chats');
  await page.mouse.click(380, 400);
  assert.ok(await page.locator('#side').isHidden());
  await page.click('.message.user [data-tool=edit]');
  await page.waitForSelector('.message-editor');
  assert.equal(await overflow(), 0);
  await page.keyboard.press('Escape');
  await page.click('.regenerate');
  await page.waitForSelector('.versions');
  await finished(page, 1);
  assert.equal(await overflow(), 0);
  await page.screenshot({ path: path.join(shots, 'narrow-versions.png') });
});

test('a long conversation shows its end first, a long list its newest', async () => {
  const { page } = await openLoaded();
  const message = (i) => ({ id: `m${i}`, parent: i ? `m${i - 1}` : null, role: i % 2 ? 'model' : 'user', content: `text ${i}`, created: 1 + i });
  const chats = Array.from({ length: 250 }, (_, i) => ({ id: `c${i}`, title: `Chat ${i}`, created: 1, changed: 1000 + i, messages: Array.from({ length: i === 249 ? 250 : 1 }, (_, n) => message(n)) }));
  await page.setInputFiles('#import-file', { name: 'many.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify({ format: 'rullama-chats', version: 1, chats })) });
  await page.waitForSelector('.toast:has-text("250 conversations imported")');
  assert.equal(await page.locator('.chat-link').count(), 200);
  await page.click('.older');
  assert.equal(await page.locator('.chat-link').count(), 250);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Chat 49');
  await page.click('.chat-link:has-text("Chat 249")');
  await page.waitForFunction(() => document.querySelectorAll('.message').length === 100);
  assert.match(await page.locator('.message').last().innerText(), /^text 249/);
  await page.click('.earlier button');
  await page.waitForFunction(() => document.querySelectorAll('.message').length === 200);
  const order = await page.locator('.message').evaluateAll((all) => all.map((element) => Number(/text (\d+)/.exec(element.textContent)[1])));
  assert.deepEqual(order, Array.from({ length: 200 }, (_, i) => 50 + i));
  await page.click('.earlier button');
  await page.waitForFunction(() => document.querySelectorAll('.message').length === 250);
  assert.equal(await page.locator('.earlier').count(), 0);
});
