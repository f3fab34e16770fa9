// Conversations in files: what goes out comes in again, other programs' exports are read, and what is wrong is named.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { LIMITS, linkData, readChats, readLink, readText, Refusal, toJson, toMarkdown, Tree, written } from '../../dist-test/app.js';

const file = (value, name = 'x.json') => new File([typeof value === 'string' ? value : JSON.stringify(value)], name);
const sample = (name) => readFileSync(new URL(`exports/${name}`, import.meta.url), 'utf8');
const empty = () => ({ chats: new Map(), presets: [], messages: async () => [] });
const read = (value, library = empty()) => readChats(value instanceof File ? value : file(value), library);
const texts = ({ chat, messages }) => new Tree(messages).path(chat.leaf).map(({ role, content }) => `${role}: ${content}`);

const own = () => ({
  format: 'rullama-chats', version: 1, exported: '2026-11-25T00:00:00.000Z',
  chats: [{
    id: 'c1', title: 'Sky', named: true, pinned: true, created: 1000, changed: 9000, leaf: 'a2',
    settings: { system: 'Be brief.', temperature: '0.5', topP: '7', nonsense: 'x' }, tools: ['multiply'], allowed: ['multiply'],
    messages: [
      { id: 'q1', parent: null, role: 'user', content: 'Why?', created: 1000, documents: [{ type: 'text', name: 'a.md', text: '# A' }] },
      { id: 'a1', parent: 'q1', role: 'model', content: 'First', created: 2000, state: 'cut', thinking: 'Hm', thinkingMs: 12 },
      {
        id: 'a2', parent: 'q1', role: 'model', content: '', created: 3000, state: 'done', finish: 'tool-call', model: 'demo', ended: 4000,
        toolCalls: [{ name: 'multiply', arguments: { a: 1 } }], unreadable: ['x'], settings: { temperature: 1, stop: ['x'], odd: {} },
        stats: { tokens: 1, promptTokens: 2, prefillS: 0.1, decodeS: 0.2, firstTokenS: 0.1, decodeTokS: 5 },
      },
    ],
  }],
  presets: [{ id: 'p', name: 'Pirate', values: { system: 'Arr.', temperature: '9' } }],
});

test('what is exported is imported, with every branch and every field, under names of its own', async () => {
  const { chats, presets, known } = await read(own());
  assert.equal(known, 0);
  const [{ chat, messages }] = chats;
  assert.deepEqual([chat.title, chat.named, chat.pinned, chat.created, chat.changed, chat.tools], ['Sky', true, true, 1000, 9000, ['multiply']]);
  assert.deepEqual(chat.settings, { system: 'Be brief.', temperature: '0.5' }, 'what is out of range is left out');
  assert.deepEqual(presets.map(({ name, values }) => [name, values]), [['Pirate', { system: 'Arr.' }]]);
  assert.equal(messages.length, 3);
  assert.ok(messages.every(({ id, chat: of }) => id.length === 32 && of === chat.id));
  // A second time round, nothing is lost on the way.
  const again = (await read(JSON.parse(toJson(chats, presets)))).chats[0];
  const plain = ({ messages: all }) => all.map(({ id: _id, chat: _chat, parent, ...rest }) => ({ ...rest, parent: parent === null }));
  assert.deepEqual(plain(again), plain({ messages }));
  assert.deepEqual(texts(again), texts({ chat, messages }));
  assert.deepEqual(messages[0].documents, [{ type: 'text', name: 'a.md', text: '# A' }]);
  assert.equal(chat.allowed, undefined, 'consent is not imported');
  assert.equal(JSON.parse(toJson([{ chat: { ...chat, allowed: ['multiply'] }, messages }], [])).chats[0].allowed, undefined, 'nor exported');
  assert.equal(messages[1].state, 'cut');
  assert.deepEqual(messages[2].settings, { temperature: 1, stop: ['x'] });
});

test('an answer that is being written is exported as one that was cut', async () => {
  const chat = { id: 'c', title: 't', named: false, pinned: false, created: 1, changed: 1, leaf: 'a', settings: {}, tools: [], deleted: 7 };
  const json = JSON.parse(toJson([{ chat, messages: [{ id: 'a', chat: 'c', parent: null, role: 'model', content: 'So', created: 1, state: 'writing' }] }], []));
  assert.equal(json.chats[0].messages[0].state, 'cut');
  assert.equal(json.chats[0].deleted, undefined);
});

test('what is here already is told, and what has grown since comes beside it', async () => {
  const library = { chats: new Map([['c1', { id: 'c1' }]]), presets: [{ name: 'Pirate' }], messages: async () => [1, 2, 3] };
  const first = await read(own(), library);
  assert.deepEqual([first.chats.length, first.known, first.presets.length], [0, 1, 0]);
  library.messages = async () => [1, 2];
  assert.equal((await read(own(), library)).chats.length, 1);
  // An imported one is known by where it came from.
  const imported = (await read(own())).chats[0];
  const later = { chats: new Map([[imported.chat.id, imported.chat]]), presets: [], messages: async () => imported.messages };
  assert.equal((await read(own(), later)).known, 1);
});

test("ChatGPT's export: branches, hidden nodes, thoughts, pictures", async () => {
  const { chats, leftOut } = await read(file(sample('chatgpt.json'), 'conversations.json'));
  assert.equal(chats.length, 2);
  const [sky, picture] = chats;
  assert.equal(sky.chat.title, 'Sky colours');
  assert.equal(sky.chat.created, 1_700_000_000_500);
  assert.equal(sky.chat.settings.system, 'Answer briefly.');
  assert.deepEqual(texts(sky), ['user: Why is the sky blue?', 'model: Because of scattering.', 'user: And red at night?', 'model: A longer way through the air.']);
  const tree = new Tree(sky.messages);
  const [, answer] = tree.path(sky.chat.leaf);
  assert.equal(tree.versions(answer.id).length, 2);
  assert.equal(answer.model, 'gpt-4o');
  assert.equal(tree.path(sky.chat.leaf)[3].thinking, 'Light\nIt travels far.');
  assert.deepEqual(texts(picture), ['user: What is this?', 'tool: found', 'model: A cat.']);
  assert.deepEqual([...leftOut], [['pictures', 1]]);
});

test("Open WebUI's export: the tree of a chat, its thoughts and system prompt, and the row of older ones", async () => {
  const { chats, leftOut } = await read(sample('open-webui.json'));
  assert.equal(chats.length, 2);
  const [first, older] = chats;
  assert.deepEqual([first.chat.title, first.chat.pinned, first.chat.settings.system], ['A plan', true, 'Be a planner.']);
  assert.deepEqual(texts(first), ['user: Plan a trip', 'model: Go to <Oslo>.']);
  assert.equal(first.messages.find(({ content }) => content.includes('Oslo')).thinking, 'Where to?\nNorth & far.');
  assert.equal(first.messages.length, 3);
  assert.deepEqual(texts(older), ['user: one', 'model: two']);
  assert.deepEqual([...leftOut], [['attached files', 1]]);
});

test('what is wrong is named, with its place', async () => {
  const broken = (change) => {
    const value = own();
    change(value.chats[0], value);
    return value;
  };
  const cases = [
    [broken((_, value) => (value.version = 2)), /version 2.*reads version 1/],
    [broken((_, value) => (value.chats = {})), /chats is an object: it must be a list/],
    [broken((chat) => delete chat.title), /chats\[0\]\.title is missing: it must be text/],
    [broken((chat) => (chat.messages[1].role = 'system')), /chats\[0\]\.messages\[1\]\.role is "system": it must be one of user, model, tool/],
    [broken((chat) => (chat.messages[1].content = ['x'])), /messages\[1\]\.content is a list/],
    [broken((chat) => (chat.messages[1].created = 'x')), /messages\[1\]\.created is "x"/],
    [broken((chat) => (chat.messages[1].created = 1e300)), /messages\[1\]\.created/],
    [broken((chat) => (chat.messages[2].toolCalls = [{ name: 'f', arguments: 7 }])), /messages\[2\]\.toolCalls\[0\]\.arguments is 7: it must be an object/],
    [broken((chat) => (chat.messages[2].stats.tokens = null)), /messages\[2\]\.stats\.tokens is missing/],
    [broken((chat) => (chat.messages[0].parent = 'a2')), /goes in a circle/],
    [broken((chat) => (chat.messages[1].parent = 'zzz')), /no message with the id "zzz"/],
    [broken((chat) => (chat.messages[1].id = 'q1')), /two messages with the id "q1"/],
    [broken((chat) => (chat.messages[1].content = 'x'.repeat(LIMITS.text + 1))), /messages\[1\]\.content has 4,194,305 characters/],
    [broken((chat) => (chat.messages = Array(LIMITS.messages + 1).fill({}))), /20,001 messages/],
    ['not json', /“x\.json” is not JSON/],
    ['', /“x\.json” is not JSON/],
    ['PK\u0003\u0004xxxx', /zip archive/],
    ['[]', /none of the exports/],
    ['7', /none of the exports/],
    ['{"a": 1}', /none of the exports/],
    ['['.repeat(200_000), /not JSON/],
    ['['.repeat(5000) + ']'.repeat(5000), /none of the exports/],
    [[{ mapping: { a: { parent: 'b' }, b: { parent: 'a' } } }], /goes in a circle at the node/],
    [[{ mapping: { a: { parent: null, message: { author: { role: 'robot' }, content: { parts: ['x'] } } } } }], /\[0\]\.mapping\["a"\]\.message\.author\.role is "robot"/],
    [[{ mapping: { a: { parent: 7 } } }], /mapping\["a"\]\.parent is 7: it must be text/],
    [[{ mapping: {} }, 7], /\[1\] is 7: it must be an object/],
    [[{ chat: { history: { messages: { a: { role: 'user', content: 'x', parentId: 'b' } } } } }], /no message with the id "b"/],
    [[{ chat: { history: { messages: { a: { role: 'user', content: {}, parentId: null } } } } }], /messages\["a"\]\.content is an object/],
  ];
  for (const [value, expected] of cases) {
    await assert.rejects(read(value), (error) => error instanceof Refusal && expected.test(error.message), `${expected}`);
  }
  const huge = Object.defineProperty(file('[]'), 'size', { value: LIMITS.file + 1 });
  await assert.rejects(read(huge), /more than 134,217,728 are not read/);
});

test('names that objects have of themselves are names like others', async () => {
  const value = JSON.stringify([{ title: 'x', mapping: { constructor: { parent: null, message: { author: { role: 'user' }, content: { parts: ['a'] } } } }, current_node: 'constructor' }])
    .replaceAll('constructor', '__proto__');
  const { chats } = await read(value);
  assert.deepEqual(texts(chats[0]), ['user: a']);
  assert.equal({}.parent, undefined);
});

test('long ways are read in bounded time', () => {
  const mapping = {};
  for (let i = 0; i < LIMITS.messages; i++) mapping[`n${LIMITS.messages - i}`] = { parent: i === LIMITS.messages - 1 ? null : `n${LIMITS.messages - i - 1}`, message: i % 2 ? null : { author: { role: 'user' }, content: { parts: [`${i}`] } } };
  const started = performance.now();
  const { foreign } = readText(JSON.stringify([{ mapping }]), 'x');
  assert.equal(foreign[0].nodes.length, LIMITS.messages / 2);
  const messages = Object.fromEntries(Array.from({ length: LIMITS.messages }, (_, i) => [`m${i}`, { role: 'user', content: '<details type="reasoning"'.repeat(20), parentId: i === 0 ? null : `m${i - 1}` }]));
  readText(JSON.stringify([{ chat: { history: { messages } } }]), 'x');
  readText(JSON.stringify([{ chat: { history: { messages: { a: { role: 'user', content: '<details type="reasoning"'.repeat(150_000), parentId: null } } } } }]), 'x');
  assert.ok(performance.now() - started < 5000, `${performance.now() - started} ms`);
});

test('Markdown has the version that is shown, with fences that hold', async () => {
  const value = own();
  value.chats[0].messages.push({ id: 'r', parent: 'a2', role: 'tool', name: 'multiply', content: '```\n7', created: 4000 }, { id: 'z', parent: 'r', role: 'model', content: 'Seven', created: 5000, state: 'cut', thinking: 'Hm\n\nso' });
  value.chats[0].leaf = 'z';
  const { chat, messages } = (await read(value)).chats[0];
  assert.equal(toMarkdown(chat, messages), [
    '# Sky', '1970-01-01', '## System prompt', 'Be brief.', '## You', 'File `a.md`:', '```md\n# A\n```', 'Why?', '## Model (demo)',
    '```json\n{\n  "name": "multiply",\n  "arguments": {\n    "a": 1\n  }\n}\n```', '## Tool (multiply)', '````\n```\n7\n````',
    '## Model', '> Thoughts:\n>\n> Hm\n>\n> so', 'Seven', '*(cut off before its end)*',
  ].join('\n\n') + '\n');
});

test('pictures and sounds go out and come in again, and what is none is named', async () => {
  const blob = new Blob([Uint8Array.of(0, 255, 7, 128)], { type: 'image/png' });
  const media = [{ type: 'image', image: blob, name: 'a.png', words: 'Four bytes' }, { type: 'audio', audio: new Blob(['x']), name: 'b.wav' }];
  const chat = { id: 'c', title: 't', named: false, pinned: false, created: 1, changed: 1, leaf: 'a', settings: {}, tools: [] };
  const message = { id: 'a', chat: 'c', parent: null, role: 'user', content: '', media, created: 1, state: 'done' };
  const json = JSON.parse(toJson(await written([{ chat, messages: [message] }]), []));
  const [{ messages: [{ media: [picture, sound] }] }] = (await read(json)).chats;
  assert.deepEqual([picture.name, picture.words, picture.image.type, sound.audio.type], ['a.png', 'Four bytes', 'image/png', 'audio/wav']);
  assert.deepEqual([...new Uint8Array(await picture.image.arrayBuffer())], [0, 255, 7, 128]);
  assert.match(toMarkdown(chat, [message]), /\*\(Four bytes\)\*/);
  const [written0] = json.chats[0].messages[0].media;
  for (const data of ['data:text/html;base64,AAAA', 'data:image/png;base64,***', 'https://example.org/x.png', 7]) {
    written0.data = data;
    await assert.rejects(read(json), (error) => error instanceof Refusal && /media\[0\]\.data/.test(error.message));
  }
  const large = { size: 89 * 2 ** 20 };
  await assert.rejects(written([{ chat, messages: [{ ...message, media: [{ ...media[0], image: large }] }] }]), /89 MiB/);
});

test('a link holds the version that is shown, and no more; what is no whole one is refused', async () => {
  const { chats: [{ chat, messages }] } = await read(own());
  messages.find(({ role }) => role === 'user').media = [{ type: 'image', name: 'p.png', image: new Blob(['x']) }];
  const data = await linkData(chat, messages);
  assert.match(data, /^[\w-]+$/);
  const { fresh } = await readLink(data, empty());
  assert.deepEqual([fresh.chat.title, fresh.chat.settings, fresh.chat.tools, fresh.chat.pinned], ['Sky', { system: 'Be brief.' }, [], false]);
  assert.deepEqual(fresh.messages.map(({ content, media, documents }) => [content, media, documents?.length]), [['Why?', undefined, 1], ['', undefined, undefined]]);
  const here = { chats: new Map([[chat.id, chat]]), presets: [], messages: async () => messages };
  assert.equal((await readLink(data, here)).known, chat);
  // A copy of it that was kept from another link, and one that does not hold what the link does.
  const copy = { ...chat, id: 'another', origin: chat.id };
  const copies = { ...here, chats: new Map([['another', copy]]) };
  assert.equal((await readLink(data, copies)).known, copy);
  assert.equal((await readLink(await linkData(copy, messages), here)).known, chat);
  assert.equal((await readLink(data, { ...here, messages: async () => messages.map((one) => ({ ...one, content: `${one.content} else` })) })).fresh.chat.title, 'Sky');
  const eager = await linkData({ ...chat, settings: { system: 'Be brief.' } }, messages);
  const asking = JSON.parse(inflateRawSync(Buffer.from(eager, 'base64url')));
  asking.chats[0].settings = { ...asking.chats[0].settings, maxTokens: 3, temperature: 2 };
  const hostile = deflateRawSync(JSON.stringify(asking)).toString('base64url');
  assert.deepEqual((await readLink(hostile, empty())).fresh.chat.settings, { system: 'Be brief.' });
  for (const wrong of ['', '!', 'AAAA', data.slice(0, data.length >> 1)]) await assert.rejects(readLink(wrong, empty()), /damaged or cut off/, wrong);
  const noise = Array.from({ length: 40_000 }, (_, i) => (i * 2_654_435_761 % 4_294_967_296).toString(36)).join('');
  await assert.rejects(linkData(chat, [{ ...messages[0], content: noise }].map((one) => ({ ...one, id: chat.leaf }))), /most programs take up to/);
  // What unfolds to more than a conversation has.
  const large = new Response(new Blob(['x'.repeat(2 ** 23)]).stream().pipeThrough(new CompressionStream('deflate-raw')));
  await assert.rejects(readLink(Buffer.from(await large.arrayBuffer()).toString('base64url'), empty()), /damaged or cut off/);
});
