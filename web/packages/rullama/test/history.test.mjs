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

test('a cut answer goes on, and is one answer', async () => {
  const ai = await open();
  const chat = ai.chat();
  await chat.ask('long', { maxTokens: 3 });
  assert.equal(chat.messages[1].content, 'word0 word1 word2 ');
  let more = '';
  for await (const event of chat.continue({ maxTokens: 2 })) if (event.type === 'content') more += event.text;
  assert.equal(more, 'word3 word4 ', 'the events bring what is new');
  assert.deepEqual(chat.messages, [{ role: 'user', content: 'long' }, { role: 'model', content: 'word0 word1 word2 word3 word4 ' }]);
  // What another program has begun, in the other notation; what was handed in stays as it was.
  const begun = [{ role: 'user', content: 'long' }, { role: 'assistant', content: [{ type: 'text', text: 'word0 ' }], reasoning_content: 'Hm' }];
  const before = structuredClone(begun);
  const other = ai.chat({ messages: begun });
  for await (const event of other.continue({ maxTokens: 1 })) assert.ok(event);
  assert.deepEqual(other.messages[1], { role: 'assistant', content: 'word0 word1 ', thinking: 'Hm' });
  assert.deepEqual(begun, before);
});

test('what cannot go on is named', async () => {
  const ai = await open();
  const drain = async (chat) => {
    for await (const event of chat.continue()) assert.ok(event);
  };
  const refused = (what) => (error) => error.code === 'invalid-argument' && what.test(error.message);
  await assert.rejects(drain(ai.chat()), refused(/does not end with an answer/));
  await assert.rejects(drain(ai.chat({ messages: [{ role: 'user', content: 'x' }] })), refused(/does not end with an answer/));
  const calls = [{ role: 'user', content: 'x' }, { role: 'model', content: '', toolCalls: [{ name: 'f', arguments: {} }] }];
  await assert.rejects(drain(ai.chat({ messages: calls })), refused(/calls a tool/));
  const chat = ai.chat({ messages: [{ role: 'user', content: 'fail' }, { role: 'model', content: 'So' }] });
  await assert.rejects(drain(chat));
  assert.equal(chat.messages[1].content, 'So', 'a failure leaves it as it was');
});

test('other messages take the place of the conversation', async () => {
  const ai = await open();
  const chat = ai.chat();
  await chat.ask('recall one');
  await chat.ask('recall two');
  await chat.setMessages([...chat.messages.slice(0, 2), { role: 'user', content: 'recall three' }]);
  for await (const event of chat.retry()) assert.ok(event);
  assert.deepEqual(chat.messages.map(({ content }) => content), ['recall one', '[recall one] ', 'recall three', '[recall one] [recall three] ']);
  // Before anything was sent, as well.
  const fresh = ai.chat();
  await fresh.setMessages([{ role: 'user', content: 'recall' }]);
  for await (const event of fresh.retry()) assert.ok(event);
  assert.equal(fresh.messages[1].content, '[recall] ');
  await assert.rejects(fresh.setMessages([{ role: 'robot', content: 'x' }]), { code: 'invalid-argument' });
  await assert.rejects(fresh.setMessages('x'), { code: 'invalid-argument' });
  assert.equal(fresh.messages.length, 2);
});
