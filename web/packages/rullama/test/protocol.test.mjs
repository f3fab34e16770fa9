import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, Engine, fakeOpener, localPair, RullamaError, serve } from '../../../dist-test/internals.js';

async function open(source = { url: 'http://localhost/model.gguf' }, onEvent = () => {}) {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const client = new Client(end);
  const info = await client.call('load', { source, options: {} }, { onEvent });
  return { client, ai: new Engine(client, info, () => {}) };
}

async function collect(events) {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}

const textOf = (events) => events.map((e) => (e.type === 'content' ? e.text : '')).join('');

test('load reports its phases in order and the model that it loaded', async () => {
  const phases = [];
  const { ai } = await open(undefined, (p) => phases.push(p.phase));
  assert.deepEqual([...new Set(phases)], ['header', 'weights', 'self-test', 'ready']);
  assert.equal(ai.info.name, 'model.gguf');
});

test('a load that fails rejects with code and remedy', async () => {
  await assert.rejects(open({ blob: new Blob(['x']), name: 'corrupt.gguf' }), (error) => {
    assert.equal(error.code, 'model-truncated');
    assert.ok(error.remedy.length > 10);
    return true;
  });
});

test('an answer streams as events and ends with its statistics', async () => {
  const { ai } = await open();
  const chat = ai.chat();
  const events = await collect(chat.send('think'));
  assert.equal(events[0].type, 'thinking');
  assert.equal(events.filter((e) => e.type === 'done').length, 1);
  assert.equal(events.at(-1).summary.finish, 'stop');
  assert.equal(textOf(events), chat.last.text);
});

test('embeddings come in the order of their texts', async () => {
  const { ai } = await open();
  const found = await ai.embed(['one', 'three'], { prompt: 'query', dims: 2 });
  assert.deepEqual(found.vectors, [Float32Array.of(3, 1), Float32Array.of(5, 1)]);
  assert.deepEqual([found.tokens, found.truncated], [[3, 5], [0]]);
  assert.deepEqual((await ai.embed([])).vectors, []);
  await assert.rejects(ai.embed(['slow'], { signal: AbortSignal.abort() }), { code: 'cancelled' });
  assert.equal((await ai.embed(['x'])).vectors.length, 1);
  for (const [texts, options, part] of [
    ['one', {}, 'texts'],
    [['a', 3], {}, 'Text 1'],
    [['a'], { prompt: 'poem' }, 'clustering'],
    [['a'], { dims: 0 }, 'dims'],
    [['a'], { length: 2 }, 'length'],
  ]) {
    await assert.rejects(ai.embed(texts, options), (error) => error.code === 'invalid-argument' && `${error.message} ${error.remedy}`.includes(part));
  }
});

test('a tool call arrives parsed', async () => {
  const { ai } = await open();
  const events = await collect(ai.chat().send('tool'));
  assert.deepEqual(events[0], { type: 'toolCall', call: { name: 'get_weather', arguments: { city: 'Oslo' } } });
});

test('a tool call that cannot be read arrives as such', async () => {
  const { ai } = await open();
  const events = await collect(ai.chat().send('garble'));
  assert.deepEqual(events[0], { type: 'unreadableCall', text: 'call:get_weather{city:<|"|>Os' });
});

test('a signal stops an answer, and the next one works', async () => {
  const { ai } = await open();
  const chat = ai.chat();
  const controller = new AbortController();
  let words = 0;
  for await (const event of chat.send('long', { signal: controller.signal })) {
    if (event.type === 'content' && ++words === 5) controller.abort();
  }
  assert.equal(chat.last.finish, 'cancelled');
  assert.ok(words >= 5 && words < 100, `${words}`);
  assert.equal((await collect(chat.send('hello'))).at(-1).summary.finish, 'stop');
});

test('leaving the loop stops the answer', async () => {
  const { ai } = await open();
  const chat = ai.chat();
  for await (const event of chat.send('long')) if (event.type === 'content') break;
  // Only a stopped answer lets the queue go on.
  assert.equal((await collect(ai.chat().send('hello'))).at(-1).summary.finish, 'stop');
});

test('an answer that is stopped before it began ends as any stopped one, and can be had again', async () => {
  const { ai } = await open();
  const chat = ai.chat();
  const events = await collect(chat.send('hello', { signal: AbortSignal.abort() }));
  assert.equal(events.filter((e) => e.type === 'done').length, 1);
  assert.equal(events.at(-1).summary.finish, 'cancelled');
  assert.match(textOf(await collect(chat.retry())), /short answer/);
});

test('an answer that is stopped while it waits ends as any stopped one', async () => {
  const { ai } = await open();
  const first = collect(ai.chat().send('hello'));
  const controller = new AbortController();
  const second = collect(ai.chat().send('long', { signal: controller.signal }));
  await ai.memory();
  controller.abort();
  assert.equal((await first).at(-1).summary.finish, 'stop');
  assert.equal((await second).at(-1).summary.finish, 'cancelled');
});

test('a conversation that did not open is tried again', async () => {
  let attempts = 0;
  const call = async (name) => {
    if (name !== 'chatOpen') return { finish: 'stop' };
    if (++attempts === 1) throw new RullamaError('out-of-memory', 'No room.');
    return 7;
  };
  const chat = new Engine({ call, lost: new Promise(() => {}) }, {}, () => {}).chat();
  await assert.rejects(collect(chat.send('hello')), { code: 'out-of-memory' });
  await chat.close();
  assert.equal((await collect(chat.send('hello'))).at(-1).type, 'done');
  assert.equal(attempts, 2);
});

test('parameters that cannot travel fail their own call only', async () => {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const client = new Client({ post: (request) => end.post(structuredClone(request)), listen: (f) => end.listen(f) });
  await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} });
  const ai = new Engine(client, {}, () => {});
  const tools = [{ name: 'f', description: '', parameters: { check: () => true } }];
  await assert.rejects(collect(ai.chat({ tools }).send('hello')), (error) => {
    assert.ok(error instanceof RullamaError);
    assert.equal(error.code, 'invalid-argument');
    return true;
  });
  assert.deepEqual(await ai.tokenize('a'), [97]);
});

test('answers queue up; small calls pass them', async () => {
  const { ai } = await open();
  const first = collect(ai.chat().send('hello'));
  const second = collect(ai.chat().send('think'));
  const order = [];
  first.then(() => order.push('first'));
  second.then(() => order.push('second'));
  await ai.memory().then(() => order.push('memory'));
  await Promise.all([first, second]);
  assert.deepEqual(order, ['memory', 'first', 'second']);
});

test('retry answers again without a new message', async () => {
  const { ai } = await open();
  const chat = ai.chat();
  const first = textOf(await collect(chat.send('hello')));
  assert.equal(textOf(await collect(chat.retry())), first);
});

test('a lost device rejects what is pending and what follows', async () => {
  const { ai } = await open();
  const pending = collect(ai.chat().send('lose'));
  await assert.rejects(pending, { code: 'device-lost' });
  assert.equal((await ai.lost).code, 'device-lost');
  await assert.rejects(ai.memory(), { code: 'device-lost' });
});

test('a failed answer leaves the model usable', async () => {
  const { ai } = await open();
  await assert.rejects(collect(ai.chat().send('fail')), { code: 'nan' });
  assert.equal((await collect(ai.chat().send('hello'))).at(-1).type, 'done');
});

test('generateIds streams tokens and returns the summary', async () => {
  const { ai } = await open();
  const tokens = [];
  const summary = await ai.generateIds([7], { maxTokens: 3, onToken: (t) => tokens.push(t.id) });
  assert.deepEqual(tokens, [8, 9, 10]);
  assert.deepEqual(summary.ids, tokens);
});

test('nothing works after close', async () => {
  const { ai } = await open();
  await ai.close();
  await assert.rejects(ai.tokenize('x'), { code: 'closed' });
});
