import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conversation } from '../../dist-test/app.js';

const user = (content) => ({ role: 'user', content });

/** An engine whose tokens are characters. */
function engine(context) {
  const chats = [];
  return {
    chats,
    info: { context, trainedContext: context },
    render: async ({ messages }) => ({ ids: messages.flatMap(({ content }) => [...content]) }),
    chat: (options) => {
      const chat = {
        options, closed: false, messages: undefined, calls: [],
        close: async () => void (chat.closed = true),
        setMessages: async (messages) => void (chat.messages = messages),
        async *retry() { chat.calls.push('retry'); },
        async *continue() { chat.calls.push('continue'); },
      };
      chats.push(chat);
      return chat;
    },
  };
}

let number = 0;

/** Adds a message behind what is shown. */
function say(conversation, role, content, more = {}) {
  number += 1;
  const message = { id: `m${number}`, chat: 'c', parent: conversation.leaf, role, content, created: number, state: 'done', ...more };
  conversation.add(message);
  return message;
}

const empty = (ai, options = () => ({})) => new Conversation({ id: 'c', leaf: null }, options, [], ai);

/** A conversation of so many turns of 20 characters. */
function talk(ai, turns) {
  const conversation = empty(ai);
  for (let i = 0; i < turns; i++) {
    say(conversation, 'user', `question ${i}`.padEnd(10));
    say(conversation, 'model', `answer ${i}`.padEnd(10));
  }
  return conversation;
}

/** Lets the model answer; gives what it is told. */
async function told(conversation, goOn = false) {
  for await (const event of conversation.answer(conversation.leaf, goOn, {})) assert.ok(event);
  return conversation;
}

test('what fits is left alone', async () => {
  const conversation = talk(engine(256), 2);
  assert.deepEqual(await conversation.makeRoom([user('x')]), { over: 0, dropped: false });
  assert.equal(conversation.firstRead, undefined);
});

test('the fewest of the oldest turns make room', async () => {
  const ai = engine(256);
  const conversation = talk(ai, 12);
  // 240 + 10 and a room of 64: the 3 oldest turns have to go, and leave 190 + 64.
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(10))]), { over: 0, dropped: true });
  assert.equal(conversation.firstRead, conversation.path[6].id);
  await told(conversation);
  assert.equal(ai.chats[0].messages[0].content, 'question 3');
  assert.equal(conversation.path.length, 24, 'nothing is forgotten by the page');
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(10))]), { over: 0, dropped: false });
});

test('a message that fits alone is sent alone; a longer one is refused by so many tokens', async () => {
  const ai = engine(256);
  const conversation = talk(ai, 12);
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(225))]), { over: 1, dropped: false });
  assert.equal(await conversation.tooLong([user('x'.repeat(300))]), 76);
  assert.equal(conversation.firstRead, undefined);
  assert.deepEqual(await conversation.makeRoom([user('x'.repeat(224))]), { over: 0, dropped: true });
  say(conversation, 'user', 'x'.repeat(224));
  await told(conversation);
  assert.deepEqual(ai.chats[0].messages.map(({ content }) => content.length), [224]);
});

test("a tool's result keeps its call", async () => {
  const ai = engine(256);
  const conversation = talk(ai, 8);
  say(conversation, 'user', 'call it'.padEnd(30));
  say(conversation, 'model', ''.padEnd(30));
  assert.deepEqual(await conversation.makeRoom([{ role: 'tool', content: 'x'.repeat(100) }]), { over: 0, dropped: true });
  await told(conversation);
  const [first] = ai.chats[0].messages;
  assert.equal(first.role, 'user');
  assert.ok(ai.chats[0].messages.some(({ content }) => content.startsWith('call it')));
  assert.equal(await conversation.tooLong([{ role: 'tool', content: 'x'.repeat(200) }]), 260 - 224);
});

test('another engine reads all of it again', async () => {
  const conversation = talk(engine(256), 12);
  await conversation.makeRoom([user('x')]);
  assert.notEqual(conversation.firstRead, undefined);
  const larger = engine(1024);
  conversation.resume(larger);
  await told(conversation);
  assert.equal(larger.chats[0].messages.length, 24);
});

test('one chat of the engine serves all versions, as long as it is told the same', async () => {
  const ai = engine(1024);
  let system = 'Be brief.';
  const conversation = empty(ai, () => ({ system }));
  const question = say(conversation, 'user', 'one');
  say(conversation, 'model', 'first');
  conversation.show(question.id);
  const second = say(conversation, 'model', 'second');
  await told(conversation, true);
  assert.deepEqual(ai.chats[0].messages, [{ role: 'user', content: 'one' }, { role: 'model', content: 'second' }]);
  conversation.show(question.id);
  await told(conversation);
  assert.deepEqual(ai.chats[0].calls, ['continue', 'retry']);
  assert.equal(ai.chats.length, 1);
  system = 'Be long.';
  await told(conversation);
  assert.equal(ai.chats[0].closed, true);
  assert.equal(ai.chats[1].options.system, 'Be long.');
  assert.equal(conversation.tree.versions(second.id).length, 2);
});

test('another version reads its beginning again where turns were left out', async () => {
  const conversation = talk(engine(256), 12);
  await conversation.makeRoom([user('x')]);
  const first = conversation.path[0];
  conversation.show(null);
  say(conversation, 'user', 'another beginning');
  assert.equal(conversation.firstRead, undefined);
  conversation.show(conversation.tree.leafBelow(first.id));
  assert.equal(conversation.path.length, 24);
});

test('what another tab adds is followed only where it goes on from what is shown', () => {
  const conversation = talk(engine(256), 1);
  const [question, answer] = conversation.path;
  const next = { id: 'n', chat: 'c', parent: answer.id, role: 'user', content: 'next', created: 1000, state: 'done' };
  conversation.record.leaf = 'n';
  conversation.refresh([question, answer, next]);
  assert.equal(conversation.leaf, 'n');
  const other = { id: 'o', chat: 'c', parent: question.id, role: 'model', content: 'other', created: 1001, state: 'done' };
  conversation.record.leaf = 'o';
  conversation.refresh([question, answer, next, other]);
  assert.equal(conversation.leaf, 'n', 'who reads is not torn away');
  conversation.refresh([question, other]);
  assert.equal(conversation.leaf, 'o', 'what is gone is left');
});

test('what is not kept yet is not lost when another tab is heard', () => {
  const conversation = talk(engine(256), 1);
  const kept = conversation.path;
  conversation.refresh(kept);
  const question = say(conversation, 'user', 'mine');
  const answer = say(conversation, 'model', 'so far', { state: 'writing' });
  conversation.running = new AbortController();
  const theirs = { ...question, id: 'theirs', content: 'theirs' };
  conversation.refresh([...kept, theirs, { ...answer, content: '' }]);
  assert.deepEqual(conversation.path.map(({ content }) => content).slice(2), ['mine', 'so far']);
  assert.equal(conversation.tree.versions(question.id).length, 2);
  conversation.running = undefined;
  conversation.remove(question.id, kept.at(-1).id);
  conversation.refresh([...kept, theirs]);
  assert.equal(conversation.tree.get(question.id), undefined);
});

test('without an answer the last question waits for one', () => {
  const conversation = talk(engine(256), 1);
  assert.equal(conversation.unanswered, false);
  say(conversation, 'user', 'and?');
  assert.equal(conversation.unanswered, true);
});
