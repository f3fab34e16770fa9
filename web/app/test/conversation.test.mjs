import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Conversation } from '../../dist-test/app.js';

before(() => {
  // The log is all that a conversation has of a page.
  globalThis.document = { createElement: () => ({ setAttribute() {}, append() {} }) };
});

const user = (content) => ({ role: 'user', content });
const model = (content) => ({ role: 'model', content });

/** An engine whose tokens are characters. */
function engine(context) {
  const chats = [];
  return {
    chats,
    info: { context, trainedContext: context },
    render: async ({ messages }) => ({ ids: messages.flatMap(({ content }) => [...content]) }),
    chat: (options) => {
      const chat = { options, closed: false, close: async () => void (chat.closed = true) };
      chats.push(chat);
      return chat;
    },
  };
}

/** A conversation of so many turns of 20 characters. */
function talk(ai, turns) {
  const conversation = new Conversation(ai, {});
  for (let i = 0; i < turns; i++) conversation.record([user(`question ${i}`.padEnd(10))], model(`answer ${i}`.padEnd(10)), undefined);
  return conversation;
}

test('what fits is left alone', async () => {
  const ai = engine(256);
  const conversation = talk(ai, 2);
  const { chat } = conversation;
  assert.deepEqual(await conversation.makeRoom([user('x')]), { over: 0, dropped: false });
  assert.equal(conversation.chat, chat);
});

test('the fewest of the oldest turns make room', async () => {
  const ai = engine(256);
  const conversation = talk(ai, 12);
  const { chat } = conversation;
  // 240 + 10 and a room of 64: the 3 oldest turns have to go, and leave 190 + 64.
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(10))]), { over: 0, dropped: true });
  assert.equal(conversation.firstTurn, 3);
  assert.equal(chat.closed, true);
  assert.equal(conversation.chat.options.messages[0].content, 'question 3');
  assert.equal(conversation.messages.length, 24, 'nothing is forgotten by the page');
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(10))]), { over: 0, dropped: false });
});

test('a message that fits alone is sent alone; a longer one is refused by so many tokens', async () => {
  const conversation = talk(engine(256), 12);
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(225))]), { over: 1, dropped: false });
  assert.equal(await conversation.tooLong([user('x'.repeat(300))]), 76);
  assert.equal(conversation.firstTurn, 0);
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(224))]), { over: 0, dropped: true });
  assert.deepEqual(conversation.chat.options.messages, []);
});

test("a tool's result keeps its call", async () => {
  const conversation = talk(engine(256), 8);
  conversation.record([user('call it'.padEnd(30))], model(''.padEnd(30)), undefined);
  assert.deepEqual(await conversation.makeRoom([{ role: 'tool', content: 'x'.repeat(100) }]), { over: 0, dropped: true });
  const [first] = conversation.chat.options.messages;
  assert.equal(first.role, 'user');
  assert.ok(conversation.chat.options.messages.some(({ content }) => content.startsWith('call it')));
  assert.equal(await conversation.tooLong([{ role: 'tool', content: 'x'.repeat(200) }]), 260 - 224);
});

test('another engine reads all of it again', async () => {
  const conversation = talk(engine(256), 12);
  await conversation.makeRoom([user('x')]);
  assert.ok(conversation.firstTurn > 0);
  const larger = engine(1024);
  conversation.resume(larger);
  assert.equal(conversation.chat.options.messages.length, 24);
  assert.equal(larger.chats.length, 1);
});

test('an answer that is taken back leaves its question', () => {
  const conversation = talk(engine(256), 2);
  assert.equal(conversation.unanswered, false);
  assert.deepEqual(conversation.takeBack().map(({ role }) => role), ['model']);
  assert.equal(conversation.unanswered, true);
});
