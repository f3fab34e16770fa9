// What a person does with conversations, in a browser that has kept none yet.
import path from 'node:path';
import { after, before, beforeEach } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from './browser.mjs';
import { ask, finished, openLoadedAt, until, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';

const dist = path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist');

/** Serves app/dist; each test has a fresh browser. Gives what opens the page with the fake engine. */
export function chatsUnderTest(options = {}) {
  let site;
  let browser;
  before(async () => (site = await startServer({ '/': dist })));
  beforeEach(async () => {
    await browser?.close();
    browser = await startBrowser({ webgpu: false, ...options });
  });
  after(async () => {
    await browser?.close();
    await site?.close();
  });
  const address = () => `${site.url}/?fake=1`;
  return {
    address,
    origin: () => site.url,
    context: () => browser.context,
    openLoaded: (options) => openLoadedAt(browser.context, address(), options),
  };
}

export const users = (page) => page.locator('.message.user > p').allInnerTexts();

/** Loads the model that was loaded before the page was left. */
export async function loadAgain(page) {
  await page.click('#load-last');
  await waitForChat(page);
}

/** Opens the menu of a conversation and chooses an entry. */
export async function choose(page, title, entry) {
  await page.click(`[aria-label="More for ${title}"]`);
  await page.click(`[role=menuitem]:has-text("${entry}")`);
}

/** A new conversation with these questions. */
export async function chat(page, ...texts) {
  await page.click('#new-chat');
  for (const [i, question] of texts.entries()) {
    await ask(page, question);
    await finished(page, i + 1);
  }
}

/** Waits until the list has these titles, in this order. */
export const titled = (page, ...expected) =>
  page.waitForFunction((list) => JSON.stringify([...document.querySelectorAll('.chat-title')].map((e) => e.textContent)) === JSON.stringify(list), expected);

/** Waits until the conversation has these questions, in this order. */
export const questions = (page, ...expected) => until(() => users(page), (list) => JSON.stringify(list) === JSON.stringify(expected));
