// What a chat says that it holds, against what the engine does with it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, Engine, fakeOpener, localPair, serve } from '../../../dist-test/internals.js';

async function open() {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const client = new Client(end);
  const info = await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} }, {});
  return new Engine(client, info, () => {});
}

const roles = (chat) => chat.messages.map(({ role }) => role);

test('ask gives the whole text, and the conversation holds both sides', async () => {
  const ai = await open();
  const chat = ai.chat({ messages: [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] });
  const text = await chat.ask('think');
  assert.match(text, /short answer/);
  const [, , asked, answered] = chat.messages;
  assert.deepEqual(asked, { role: 'user', content: 'think' });
  assert.equal(answered.role, 'model');
  assert.equal(answered.content, text);
  assert.match(answered.thinking, /Let me see/);
  assert.equal(chat.messages.length, 4);
});

test('a call of a tool and its result are part of it', async () => {
  const ai = await open();
  const chat = ai.chat();
  await chat.ask('tool');
  await chat.ask({ role: 'tool', name: 'get_weather', content: 'rain' });
  assert.deepEqual(roles(chat), ['user', 'model', 'tool', 'model']);
  assert.deepEqual(chat.messages[1].toolCalls, [{ name: 'get_weather', arguments: { city: 'Oslo' } }]);
});

test('a stopped answer stays, a failed one leaves nothing, another try replaces the last', async () => {
  const ai = await open();
  const chat = ai.chat();
  for await (const event of chat.send('long')) if (event.type === 'content') break;
  assert.deepEqual(roles(chat), ['user', 'model']);
  assert.ok(chat.messages[1].content.length > 0);
  await assert.rejects(chat.ask('fail'));
  assert.deepEqual(roles(chat), ['user', 'model']);
  const other = ai.chat({ messages: [{ role: 'user', content: 'hi' }, { role: 'assistant', content: 'old' }] });
  for await (const event of other.retry()) assert.ok(event);
  assert.deepEqual(roles(other), ['user', 'model']);
  assert.notEqual(other.messages[1].content, 'old');
});

test('it is a copy that goes through JSON into the next conversation', async () => {
  const ai = await open();
  const chat = ai.chat();
  await chat.ask('hello');
  chat.messages[0].content = 'changed';
  assert.equal(chat.messages[0].content, 'hello');
  const next = ai.chat({ messages: JSON.parse(JSON.stringify(chat.messages)) });
  assert.deepEqual(next.messages, chat.messages);
  await chat.close();
  assert.deepEqual(chat.messages, []);
});
