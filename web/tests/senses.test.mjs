// Pictures and sounds in the browser: against transformers' numbers on small models, and what the embedded model sees and hears.
//
// Needs the package (npm run build) and a model in app/dist.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { answerText, ask, finished, openLoadedAt } from './person.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const goldens = path.join(here, '../../goldens');
/** As the native tests have it: soft tokens and logits, absolute. */
const [SOFT, LOGITS] = [2e-3, 5e-3];
let site;
let browser;
let page;

before(async () => {
  const mounts = { '/parts/': path.join(here, '../packages/rullama/dist'), '/goldens/': goldens, '/model/': path.join(here, '../app/dist/model') };
  site = await startServer({ ...mounts, '/app/': path.join(here, '../app/dist'), '/': path.join(here, 'pages') });
  browser = await startBrowser();
  ({ page } = await openPage(browser.context, `${site.url}/blank.html`));
});

after(async () => {
  await browser?.close();
  await site?.close();
});

/** A tensor of a file of the reference data. */
function tensor(file, name) {
  const bytes = readFileSync(path.join(goldens, file));
  const header = Number(bytes.readBigUInt64LE());
  const { dtype, data_offsets: [from, to] } = JSON.parse(bytes.subarray(8, 8 + header))[name];
  const data = bytes.buffer.slice(bytes.byteOffset + 8 + header + from, bytes.byteOffset + 8 + header + to);
  return Array.from(dtype === 'I32' ? new Int32Array(data) : new Float32Array(data));
}

const furthest = (a, b) => (assert.equal(a.length, b.length), a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0));

/** In the page: loads a model, and what tests call there. */
async function load([model, options]) {
  const { Rullama } = await import('/parts/index.js');
  await globalThis.ai?.close();
  const address = (name) => (name === 'embedded' ? name : new URL(`/goldens/models/${name}`, location.href));
  const { projector, ...rest } = options;
  globalThis.ai = await Rullama.load(address(model), { ...rest, ...(projector && { projector: address(projector) }) });
  globalThis.fetched = async (url) => (await fetch(url)).blob();
  globalThis.refusal = (promise) => promise.then(() => 'taken', ({ code, message, remedy }) => ({ code, message, remedy }));
}

/** In the page: soft tokens, logits of the last token and greedy ids with a file in the place of the placeholders. */
async function perceive([type, url, tokens, ids, count]) {
  const { ai, fetched } = globalThis;
  const part = { type, [type]: await fetched(url), ...(tokens && { tokens }) };
  const media = ids && [part];
  const soft = Array.from(await ai.encode(part));
  const cost = await ai.cost(part);
  if (!ids) return { soft, cost, dim: ai.info.dim };
  const { logits } = await ai.evaluate(ids, { media });
  const { ids: greedy } = await ai.generateIds(ids, { media, temperature: 0, ignoreEos: true, maxTokens: count });
  return { soft, cost, dim: ai.info.dim, last: Array.from(logits.slice(-ai.info.vocab)), greedy };
}

test('a model without an encoder answers about a picture and a sound as transformers does', async (t) => {
  await page.evaluate(load, ['unified-f16.gguf', { kv: 'f32', projector: 'mmproj-unified-f16.gguf' }]);
  const file = 'mm/unified.safetensors';
  const { cases } = JSON.parse(readFileSync(path.join(goldens, 'mm/unified.json')));
  for (const [kind, type, name] of [['image', 'image', 'unified.png'], ['audio', 'audio', 'unified.wav']]) {
    const want = cases[kind].hf_greedy8;
    const got = await page.evaluate(perceive, [type, `/goldens/mm/${name}`, kind === 'image' ? 70 : undefined, tensor(file, `unified.${kind}.ids`), want.length]);
    const off = [furthest(got.soft, tensor(file, `unified.${kind}.soft_tokens`)), furthest(got.last, tensor(file, `unified.${kind}.last_logits`))];
    t.diagnostic(`${kind}: soft tokens differ by ${off[0].toExponential(1)}, logits by ${off[1].toExponential(1)}`);
    assert.ok(off[0] <= SOFT && off[1] <= LOGITS, `${kind}: ${off}`);
    assert.deepEqual(got.greedy, want, kind);
    assert.equal(got.cost, got.soft.length / got.dim);
  }
});

test('a video is its frames, each with its time before it', async () => {
  await page.evaluate(load, ['dense-Q4_0.gguf', { projector: 'mmproj-dense-f16.gguf' }]);
  await page.evaluate(drawn, ['image/png', 'rgb(220, 40, 40)', [[64, 64], [320, 192]]]);
  const { film, frames, text, cost } = await page.evaluate(async () => {
    const { ai, picture } = globalThis;
    const other = new ImageData(new Uint8ClampedArray(96 * 192 * 4).fill(200), 96, 192);
    const video = { type: 'video', video: { frames: [picture, other], seconds: [59.5, 60] } };
    const frames = [];
    for (const image of [picture, other]) frames.push(...(await ai.encode({ type: 'image', image, tokens: 70 })));
    const { ids } = await ai.render({ messages: [{ role: 'user', content: [video, { type: 'text', text: 'So?' }] }] });
    return { film: Array.from(await ai.encode(video)), frames, text: await ai.detokenize(ids), cost: await ai.cost(video) };
  });
  assert.ok(cost > 60 && film.length > 0);
  assert.deepEqual(film, frames);
  assert.match(text, /user\n00:59 <\|image>(<\|video\|>)+<image\|> 01:00 <\|image>(<\|video\|>)+<image\|>So\?/);
  assert.equal(text.split('<|video|>').length - 1, cost);
});

test('a conformer hears as the reference does, and towers come and go', async (t) => {
  await page.evaluate(load, ['dense-ple-Q4_K_M.gguf', { projector: 'mmproj-audio-f16.gguf' }]);
  const before = await page.evaluate(async () => (await globalThis.ai.memory()).gpuBytes);
  const { soft, cost } = await page.evaluate(perceive, ['audio', '/goldens/mm/a331ms.wav']);
  const off = furthest(soft, tensor('mm/sounds.safetensors', 'audio.dense-ple.a331ms.soft_tokens'));
  t.diagnostic(`soft tokens differ by ${off.toExponential(1)}`);
  assert.ok(off <= SOFT && cost === 9, `${off}, ${cost}`);
  const memory = await page.evaluate(async () => {
    const loaded = (await globalThis.ai.memory()).gpuBytes;
    await globalThis.ai.releaseTowers();
    return { loaded, released: (await globalThis.ai.memory()).gpuBytes };
  });
  assert.ok(memory.loaded > before + 1_000_000 && memory.released < before + 500_000, JSON.stringify({ before, ...memory }));
  const picture = await page.evaluate(() => globalThis.refusal(globalThis.ai.cost({ type: 'image', image: new ImageData(48, 48) })));
  assert.ok(picture.code === 'model-unsupported' && /no tower for pictures/.test(picture.message) && /projector/.test(picture.remedy), JSON.stringify(picture));
});

/** In the page: a picture of shapes as a file. */
async function drawn([type, colour, places]) {
  const canvas = new OffscreenCanvas(384, 384);
  const pen = canvas.getContext('2d');
  pen.fillStyle = '#f0f0f0';
  pen.fillRect(0, 0, 384, 384);
  pen.fillStyle = colour;
  for (const [x, y] of places) {
    pen.beginPath();
    pen.arc(x, y, 45, 0, 7);
    pen.fill();
  }
  globalThis.picture = await canvas.convertToBlob({ type });
}

test('the embedded model says what a drawn picture shows, in every notation', async (t) => {
  await page.evaluate(load, ['embedded', { embedded: '/model/model.json' }]);
  await page.evaluate(drawn, ['image/png', 'rgb(220, 40, 40)', [[64, 64], [320, 192]]]);
  const said = await page.evaluate(async () => {
    const { ai, picture } = globalThis;
    const base64 = btoa(Array.from(new Uint8Array(await picture.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(''));
    const asked = { type: 'text', text: 'What do you see?' };
    const chat = ai.chat({ pictureTokens: 70 });
    const ask = (message) => chat.ask(message, { temperature: 0, maxTokens: 16 });
    const first = await ask({ role: 'user', content: 'What do you see?', images: [picture] });
    const tokens = chat.last.promptTokens;
    const rendered = (await ai.render({ pictureTokens: 70, messages: chat.messages.slice(0, 1) })).ids.length;
    await chat.setMessages([]);
    const url = await ask({ role: 'user', content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } }, asked] });
    await chat.close();
    return { first, url, tokens, rendered };
  });
  t.diagnostic(JSON.stringify(said));
  assert.match(said.first, /two red circles/);
  assert.match(said.url, /two red circles/);
  assert.equal(said.tokens, said.rendered);
});

test('the frames of a recorded film are what its pictures would be', async (t) => {
  const { near, other, size, cost } = await page.evaluate(async () => {
    const { ai, picture } = globalThis;
    const drawn = await createImageBitmap(picture);
    const canvas = Object.assign(document.createElement('canvas'), { width: 384, height: 384 });
    const recorder = new MediaRecorder(canvas.captureStream(10), { mimeType: 'video/webm' });
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    const stopped = new Promise((resolve) => (recorder.onstop = resolve));
    canvas.getContext('2d').drawImage(drawn, 0, 0);
    recorder.start();
    await new Promise((resolve) => setTimeout(resolve, 150));
    canvas.getContext('2d').drawImage(drawn, 0, 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
    recorder.stop();
    await stopped;
    const video = { type: 'video', video: new Blob(parts, { type: 'video/webm' }) };
    const still = await ai.encode({ type: 'image', image: drawn, tokens: 70 });
    const soft = await ai.encode(video);
    const product = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const rows = Array.from({ length: soft.length / still.length }, (_, i) => soft.slice(i * still.length, (i + 1) * still.length));
    const nearness = (row) => product(row, still) / Math.sqrt(product(row, row) * product(still, still));
    const near = rows.map(nearness);
    const other = nearness(await ai.encode({ type: 'image', image: new ImageData(new Uint8ClampedArray(4 * 384 * 384).fill(240), 384, 384), tokens: 70 }));
    return { other, near, size: still.length / ai.info.dim, cost: await ai.cost(video) };
  });
  t.diagnostic(`${near.length} frames, nearness ${near.map((value) => value.toFixed(5))}, of an empty picture ${other.toFixed(5)}`);
  assert.ok(near.length >= 1 && cost === near.length * size, `${near.length} frames of ${size} in ${cost}`);
  // A codec loses little of flat colours.
  near.forEach((value) => assert.ok(value > 0.995 && 1 - value < (1 - other) / 10, `${near}, ${other}`));
});

test('the page shows a drawn picture to the embedded model, which names what is in it', async () => {
  const picture = await page.evaluate(async () => Array.from(new Uint8Array(await globalThis.picture.arrayBuffer())));
  await page.evaluate(() => globalThis.ai.close());
  const { page: own, problems } = await openLoadedAt(browser.context, `${site.url}/app/`);
  await own.click('#open-settings');
  await own.selectOption('[name=pictureTokens]', '70');
  await own.fill('[name=temperature]', '0');
  await own.fill('[name=maxTokens]', '16');
  await own.click('dialog .primary');
  await own.setInputFiles('#attach-file', { name: 'drawn.png', mimeType: 'image/png', buffer: Buffer.from(picture) });
  await own.waitForSelector('.attachment .cost:has-text("64 tokens")');
  await ask(own, 'What do you see?');
  await finished(own, 1);
  assert.match(await answerText(own), /two red circles/);
  assert.deepEqual(problems, []);
  await own.close();
  await page.evaluate(load, ['embedded', { embedded: '/model/model.json' }]);
});

test('files are turned as they say, and decoded to a level where they are transparent', async () => {
  const costs = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(960, 96);
    canvas.getContext('2d').fillRect(0, 0, 960, 96);
    const jpeg = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg' })).arrayBuffer());
    // EXIF: orientation 6, a quarter turn.
    const exif = [0xff, 0xe1, 0, 34, 69, 120, 105, 102, 0, 0, 77, 77, 0, 42, 0, 0, 0, 8, 0, 1, 1, 18, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];
    const turned = new Blob([jpeg.slice(0, 2), Uint8Array.from(exif), jpeg.slice(2)]);
    const { ai } = globalThis;
    const upright = new ImageData(96, 960);
    upright.data.fill(0).forEach((_, i, data) => (data[i] = i % 4 === 3 ? 255 : 0));
    const soft = async (image) => Array.from(await ai.encode({ type: 'image', image, tokens: 70 }));
    const [a, b] = [await soft(turned), await soft(upright)];
    return { lengths: [a.length, b.length], off: Math.max(...a.map((value, i) => Math.abs(value - b[i]))) };
  });
  assert.equal(costs.lengths[0], costs.lengths[1]);
  assert.ok(costs.off < 0.05, JSON.stringify(costs));
});

test('hostile files are refused by name, and an answer follows all the same', async () => {
  const refusals = await page.evaluate(async () => {
    const { ai, refusal } = globalThis;
    const image = (image) => refusal(ai.cost({ type: 'image', image }));
    const audio = (audio) => refusal(ai.cost({ type: 'audio', audio }));
    const png = new Uint8Array(await globalThis.picture.arrayBuffer());
    const bomb = png.slice();
    new DataView(bomb.buffer).setUint32(16, 60_000);
    new DataView(bomb.buffer).setUint32(20, 60_000);
    const whole = new Float32Array(16_000);
    whole[8000] = NaN;
    const nan = refusal(ai.encode({ type: 'audio', audio: { samples: whole, sampleRate: 16_000 } }));
    return Promise.all([
      image(new Blob([])), image(new Blob(['no picture at all'])), image(new Blob([bomb])), image(new Blob([png.slice(0, 60)])),
      image('https://example.org/x.png'), audio(new Blob(['no sound at all'])), audio(new Blob([])), nan,
      audio({ samples: new Float32Array(3), sampleRate: 16_000 }),
    ]);
  });
  const words = [/empty/, /no picture/, /60000 x 60000/, /no picture/, /not fetched/, /no sound/, /empty/, /NaN/, /3 samples.*too short/];
  refusals.forEach(({ code, message, remedy }, i) => {
    assert.ok(code === 'invalid-argument' && words[i].test(message) && remedy.length > 5, `${i}: ${code} ${message} ${remedy}`);
  });
});

test('samples of another rate and of several channels are heard as the sound that they are', async () => {
  const off = await page.evaluate(async () => {
    const { ai } = globalThis;
    const tone = (rate) => Float32Array.from({ length: rate }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 440 * i) / rate));
    const soft = async (samples, sampleRate) => Array.from(await ai.encode({ type: 'audio', audio: { samples, sampleRate } }));
    const [plain, faster] = [await soft(tone(16_000), 16_000), await soft([tone(48_000), tone(48_000)], 48_000)];
    return { lengths: [plain.length, faster.length], most: Math.max(...plain.map(Math.abs)), off: Math.max(...plain.map((value, i) => Math.abs(value - faster[i]))) };
  });
  assert.equal(off.lengths[0], off.lengths[1]);
  assert.ok(off.off < 0.1 * off.most, JSON.stringify(off));
});
