// What callers hand in is refused by name before it reaches an engine.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkGenerate, checkHistory, checkIds, checkLoad, checkQuestion, Client, Engine, fakeOpener, localPair, serve } from '../../../dist-test/internals.js';

const refuses = (check, value, words) =>
  assert.throws(() => check(value), (error) => {
    assert.equal(error.code, 'invalid-argument', JSON.stringify(value));
    assert.match(error.message, words);
    assert.match(error.remedy, /\w.*\.$/);
    return true;
  });

async function open() {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const client = new Client(end);
  const info = await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} });
  return new Engine(client, info, () => {});
}

async function collect(events) {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}

test('options of an answer are named with their value', () => {
  const wrong = {
    temperature: [-1, NaN, Infinity, '1', null],
    topK: [-1, 0.5, 2 ** 32],
    topP: [7, -0.1, NaN],
    minP: [1.1],
    repeatPenalty: [0, -1, 1e-45, 1e9],
    presencePenalty: [NaN, 3e38],
    frequencyPenalty: ['x', -101],
    repeatLastN: [-1],
    seed: [-1, 1.5, 2 ** 60],
    maxTokens: [-1, 0, 1.5, NaN, 1e12],
    stop: ['x', [1], ['']],
    ignoreEos: ['yes'],
    logprobs: [-1],
  };
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) refuses(checkGenerate, { [name]: value }, new RegExp(`\`${name}\``));
  }
  refuses(checkGenerate, { responseFormat: {} }, /`responseFormat`/);
  refuses(checkGenerate, { toString: 1 }, /`toString`/);
  const right = { temperature: 0, topK: 0, topP: 1, minP: 0, repeatPenalty: 0.01, presencePenalty: -100, frequencyPenalty: 2, seed: 2 ** 53 - 1, maxTokens: 1, stop: [], logprobs: 0 };
  checkGenerate(right);
  checkGenerate({ temperature: undefined });
});

test('options of a load are named, too', () => {
  for (const [name, value] of [['ple', 'gpu'], ['experts', 'all'], ['kv', 'f8'], ['context', 0], ['context', 300.5], ['memoryBudget', -1], ['adapter', ''], ['store', true]]) {
    refuses(checkLoad, { [name]: value }, new RegExp(`\`${name}\``));
  }
  refuses(checkLoad, { ctx: 4096 }, /`ctx`/);
  ['f16', 'f32', 'q8'].forEach((kv) => checkLoad({ kv }));
  checkLoad({ ple: 'auto', experts: 'streamed', kv: 'f32', context: 256, memoryBudget: 1e9, adapter: 'native', store: 'never' });
});

test('ids that are none do not become others', () => {
  for (const id of [-1, 1.5, NaN, 2 ** 32, '7', undefined]) refuses(checkIds, [1, id], /Token 1/);
  checkIds([0, 2 ** 32 - 1]);
});

test('messages need a role and something in them', () => {
  refuses(checkHistory, [{ role: 'nonsense', content: 'x' }], /nonsense/);
  for (const message of [{ role: 'user' }, { role: 'user', content: null }, { role: 'user', content: 7 }, { content: 'x' }, null, 'x', { role: 'tool' }]) {
    refuses(checkHistory, [{ role: 'user', content: 'x' }, message], /Message 1/);
  }
  refuses(checkQuestion, [], /no message/);
  refuses(checkQuestion, [{ role: 'model', content: 'x' }], /role "model"/);
  refuses(checkQuestion, [{ role: 'system', content: 'x' }], /role "system"/);
  refuses(checkQuestion, [{ role: 'user', content: '' }], /empty/);
  checkHistory([{ role: 'user', content: [{ type: 'text', text: 'x' }] }, { role: 'assistant', tool_calls: [{}] }, { role: 'tool', content: '' }]);
  checkQuestion([{ role: 'system', content: 'x' }, { role: 'user', content: 'x' }]);
});

test('a chat refuses what says nothing, and goes on', async () => {
  const ai = await open();
  const chat = ai.chat();
  const invalid = { code: 'invalid-argument' };
  await assert.rejects(collect(chat.retry()), invalid);
  for (const message of [[], { role: 'user' }, { role: 'nonsense', content: 'x' }, '']) await assert.rejects(collect(chat.send(message)), invalid);
  await assert.rejects(collect(chat.send('hello', { maxTokens: -1 })), { ...invalid, message: '`maxTokens` is -1.' });
  await assert.rejects(collect(chat.retry()), invalid, 'nothing was sent yet');
  await assert.rejects(collect(chat.send('fail')), { code: 'nan' });
  await assert.rejects(collect(chat.retry()), invalid, 'what failed is not part of the conversation');
  assert.equal((await collect(chat.send('hello'))).at(-1).type, 'done');
  assert.equal((await collect(chat.retry())).at(-1).type, 'done');
  await assert.rejects(collect(ai.chat({ messages: [{ role: 'nonsense', content: 'x' }] }).send('hello')), invalid);
  assert.equal((await collect(ai.chat({ messages: [{ role: 'user', content: 'hello' }] }).retry())).at(-1).type, 'done');
  await assert.rejects(ai.generateIds([-1]), invalid);
  await assert.rejects(ai.generateIds([1], { topP: 7 }), invalid);
  await assert.rejects(ai.evaluate([0.5]), invalid);
});

test('what is called after close, and what was going on, says that the model is closed', async () => {
  const ai = await open();
  const going = collect(ai.chat().send('long'));
  await ai.memory();
  await ai.close();
  let lost = false;
  ai.lost.then(() => (lost = true));
  for (const call of [going, collect(ai.chat().send('hi')), ai.tokenize('x'), ai.memory()]) {
    await assert.rejects(call, (error) => {
      assert.equal(error.code, 'closed');
      assert.notEqual(error.name, 'AbortError');
      return true;
    });
  }
  assert.equal(lost, false, 'closing is no loss');
});
