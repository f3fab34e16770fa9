// What a person does on the page, and what they look for.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PATIENCE_MS, openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

/** Serves app/dist to a browser of its own for the tests of a file: `site` and `browser`, once they run. */
export function builtPage() {
  const built = {};
  before(async () => {
    built.site = await startServer({ '/': path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist') });
    built.browser = await startBrowser();
  });
  after(async () => {
    await built.browser?.close();
    await built.site?.close();
  });
  return built;
}

/** Of a built page, what opens it at an address below it with the embedded model, in a context of so many tokens. */
export function pageUnderTest(usual = '') {
  const built = builtPage();
  return async (query = usual, { context, ...options } = {}) => {
    const opened = await openStartAt(built.browser.context, `${built.site.url}/${query}`, options);
    const { page } = opened;
    if (context) {
      await page.click('.advanced summary');
      await page.fill('[name=context]', String(context));
    }
    await page.click('#load-embedded');
    await waitForChat(page);
    return opened;
  };
}

/** The page before a model is chosen. */
export async function openStartAt(context, address, options) {
  const opened = await openPage(context, address, options);
  await opened.page.waitForSelector('#load-embedded:enabled');
  return opened;
}

/** The page with the embedded model. */
export async function openLoadedAt(context, address, options) {
  const opened = await openStartAt(context, address, options);
  await opened.page.click('#load-embedded');
  await waitForChat(opened.page);
  return opened;
}

export const waitForChat = (page) => page.waitForSelector('#prompt:enabled:visible');

/** Short answers: the software adapter is slow. */
export async function limitAnswers(page, tokens) {
  await page.click('#open-settings');
  await page.fill('[name=maxTokens]', String(tokens));
  await page.click('dialog .primary');
}

export async function ask(page, text) {
  await page.fill('#prompt', text);
  await page.press('#prompt', 'Enter');
}

export const finished = (page, answers) =>
  page.waitForFunction((n) => document.querySelectorAll('.message.model .stats').length === n, answers);

/** The texts of all answers, the last one at least, once they are laid out. */
export async function answerTexts(page) {
  await page.waitForFunction(() => document.querySelector('.message.model .body') && !document.querySelector('.message.model .body > .as-written'));
  return page.locator('.message.model .body').allInnerTexts();
}

export const answerText = async (page) => (await answerTexts(page)).at(-1);
export const statsOf = (page) => page.locator('.stats').last().innerText();

/** Waits for the first error; gives what it says. */
export async function expectError(page, code) {
  const card = page.locator('.error').first();
  await card.waitFor();
  const [shown, what, remedy] = await Promise.all([
    card.getAttribute('data-code'),
    card.locator('.what').innerText(),
    card.locator('.remedy').innerText(),
  ]);
  assert.match(shown, code, what);
  assert.ok(what.length > 10 && remedy.length > 10, `${what} / ${remedy}`);
  return what;
}

/** Names and sizes of the files with what the model has read of chats. */
export const keptKeys = (page) =>
  page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('rullama-keys').catch(() => undefined);
    const found = [];
    try {
      for await (const [name, entry] of folder?.entries() ?? []) found.push({ name, size: (await entry.getFile()).size });
    } catch {
      // It is being changed.
      return [{ name: '', size: 0 }];
    }
    return found;
  });

/** Addresses of what the page keeps when it is first asked for. */
export const keptLater = (page) => page.evaluate(async () => (await (await caches.open('rullama-later')).keys()).map(({ url }) => url));

/** Characters of what was found instead. */
const LONGEST_SAID = 400;

/** Waits until what is found is as it should be; gives it. What is asked while a page reloads fails, or has no answer ever. */
export async function until(what, holds, limit = PATIENCE_MS) {
  const end = Date.now() + limit;
  let found;
  while (Date.now() < end) {
    found = await Promise.race([what().then((value) => ({ value })), wait(2000, { never: true })]).catch((error) => ({ error }));
    if ('value' in found && holds(found.value)) return found.value;
    await wait(50);
  }
  assert.fail(`never came: ${JSON.stringify(found.value)?.slice(0, LONGEST_SAID) ?? found.error ?? 'no answer'}`);
}

/** Waits until so many of them are there as a whole. */
export const keptAre = (page, count) => until(() => keptKeys(page), (files) => files.length === count && files.every(({ size }) => size > 0));
