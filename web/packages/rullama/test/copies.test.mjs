// Conversations copied, saved and restored, as far as that goes without a GPU.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, Engine, fakeOpener, localPair, pickedRef, serve } from '../../../dist-test/internals.js';

async function engine(name = 'model.gguf') {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const client = new Client(end);
  return new Engine(client, await client.call('load', { source: { url: `http://localhost/${name}` }, options: {} }), () => {});
}

test('a fork has said the same, and both go on apart', async () => {
  const ai = await engine();
  const chat = ai.chat({ system: 'Be brief.' });
  await chat.ask('say\nfirst');
  const [other, unopened] = [await chat.fork(), await ai.chat({ messages: [{ role: 'user', content: 'x' }] }).fork()];
  assert.deepEqual(other.messages, chat.messages);
  assert.equal(unopened.messages.length, 1);
  await other.ask('say\nsecond');
  assert.deepEqual([chat.messages.length, other.messages.length], [2, 4]);
  assert.equal(await chat.ask('recall'), '[say\nfirst] [recall] ');
  assert.match(await other.ask('recall'), /second/);
  // A copy that was closed begins where it was copied.
  await other.close();
  assert.equal(other.messages.length, 2);
});

test('a saved conversation goes on in another engine with the same model, and in no other', async () => {
  const ai = await engine();
  const chat = ai.chat({ system: 'Be brief.' });
  await chat.ask('say\nGröße');
  const saved = await chat.save();
  const again = await (await engine()).restore(saved);
  assert.deepEqual(again.messages, chat.messages);
  assert.match(await again.ask('recall'), /Größe/);
  await assert.rejects((await engine('other.gguf')).restore(saved), { code: 'invalid-argument', message: /other weights/ });
});

test('without its messages a conversation goes on with those that are set, and what is known of them is not computed again', async () => {
  const ai = await engine();
  const chat = ai.chat({ system: 'Be brief.' });
  await chat.ask('say\nGröße');
  const saved = await chat.save({ messages: false });
  assert.ok(!Buffer.from(saved).toString().includes('Größe'));
  const other = await engine();
  const again = await other.restore(saved);
  assert.deepEqual(again.messages, []);
  await again.setMessages(chat.messages);
  await again.ask('recall');
  const { promptTokens, timings } = again.last;
  assert.ok(timings.prefilledTokens < 40 && promptTokens > 60, `${timings.prefilledTokens} of ${promptTokens}`);
  const anew = other.chat({ system: 'Be brief.', messages: chat.messages });
  await anew.ask('recall');
  assert.equal(anew.last.timings.prefilledTokens, anew.last.promptTokens);
});

test('a save has a bound, and is left where a signal comes before its turn', async () => {
  const ai = await engine();
  const chat = ai.chat();
  await chat.ask('say\nhello');
  await assert.rejects(chat.save({ most: 3 }), { code: 'invalid-argument', message: /bytes.*most/ });
  assert.ok((await chat.save({ most: 1e6 })).length > 10);
  const controller = new AbortController();
  const [answer, saved] = [ai.chat().ask('hello'), chat.save({ signal: controller.signal })];
  controller.abort();
  await assert.rejects(saved, { code: 'cancelled' });
  await answer;
  assert.match(await chat.ask('recall'), /recall/);
});

test('files that are chosen together are the parts of a model', () => {
  const [one, two] = [new File(['a'], 'a.gguf'), new Blob(['b'])];
  assert.deepEqual(pickedRef(one), { blob: one, name: 'a.gguf' });
  assert.deepEqual(pickedRef([one, two]), { parts: [{ blob: one, name: 'a.gguf' }, { blob: two, name: 'part 2' }] });
  for (const wrong of [[], [one, 'a.gguf'], [undefined]]) assert.throws(() => pickedRef(wrong), { code: 'invalid-argument', remedy: /all parts/ });
});

test('pictures are saved where JSON can hold them', async () => {
  const ai = await engine();
  const pixels = { data: new Uint8ClampedArray(4 * 64 * 64), width: 64, height: 64 };
  const chat = ai.chat({ messages: [{ role: 'user', content: '', images: [pixels] }, { role: 'model', content: 'Black.' }] });
  await assert.rejects(chat.save(), { code: 'invalid-argument', message: /pictures or sounds/, remedy: /base64/ });
});

test('bytes that are no saved conversation are refused, wherever they are damaged', async () => {
  const ai = await engine();
  const chat = ai.chat();
  await chat.ask('say\nhello');
  const saved = await chat.save();
  const length = new DataView(saved.buffer).getUint32(8, true);
  for (let cut = 0; cut < saved.length; cut++) {
    await assert.rejects(ai.restore(saved.slice(0, cut)), (error) => error.code === 'invalid-argument' && /restored/.test(error.message), `cut at ${cut}`);
  }
  const changed = saved.slice();
  changed[12] = 0xff;
  const huge = saved.slice();
  huge.fill(0xff, 8, 12);
  const wrong = saved.slice();
  wrong.set(new TextEncoder().encode('[]'.padEnd(length)), 12);
  for (const bytes of [changed, huge, wrong, 'text', null, new Uint8Array(20)]) {
    await assert.rejects(ai.restore(bytes), (error) => error.code === 'invalid-argument' && /chat\.save/.test(error.remedy));
  }
});

test('ids become text again', async () => {
  const ai = await engine();
  assert.equal(await ai.detokenize(await ai.tokenize('Größe 🦀')), 'Größe 🦀');
  assert.equal(await ai.detokenize([]), '');
  await assert.rejects(ai.detokenize([1, -1]), { code: 'invalid-argument', message: /Token 1/ });
});
