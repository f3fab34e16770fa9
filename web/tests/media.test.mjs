// Pictures and sounds on the page, with the fake engine: attached, shown, kept, refused.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { answerText, ask, finished, pageUnderTest, waitForChat } from './person.mjs';

const goldens = fileURLToPath(new URL('../../goldens/', import.meta.url));
const PICTURE = path.join(goldens, 'mm/unified.png');
const SOUND = path.join(goldens, 'mm/unified.wav');
const openLoaded = pageUnderTest('?fake=1');

const attach = (page, ...files) => page.setInputFiles('#attach-file', files);
const costs = (page) => page.locator('.attachment .cost').allInnerTexts();
const counted = (page, media) =>
  page.waitForFunction((n) => {
    const all = [...document.querySelectorAll('.attachment .cost')];
    return all.length === n && all.every(({ textContent }) => /^\d+ tokens?$/.test(textContent));
  }, media);
const note = (page, words) => page.waitForFunction((text) => document.querySelector('#draft-note').textContent.includes(text), words);
/** Drops files onto the window, or pastes them into the message field. */
const give = (page, event, files) =>
  page.evaluate(([event, files]) => {
    const data = new DataTransfer();
    for (const { name, type, base64 } of files) data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
    const field = document.querySelector('#prompt');
    if (event === 'paste') field.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    else window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [event, files]);
const fileOf = (from, name, type) => ({ name, type, base64: readFileSync(from).toString('base64') });
const shot = async (page, name) => process.env.SHOTS && page.screenshot({ path: path.join(process.env.SHOTS, `${name}.png`) });

test('a picture is shown with its cost, sent with the message, and kept', async () => {
  const { page, problems } = await openLoaded();
  await attach(page, PICTURE, SOUND);
  await counted(page, 2);
  await page.fill('[aria-label="unified.png in words"]', 'Coloured noise');
  await shot(page, 'attached');
  await page.click('[aria-label="Remove unified.wav"]');
  assert.equal(await page.locator('.attachment').count(), 1);
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[1 pictures, 0 sounds\]/);
  assert.equal(await page.locator('.attachment').count(), 0);
  const seen = () => page.locator('.message.user img').evaluateAll((all) => all.map(({ alt, naturalWidth }) => [alt, naturalWidth > 0]));
  await page.waitForFunction(() => document.querySelector('.message.user img').complete);
  assert.deepEqual(await seen(), [['Coloured noise', true]]);
  await shot(page, 'sent');
  await page.reload();
  await page.waitForSelector('.message.user img');
  await page.waitForFunction(() => document.querySelector('.message.user img').complete);
  assert.deepEqual(await seen(), [['Coloured noise', true]]);
  await page.click('#load-last');
  await waitForChat(page);
  await ask(page, 'and now');
  await finished(page, 2);
  assert.match(await answerText(page), /^\[1 pictures/, 'the picture of an earlier turn is shown again');
  assert.deepEqual(problems, []);
  await page.close();
});

/** A recording of a canvas that changes its colour, as browsers make it: it does not say how long it is. */
const recorded = (page) =>
  page.evaluate(async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 192, height: 96 });
    const pen = canvas.getContext('2d');
    const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: 'video/webm' });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    recorder.start();
    for (let i = 0; i < 8; i++) {
      pen.fillStyle = `hsl(${i * 45} 90% 50%)`;
      pen.fillRect(0, 0, 192, 96);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    recorder.stop();
    await stopped;
    const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  });

test('a video is attached with its cost, shown, and kept; what is none is told', async () => {
  const { page, problems } = await openLoaded();
  const film = { name: 'film.webm', type: 'video/webm', base64: await recorded(page) };
  await give(page, 'drop', [film]);
  await counted(page, 1);
  // Some frames of 11 x 5 soft tokens.
  const cost = Number.parseInt((await costs(page))[0], 10);
  assert.ok(cost >= 2 * 55 && cost <= 32 * 55 && cost % 55 === 0, `${cost}`);
  await shot(page, 'video');
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), new RegExp(`^\\[${cost / 55} pictures, 0 sounds\\]`));
  const length = () => page.waitForFunction(() => document.querySelector('.message.user video')?.videoWidth === 192);
  await length();
  await page.reload();
  await length();
  await page.click('#load-last');
  await waitForChat(page);
  await give(page, 'drop', [{ ...film, name: 'broken.webm', base64: film.base64.slice(0, 60) }]);
  await note(page, '“broken.webm” was not attached');
  await note(page, 'no video that this browser can read');
  assert.deepEqual(problems, []);
  await page.close();
});

test('a changed message keeps its picture, and a sound needs no words', async () => {
  const { page } = await openLoaded();
  await give(page, 'paste', [fileOf(PICTURE, 'image.png', 'image/png')]);
  await counted(page, 1);
  await ask(page, 'hello');
  await finished(page, 1);
  await page.click('.message.user [data-tool=edit]');
  await page.fill('.message-editor textarea', 'hello again');
  await page.click('.message-editor .primary');
  await page.waitForFunction(() => document.querySelector('.message.user p').textContent === 'hello again');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[1 pictures/);
  await page.click('#new-chat');
  await give(page, 'drop', [fileOf(SOUND, 'voice.wav', 'audio/wav')]);
  await counted(page, 1);
  assert.deepEqual(await costs(page), ['8 tokens']);
  await page.click('#send');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[0 pictures, 1 sounds\]/);
  assert.equal(await page.locator('.message.user audio[aria-label="Sound voice.wav"]').count(), 1);
  assert.match(await page.title(), /Sound voice\.wav/);
  await page.close();
});

test('files that are no pictures or sounds, or are broken, are told by name', async () => {
  const { page } = await openLoaded();
  const name = (name, type, text) => ({ name, mimeType: type, buffer: Buffer.from(text) });
  await page.fill('#prompt', 'hello');
  for (const [file, words] of [
    [name('notes.docx', '', 'PK\0'), '“notes.docx” was not attached: it is a document of another program: save it as PDF'],
    [name('cat.png', 'image/png', 'no picture'), '“cat.png” was not attached. The file is no picture'],
    [name('song.mp3', 'audio/mpeg', 'no sound'), '“song.mp3” was not attached. The file is no sound'],
    [name('empty.png', 'image/png', ''), '“empty.png” was not attached. The picture is empty'],
  ]) {
    await attach(page, file);
    await note(page, words);
    assert.equal(await page.locator('.attachment').count(), 0);
  }
  assert.equal(await page.inputValue('#prompt'), 'hello');
  await page.close();
});

test('what is attached waits with its conversation', async () => {
  const { page } = await openLoaded();
  await ask(page, 'hello');
  await finished(page, 1);
  await attach(page, PICTURE);
  await counted(page, 1);
  await page.click('#new-chat');
  assert.equal(await page.locator('.attachment').count(), 0);
  await page.goBack();
  await counted(page, 1);
  await page.close();
});

test('a model without towers says so, and takes them from a file that is dropped', async () => {
  const { page } = await openLoaded();
  await page.click('#change-model');
  await page.fill('#url', new URL('/blind.gguf', page.url()).href);
  await page.click('#load-url');
  await waitForChat(page);
  await attach(page, PICTURE);
  await note(page, 'this model has no eyes');
  await note(page, 'mmproj');
  await shot(page, 'blind');
  const towers = fileOf(path.join(goldens, 'models/mmproj-unified-f16.gguf'), 'mmproj.gguf', '');
  await give(page, 'drop', [{ ...towers, base64: readFileSync(path.join(goldens, 'models/mmproj-unified-f16.gguf')).subarray(0, 60_000).toString('base64') }]);
  await page.click('.toast button:has-text("Use it with this model")');
  await page.waitForSelector('.toast:has-text("perceives through")');
  await attach(page, PICTURE);
  await counted(page, 1);
  await page.close();
});

test('camera and microphone give a picture and a sound', async () => {
  const { page } = await openLoaded();
  await page.click('#attach');
  await page.click('.menu button:has-text("Camera")');
  await page.waitForSelector('.capture .primary:enabled');
  await page.waitForFunction(() => document.querySelector('.capture video').videoWidth > 0);
  await shot(page, 'camera');
  await page.click('.capture .primary');
  await counted(page, 1);
  await page.click('#attach');
  await page.click('.menu button:has-text("Microphone")');
  await page.waitForSelector('.capture .primary:enabled');
  await page.waitForFunction(() => document.querySelector('.capture meter').value > 0.02);
  await shot(page, 'microphone');
  await page.waitForTimeout(1200);
  await page.click('.capture .primary');
  await counted(page, 2);
  assert.equal(await page.locator('.capture').count(), 0);
  await page.click('#attach');
  await page.click('.menu button:has-text("Camera")');
  await page.click('.capture .quiet');
  assert.equal(await page.locator('.attachment').count(), 2);
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[1 pictures, 1 sounds\]/);
  await page.close();
});
