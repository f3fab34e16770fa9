// Pictures and sounds in messages, as pixels and samples: what Node can hand in, too.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Client, Engine, fakeOpener, localPair, serve, statedSize } from '../../../dist-test/internals.js';

const posted = [];

async function open(name = 'model') {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  posted.length = 0;
  const client = new Client({ ...end, post: (request) => (posted.push(request.call), end.post(request)) });
  const info = await client.call('load', { source: { url: `http://localhost/${name}.gguf` }, options: {} }, {});
  return new Engine(client, info, () => {}, async (source) => ({ url: String(source) }));
}

const pixels = (width, height, value = 0) => ({ data: new Uint8Array(width * height * 4).fill(value), width, height });
const calls = (name) => posted.filter((call) => call === name).length;

test('a message shows pictures and sounds in every notation', async () => {
  const ai = await open();
  const samples = { samples: new Float32Array(16_000).fill(0.5), sampleRate: 16_000 };
  const soft = { type: 'soft', of: 'audio', values: new Float32Array(2 * ai.info.dim).fill(0.25) };
  const parts = [{ type: 'text', text: 'hello' }, { type: 'image', image: pixels(96, 48) }, { type: 'image_url', image_url: pixels(48, 48) }];
  const cases = [
    [{ role: 'user', content: 'hello', images: [pixels(96, 96)] }, '[1 pictures, 0 sounds]'],
    [{ role: 'user', content: parts }, '[2 pictures, 0 sounds]'],
    [{ role: 'user', content: [{ type: 'text', text: 'hello' }, { type: 'audio', audio: samples }, soft] }, '[0 pictures, 2 sounds]'],
    [{ role: 'user', content: [{ type: 'input_audio', input_audio: samples }] }, '[0 pictures, 1 sounds]'],
  ];
  for (const [message, shown] of cases) assert.ok((await ai.chat().ask(message)).startsWith(shown), shown);
});

test('what was perceived is perceived once, and stays what it was', async () => {
  const ai = await open();
  const chat = ai.chat();
  const picture = pixels(96, 96);
  await chat.ask({ role: 'user', content: 'one', images: [picture] });
  await chat.ask('two');
  picture.data.fill(9);
  assert.equal(calls('perceive'), 1);
  const again = ai.chat({ messages: chat.messages });
  assert.equal(chat.messages[0].images[0].data[0], 0, 'a copy of it');
  await again.ask('three');
  assert.equal(calls('perceive'), 1);
  await chat.ask({ role: 'user', content: 'four', images: [picture] });
  assert.equal(calls('perceive'), 2, 'another picture');
  await chat.setMessages([{ role: 'user', content: 'five', images: [pixels(96, 96, 3)] }]);
  assert.equal(calls('perceive'), 3);
});

test('costs are told before anything is perceived, and counted in prompts', async () => {
  const ai = await open();
  assert.equal(await ai.cost({ type: 'image', image: pixels(480, 480) }), 256);
  assert.equal(await ai.cost({ type: 'image', image: pixels(480, 480), tokens: 70 }), 64);
  assert.equal(await ai.cost({ type: 'image', image: pixels(480, 480) }, 140), 121);
  assert.equal(await ai.cost({ type: 'audio', audio: { samples: new Float32Array(6400), sampleRate: 16_000 } }), 10);
  const messages = [{ role: 'user', content: 'hi', images: [pixels(480, 480)] }];
  const count = async (options) => (await ai.render(options)).ids.length;
  const without = await count({ messages: [{ role: 'user', content: 'hi' }] });
  assert.equal((await count({ messages })) - without, 256);
  assert.equal((await count({ messages, pictureTokens: 70 })) - without, 64);
  assert.equal(calls('perceive'), 0);
});

test('a video is shown by its frames', async () => {
  const ai = await open();
  const frames = (n) => Array.from({ length: n }, (_, i) => pixels(480, 480, i));
  const video = (video) => ({ type: 'video', video });
  assert.equal(await ai.cost(video({ frames: frames(3), fps: 2 })), 3 * 64, 'of 70 tokens each at most');
  assert.equal(await ai.cost({ type: 'video', video: frames(1) }), 64);
  assert.equal(await ai.cost(video({ frames: frames(100) })), 32 * 64);
  const content = [video({ frames: frames(40), seconds: frames(40).map((_, i) => i * 3) }), { type: 'text', text: 'What happens?' }];
  assert.ok((await ai.chat().ask({ role: 'user', content })).startsWith('[32 pictures, 0 sounds]'));
  assert.equal(calls('perceive'), 32);
  const soft = await ai.encode(video({ frames: frames(2) }));
  assert.equal(soft.length, 2 * (await ai.encode({ type: 'image', image: pixels(480, 480, 9) })).length);
  const cases = [
    [video({ frames: [] }), /no frames/],
    [video({ frames: frames(1), fps: 0 }), /fps/],
    [video({ frames: frames(2), seconds: [1] }), /frame 1/],
    [video({ frames: [pixels(0, 5)] }), /0 x 5/],
    [video(new Blob(['x'])), /decoded by a page/],
    [{ type: 'video' }, /no data/],
  ];
  for (const [part, message] of cases) {
    await assert.rejects(ai.cost(part), (error) => error.code === 'invalid-argument' && message.test(error.message) && error.remedy.length > 0, String(message));
  }
});

test('what is no picture or sound is told by name', async () => {
  const ai = await open();
  const image = (image) => ({ type: 'image', image });
  const audio = (audio) => ({ type: 'audio', audio });
  const cases = [
    [image(pixels(0, 5)), /0 x 5/],
    [image({ ...pixels(5, 5), width: 6 }), /6 x 5/],
    [image({ data: new Uint8Array(4), width: 9000, height: 9000 }), /64000000/],
    [image('https://example.org/cat.png'), /example\.org.* not fetched/],
    [image('data:image/png,abc'), /data URL/],
    [image('!!!'), /base64/],
    [image('aGVsbG8='), /decoded by a browser/],
    [image(7), /neither a file nor pixels/],
    [{ type: 'image' }, /no data/],
    [{ ...image(pixels(5, 5)), tokens: 71 }, /71/],
    [audio({ samples: new Float32Array(0), sampleRate: 16_000 }), /no samples/],
    [audio({ samples: [new Float32Array(4), new Float32Array(3)], sampleRate: 16_000 }), /one length/],
    [audio({ samples: new Float32Array(4), sampleRate: 0 }), /0 samples a second/],
    [audio({ samples: new Float32Array(4), sampleRate: 44_100 }), /by a page alone/],
    [audio({ samples: new Float32Array(1801 * 16_000), sampleRate: 16_000 }), /1801 s/],
    [audio(new Uint8Array(9)), /decoded by a page/],
    [{ type: 'soft', of: 'image', values: new Float32Array(3) }, /whole rows of 256/],
    [{ type: 'film', film: 'x' }, /"film"/],
  ];
  for (const [part, words] of cases) {
    await assert.rejects(ai.cost(part), (error) => error.code === 'invalid-argument' && words.test(error.message) && error.remedy.length > 5);
  }
  await assert.rejects(ai.chat().ask({ role: 'user', content: 'x', images: 'x' }), { code: 'invalid-argument', message: /list/ });
});

test('a model without towers says so when the first medium comes, and takes those of another file', async () => {
  const ai = await open('blind');
  const chat = ai.chat();
  const message = { role: 'user', content: 'hello', images: [pixels(96, 96)] };
  await assert.rejects(chat.ask(message), (error) => error.code === 'model-unsupported' && /projector/.test(error.remedy));
  assert.deepEqual(chat.messages, []);
  await ai.setProjector('http://localhost/mmproj.gguf');
  assert.match(await chat.ask(message), /^\[1 pictures/);
  await ai.setProjector(null);
  await assert.rejects(ai.cost({ type: 'image', image: pixels(96, 96) }), { code: 'model-unsupported' });
});

test('perceiving stops on request, and leaves the conversation as it was', async () => {
  const ai = await open();
  const chat = ai.chat();
  const controller = new AbortController();
  const asked = chat.ask({ role: 'user', content: 'x', images: [pixels(96, 96), pixels(48, 48)] }, { signal: controller.signal });
  setTimeout(() => controller.abort());
  await assert.rejects(asked, { code: 'cancelled', name: 'AbortError' });
  assert.deepEqual(chat.messages, []);
  await chat.ask('hello');
  assert.equal(chat.messages.length, 2);
});

test('the size of a file is known before it is decoded', () => {
  const png = readFileSync(new URL('../../../../goldens/mm/unified.png', import.meta.url));
  const { width, height } = statedSize(png);
  assert.ok(width > 100 && height > 100 && width < 1000);
  const bytes = (text, ...rest) => Uint8Array.from([...Buffer.from(text, 'latin1'), ...rest, ...new Array(40).fill(0)]);
  const jpeg = bytes('\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x11\x08', 0x75, 0x30, 0x00, 0x01);
  assert.deepEqual(statedSize(jpeg), { width: 1, height: 30_000 });
  assert.deepEqual(statedSize(bytes('GIF89a', 0x10, 0x27, 0x20, 0x4e)), { width: 10_000, height: 20_000 });
  assert.deepEqual(statedSize(bytes('RIFFxxxxWEBPVP8X', 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0x27, 0, 0xff, 0xff, 0)), { width: 10_000, height: 65_536 });
  assert.equal(statedSize(bytes('nothing that is known')), undefined);
});
