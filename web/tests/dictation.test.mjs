// Dictation, on a development build with the fake engine: by a browser that recognises on the device, and by a model that hears.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatsUnderTest } from './chats.mjs';
import { clean } from './clean.mjs';
import { answerText, ask, finished, waitForChat } from './person.mjs';
import { fakeRecognition, noRecognition } from './speech.mjs';

// The page's policy keeps out axe's script.
const { address, context, origin } = chatsUnderTest({ bypassCSP: true });

const ON_DEVICE = { readiness: { 'en-US': 'available' } };

/** The page with a model, in a browser with such a recognition; `before` prepares it. */
async function open(recognition, { model, before, viewport, colorScheme } = {}) {
  const page = await context().newPage();
  if (viewport) await page.setViewportSize(viewport);
  if (colorScheme) await page.emulateMedia({ colorScheme });
  await page.addInitScript(...(recognition ? [fakeRecognition, recognition] : [noRecognition]));
  await before?.(page);
  await page.goto(address());
  await page.waitForSelector('#load-embedded:enabled');
  if (model) {
    await page.fill('#url', `${origin()}/${model}`);
    await page.click('#load-url');
  } else await page.click('#load-embedded');
  await waitForChat(page);
  return page;
}

const speech = (page, run, value) => page.evaluate(`(${run})(globalThis.speech, ${JSON.stringify(value)})`);
const say = (page, words, isFinal = false) => page.evaluate(([words, isFinal]) => globalThis.speech.made.at(-1).say(words, isFinal), [words, isFinal]);
const field = (page) => page.inputValue('#prompt');
const caret = (page) => page.locator('#prompt').evaluate(({ selectionStart, selectionEnd }) => [selectionStart, selectionEnd]);
const begin = async (page) => {
  await page.click('#dictate:enabled');
  await page.waitForSelector('.listening:has-text("Listening…")');
};
const ended = (page) => page.waitForSelector('#dictate[aria-pressed=false]');
const remark = (page, words) => page.waitForFunction((text) => document.querySelector('#draft-note').textContent.includes(text), words);
const states = (page) => page.evaluate(() => globalThis.speech.made.map(({ state }) => state));
const hide = (page, hidden) => page.evaluate((hidden) => {
  Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}, hidden);

test('words are written at the caret while they are heard, stay when they are final, and can be undone', async () => {
  const page = await open(ON_DEVICE);
  await page.fill('#prompt', 'Tell me today, please');
  await page.locator('#prompt').evaluate((one) => one.setSelectionRange(7, 7));
  assert.equal(await page.getAttribute('#dictate', 'aria-pressed'), 'false');
  await begin(page);
  assert.equal(await page.getAttribute('#dictate', 'aria-pressed'), 'true');
  assert.equal(await page.locator('.listening [role=status]').innerText(), 'Listening…');
  assert.deepEqual(await speech(page, ({ made: [one] }) => [one.local, one.lang, one.continuous, one.interimResults]), [true, 'en-US', true, true]);
  assert.deepEqual(await speech(page, ({ asked }) => asked.every(({ processLocally }) => processLocally)), true, 'no server is asked for');
  await say(page, 'what');
  assert.equal(await field(page), 'Tell me what today, please');
  await say(page, 'what whether');
  assert.equal(await field(page), 'Tell me what whether today, please');
  await say(page, 'what weather it is', true);
  await say(page, ' in Oslo');
  assert.equal(await field(page), 'Tell me what weather it is in Oslo today, please');
  // Between them a person writes: before the words that are still heard, and behind them.
  await page.locator('#prompt').evaluate((one) => one.setSelectionRange(0, 0));
  await page.keyboard.type('Oh: ');
  await say(page, ' in Bergen');
  assert.equal(await field(page), 'Oh: Tell me what weather it is in Bergen today, please');
  assert.deepEqual(await caret(page), [4, 4], 'the caret stays where it was put');
  await page.keyboard.press('End');
  await page.keyboard.type('!');
  await page.click('#dictate');
  await ended(page);
  assert.equal(await field(page), 'Oh: Tell me what weather it is in Bergen today, please!');
  assert.deepEqual(await states(page), ['idle']);
  for (let i = 0; i < 40 && (await field(page)) !== 'Tell me today, please'; i += 1) await page.keyboard.press('Control+KeyZ');
  assert.equal(await field(page), 'Tell me today, please', 'the browser’s undo goes back');
  await page.close();
});

test('what is selected is replaced, what a person corrects stays, and the draft is kept', async () => {
  const page = await open(ON_DEVICE);
  await page.fill('#prompt', 'one two three');
  await page.locator('#prompt').evaluate((one) => one.setSelectionRange(4, 7));
  await begin(page);
  await say(page, 'fore');
  assert.equal(await field(page), 'one fore three');
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Backspace');
  await page.keyboard.type('ur');
  await say(page, 'fort', false);
  await say(page, 'fort', true);
  assert.equal(await field(page), 'one four three');
  await say(page, 'five');
  assert.equal(await field(page), 'one four five three');
  await page.keyboard.press('Escape');
  await ended(page);
  await page.waitForTimeout(600);
  await page.reload();
  await page.click('#load-embedded:enabled');
  await waitForChat(page);
  await page.waitForFunction(() => document.querySelector('#prompt').value === 'one four five three');
  await page.close();
});

test('where writing has no spaces none are put; on a phone the keyboard stays closed', async () => {
  const coarse = (page) => page.addInitScript(() => {
    const { matchMedia } = window;
    window.matchMedia = (query) => (query === '(pointer: coarse)' ? { matches: true } : matchMedia.call(window, query));
  });
  const page = await open(ON_DEVICE, { before: coarse });
  await page.fill('#prompt', '今天好');
  await page.locator('#prompt').evaluate((one) => one.setSelectionRange(2, 2));
  await begin(page);
  await say(page, '天');
  await say(page, '天气');
  await say(page, '天气很', true);
  assert.equal(await field(page), '今天天气很好');
  assert.notEqual(await page.evaluate(() => document.activeElement.id), 'prompt');
  await page.locator('#prompt').evaluate((one) => ((one.value = '('), one.dispatchEvent(new Event('input'))));
  await say(page, 'one \u{1F600}');
  await say(page, 'one \u{1F601}', true);
  await say(page, ', two');
  assert.equal(await field(page), '(one \u{1F601}, two');
  await page.click('#send');
  await finished(page, 1);
  assert.equal(await page.locator('.message.user > p').innerText(), '(one \u{1F601}, two');
  await page.close();
});

test('Escape, a hidden tab, sending and another chat end it', async () => {
  const page = await open(ON_DEVICE);
  await begin(page);
  await say(page, 'hello');
  await page.keyboard.press('Escape');
  await ended(page);
  assert.equal(await field(page), 'hello');
  assert.equal(await page.locator('.listening').innerText(), '');
  await begin(page);
  await say(page, 'again');
  await hide(page, true);
  await ended(page);
  await hide(page, false);
  assert.equal(await field(page), 'hello again');
  await begin(page);
  await say(page, 'and more');
  await page.keyboard.press('Enter');
  await ended(page);
  await speech(page, ({ made }) => made.at(-1).say('nobody wants this', true));
  assert.equal(await field(page), '');
  await finished(page, 1);
  assert.equal(await page.locator('.message.user > p').innerText(), 'hello again and more');
  await begin(page);
  await say(page, 'for this chat');
  await page.click('#new-chat');
  await ended(page);
  await speech(page, ({ made }) => made.at(-1).say('for no chat', true));
  assert.equal(await field(page), '');
  await page.waitForFunction(() => globalThis.speech.made.every(({ state }) => state === 'idle'));
  await page.goBack();
  await page.waitForFunction(() => document.querySelector('#prompt').value === 'for this chat');
  // An answer that is being written is not stopped with the dictation.
  await page.fill('#prompt', '');
  await ask(page, 'long');
  await page.waitForSelector('#stop:visible');
  await begin(page);
  await page.keyboard.press('Escape');
  await ended(page);
  assert.ok(await page.isVisible('#stop'));
  await page.keyboard.press('Escape');
  await finished(page, 2);
  await page.close();
});

test('the language is the page’s, in the variant that the browser knows on this device', async () => {
  const german = (page) => page.addInitScript(() => {
    Object.defineProperty(navigator, 'languages', { value: ['fr-FR', 'de-AT', 'en-US'] });
    localStorage.setItem('rullama.language', 'de');
  });
  const start = async (readiness) => {
    const page = await open({ readiness }, { before: german });
    assert.equal(await page.getAttribute('#dictate', 'aria-label'), 'Diktieren');
    await page.click('#dictate');
    await page.waitForSelector('.listening:has-text("Es wird zugehört …")');
    const lang = await speech(page, ({ made: [{ lang }] }) => lang);
    await page.evaluate(() => localStorage.removeItem('rullama.language'));
    await page.close();
    return lang;
  };
  assert.equal(await start({ 'de-AT': 'available', 'de-DE': 'available' }), 'de-AT');
  assert.equal(await start({ 'de-AT': 'downloadable', 'de-DE': 'available', 'en-US': 'available' }), 'de-DE');
  assert.equal(await start({ de: 'available' }), 'de');
});

test('a language pack is fetched where a person wants that, and dictation goes on', async () => {
  const page = await open({ readiness: { 'en-US': 'downloadable' } });
  await page.click('#dictate');
  const dialog = page.locator('dialog.pack[open]');
  await dialog.waitFor();
  assert.match(await dialog.innerText(), /American English.*What you say stays on this device/s);
  await clean(page, 'what is asked before a language pack');
  await page.keyboard.press('Escape');
  await ended(page);
  assert.deepEqual(await speech(page, ({ installed, made }) => [installed, made.length]), [[], 0]);
  await page.click('#dictate');
  await page.click('dialog.pack .primary');
  await page.waitForSelector('.listening:has-text("is fetching its language pack")');
  assert.deepEqual(await speech(page, ({ installed }) => installed), ['en-US']);
  await page.click('.listening button:has-text("Cancel")');
  await ended(page);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt', 'the focus is not lost');
  // It is fetched all the same, so nothing is asked.
  await page.click('#dictate');
  await page.waitForSelector('.listening:has-text("is fetching its language pack")');
  await speech(page, (speech) => speech.finishInstall());
  await page.waitForSelector('.listening:has-text("Listening…")');
  await say(page, 'here we are');
  assert.equal(await field(page), 'here we are');
  await page.close();
});

test('a pack that does not come, and every error, is told with what to do', async () => {
  const page = await open({ readiness: { 'en-US': 'downloadable' }, installs: false }, { model: 'blind.gguf' });
  await page.click('#dictate');
  assert.equal(await page.locator('dialog.pack button[value=model]').count(), 0, 'this model hears nothing');
  await page.click('dialog.pack .primary');
  await page.waitForSelector('.listening:has-text("is fetching its language pack")');
  await speech(page, (speech) => speech.finishInstall());
  await remark(page, 'could not fetch its language pack for American English: check the connection');
  await ended(page);
  await speech(page, ({ readiness }) => (readiness['en-US'] = 'available'));
  for (const [code, words] of [
    ['no-speech', 'Nothing was heard: check'],
    ['audio-capture', 'no microphone that can be used: connect one'],
    ['not-allowed', 'does not allow the microphone: permit it'],
    ['service-not-allowed', 'does not recognise American English on this device, and nothing is sent elsewhere'],
    ['language-not-supported', 'does not recognise American English on this device, and nothing is sent elsewhere'],
    ['network', 'has failed (network): try again'],
  ]) {
    await begin(page);
    await speech(page, ({ made }, code) => made.at(-1).fail(code), code);
    await remark(page, words);
    await ended(page);
  }
  // An error without an end, and one that nobody needs to hear of.
  await begin(page);
  await speech(page, ({ made }) => made.at(-1).emit('error', { error: 'not-allowed' }));
  await ended(page);
  await begin(page);
  assert.equal(await page.locator('#draft-note').innerText(), '', 'what was told is over');
  await speech(page, ({ made }) => made.at(-1).fail('aborted'));
  await ended(page);
  await begin(page);
  await say(page, 'that is all', true);
  await speech(page, ({ made }) => made.at(-1).fail('no-speech'));
  await ended(page);
  assert.equal(await page.locator('#draft-note').innerText(), '');
  await page.close();
});

test('what only a server could recognise is not begun; without a model that hears there is no button', async () => {
  for (const recognition of [undefined, { knows: false }, { readiness: { 'en-US': 'unavailable', 'de-DE': 'available' } }]) {
    const page = await open(recognition, { model: 'blind.gguf' });
    // What decides is loaded with the model.
    await page.waitForFunction(() => performance.getEntriesByName(new URL('ways.js', document.baseURI).href).length > 0);
    await page.waitForTimeout(300);
    assert.ok(await page.isHidden('#dictate'));
    if (recognition) assert.equal(await speech(page, ({ made }) => made.length), 0);
    await page.close();
  }
  const page = await open({ knows: false });
  await page.click('#dictate:enabled');
  await page.waitForSelector('.listening meter');
  assert.equal(await speech(page, ({ made }) => made.length), 0, 'the model is asked instead');
  await page.close();
});

/** Records for a moment, and has that written down. */
const record = async (page) => {
  await page.click('#dictate:enabled');
  await page.waitForFunction(() => document.querySelector('.listening meter')?.value > 0.02);
  await page.waitForTimeout(700);
  await page.click('#dictate');
};
/** What the fake engine says of a message with a sound. */
const HEARD = '[0 pictures, 1 sounds] A short answer';

test('a model that hears writes down what is said, beside the conversation', async () => {
  const page = await open(undefined);
  await page.fill('#prompt', 'Note: ');
  await page.click('#dictate:enabled');
  await page.waitForSelector('.listening meter');
  assert.match(await page.locator('.listening').innerText(), /^Listening…\s*0:0\d \/ 0:30\s*Cancel$/);
  assert.equal(await page.getAttribute('#dictate', 'aria-pressed'), 'true');
  await clean(page, 'a recording that is to be written down');
  await page.waitForFunction(() => document.querySelector('.listening meter').value > 0.02);
  await page.click('#dictate');
  await page.waitForSelector('.listening:has-text("The model is writing down")');
  await ended(page);
  assert.ok((await field(page)).startsWith(`Note: ${HEARD}`), await field(page));
  assert.equal(await page.locator('.message').count(), 0);
  assert.equal(await page.locator('#side li').count(), 0, 'no chat is kept of it');
  await page.fill('#prompt', 'recall');
  await page.press('#prompt', 'Enter');
  await finished(page, 1);
  assert.equal((await answerText(page)).trim(), '[recall]', 'the conversation knows nothing of it');
  await page.close();
});

test('it is cancelled while it is recorded and while it is written, and waits for answers', async () => {
  const page = await open(undefined);
  await ask(page, 'hello');
  await finished(page, 1);
  await page.click('#dictate:enabled');
  await page.waitForSelector('.listening meter');
  await page.keyboard.press('Escape');
  await ended(page);
  await page.click('#dictate');
  await page.click('.listening button:has-text("Cancel")');
  await ended(page);
  assert.equal(await field(page), '');
  // A hidden tab listens no longer; what was said is written.
  await page.click('#dictate');
  await page.waitForFunction(() => document.querySelector('.listening meter')?.value > 0.02);
  await page.waitForTimeout(700);
  await hide(page, true);
  await ended(page);
  await hide(page, false);
  assert.ok((await field(page)).startsWith(HEARD));
  await page.fill('#prompt', '');
  await record(page);
  await page.waitForFunction(() => document.querySelector('#prompt').value.includes('sounds'));
  await page.click('.listening button:has-text("Stop")');
  await ended(page);
  const written = await field(page);
  await page.waitForTimeout(400);
  assert.equal(await field(page), written, 'nothing more comes');
  await page.fill('#prompt', '');
  await record(page);
  await page.waitForFunction(() => document.querySelector('#prompt').value.includes('sounds'));
  await page.click('#new-chat');
  await page.waitForTimeout(400);
  assert.equal(await field(page), '', 'it is not written into another chat');
  await ask(page, 'long');
  await page.waitForSelector('#dictate:disabled');
  assert.match(await page.getAttribute('#dictate', 'title'), /is writing an answer now: wait for its end/);
  await page.click('#stop');
  await page.waitForSelector('#dictate:enabled');
  assert.equal(await page.getAttribute('#dictate', 'title'), 'Dictate');
  await page.close();
});

test('a recording ends after half a minute; of silence, or without a microphone, nothing is asked of the model', async () => {
  const page = await open(undefined);
  await page.evaluate(() => {
    const now = performance.now.bind(performance);
    performance.now = () => now() + (globalThis.later ?? 0);
  });
  await page.click('#dictate:enabled');
  await page.waitForFunction(() => document.querySelector('.listening meter')?.value > 0.02);
  await page.waitForTimeout(500);
  await page.evaluate(() => (globalThis.later = 30_000));
  await page.waitForFunction((heard) => document.querySelector('#prompt').value.startsWith(heard), HEARD);
  await ended(page);
  await page.fill('#prompt', '');
  const gives = (give) => page.evaluate(`navigator.mediaDevices.getUserMedia = ${give}`);
  await gives('async () => new MediaStreamAudioDestinationNode(new AudioContext()).stream');
  await page.click('#dictate');
  await page.waitForSelector('.listening meter');
  await page.waitForTimeout(500);
  await page.click('#dictate');
  await remark(page, 'Nothing was heard');
  await ended(page);
  for (const [name, words] of [['NotAllowedError', 'does not allow the microphone'], ['NotFoundError', 'no microphone that can be used']]) {
    await gives(`() => Promise.reject(new DOMException('', '${name}'))`);
    await page.click('#dictate');
    await remark(page, words);
    await ended(page);
  }
  assert.equal(await field(page), '');
  await page.close();
});

test('a person lets the model write in place of a language pack; it does where the browser cannot', async () => {
  const page = await open({ readiness: { 'en-US': 'downloadable' } });
  await page.click('#dictate');
  await page.click('dialog.pack button[value=model]');
  await page.waitForSelector('.listening meter');
  await page.keyboard.press('Escape');
  await ended(page);
  await record(page);
  await ended(page);
  assert.ok((await field(page)).startsWith(HEARD));
  assert.deepEqual(await speech(page, ({ installed, made }) => [installed, made.length]), [[], 0]);
  await page.fill('#prompt', '');
  await page.waitForTimeout(600);
  await page.close();
  const cannot = [
    [ON_DEVICE, async (page) => (await begin(page), speech(page, ({ made }) => made.at(-1).fail('language-not-supported')))],
    [{ readiness: { 'en-US': 'downloadable' }, installs: false }, async (page) => {
      await page.click('#dictate');
      await page.click('dialog.pack .primary');
      await page.waitForSelector('.listening:has-text("is fetching its language pack")');
      await speech(page, (speech) => speech.finishInstall());
    }],
  ];
  for (const [recognition, fail] of cannot) {
    const other = await open(recognition);
    await fail(other);
    await remark(other, 'from now on the model writes down what you say');
    await record(other);
    await ended(other);
    assert.ok((await field(other)).startsWith(HEARD));
    await other.fill('#prompt', '');
    await other.waitForTimeout(600);
    await other.close();
  }
});

test('pressed, it passes axe, in both themes and on a phone', async () => {
  for (const options of [{}, { colorScheme: 'dark' }, { viewport: { width: 390, height: 800 } }]) {
    const page = await open(ON_DEVICE, options);
    await begin(page);
    await say(page, 'what is heard');
    await clean(page, `dictation ${JSON.stringify(options)}`);
    const [all, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(all <= shown);
    await page.close();
  }
});
