// Reading aloud, on a development build with the fake engine and a voice that only notes what it would say.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, builtPage, finished, waitForChat } from './person.mjs';

const built = builtPage();

/** A page whose browser has these voices. */
async function openWith(voices) {
  const page = await built.browser.context.newPage();
  await page.addInitScript((voices) => {
    globalThis.said = [];
    let queue = [];
    globalThis.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
    const speechSynthesis = {
      getVoices: () => voices,
      speak: (utterance) => (globalThis.said.push([utterance.voice.name, utterance.text]), queue.push(utterance)),
      cancel: () => (globalThis.said.push('stop'), (queue = [])),
    };
    globalThis.endSpeech = () => queue.splice(0).forEach((utterance) => utterance.onend?.());
    Object.defineProperty(window, 'speechSynthesis', { value: speechSynthesis });
  }, voices);
  await page.goto(`${built.site.url}/?fake=1`);
  await page.click('#load-embedded:enabled');
  await waitForChat(page);
  await ask(page, 'hello');
  await finished(page, 1);
  return page;
}

const said = (page) => page.evaluate(() => globalThis.said.splice(0));
const button = (page) => page.locator('[data-tool=voice]');
const shows = (page, text) => page.waitForSelector(`[data-tool=voice]:text-is("${text}")`);

test('an answer is read by a voice of the device, without its code, and stops', async () => {
  const page = await openWith([{ name: 'far', lang: 'en-US', localService: false, default: true }, { name: 'deutsch', lang: 'de-DE', localService: true }, { name: 'near', lang: 'en-GB', localService: true }]);
  await button(page).click();
  await shows(page, 'Stop reading');
  const first = await said(page);
  assert.ok(first.every(([voice]) => voice === 'near'), 'nothing is sent to a voice elsewhere');
  const text = first.map(([, text]) => text);
  assert.deepEqual(text.slice(0, 2), ['A short answer with bold, emphasis and code.', 'A list']);
  assert.ok(!text.join(' ').includes('println'), text.join(' '));
  await button(page).click();
  assert.deepEqual(await said(page), ['stop']);
  assert.equal(await button(page).innerText(), 'Read aloud');
  await button(page).click();
  await shows(page, 'Stop reading');
  await page.evaluate(() => globalThis.endSpeech());
  assert.equal(await button(page).innerText(), 'Read aloud', 'it ends by itself');
  await said(page);
  await button(page).click();
  await shows(page, 'Stop reading');
  await page.click('#new-chat');
  assert.equal((await said(page)).at(-1), 'stop', 'a chat that is left is not read on');
  await page.close();
});

test('what is stopped or left before it begins is not read', async () => {
  const page = await openWith([{ name: 'near', lang: 'en-GB', localService: true }]);
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route('**/speech.js', async (route) => (await held, route.continue()));
  await button(page).click();
  await page.click('#new-chat');
  release();
  await page.waitForTimeout(300);
  assert.deepEqual((await said(page)).filter((one) => one !== 'stop'), []);
  await page.close();
});

test('without a voice of the device nothing is read, and that is said', async () => {
  const page = await openWith([{ name: 'far', lang: 'en-US', localService: false, default: true }]);
  await button(page).click();
  await shows(page, 'No voice on this device');
  assert.deepEqual(await said(page), []);
  await page.close();
});
