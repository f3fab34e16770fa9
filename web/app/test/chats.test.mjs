// How conversations are kept: the tree of messages, the store and its upgrades, what happens when it fails, two tabs, search.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  canContinue, DatabaseStore, dayOf, excerpt, Library, MemoryStore, SafeStore, search, STEPS, titleFrom, titleOf, Tree, troubleOf, wordsOf,
} from '../../dist-test/app.js';

const message = (id, parent, more = {}) => ({ id, parent, chat: 'c', role: 'user', content: id, created: Number(id.match(/\d+/)?.[0] ?? 0), state: 'done', ...more });
const chat = (id, more = {}) => ({ id, title: id, named: false, pinned: false, created: 1, changed: 1, leaf: null, settings: {}, tools: [], ...more });
const ids = (messages) => messages.map(({ id }) => id);
const nothing = () => undefined;

/** A database of its own. */
let number = 0;
const freshName = () => `test-${(number += 1)}`;

/** Waits until something is so. */
async function until(is) {
  for (let i = 0; i < 200; i++) {
    if (await is()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`never so: ${is}`);
}

test('versions stand beside each other, and a way leads through one of each', () => {
  const tree = new Tree([message('q1', null), message('a2', 'q1'), message('a3', 'q1'), message('q4', 'a3'), message('q5', null)]);
  assert.deepEqual(ids(tree.path('q4')), ['q1', 'a3', 'q4']);
  assert.deepEqual(ids(tree.versions('a2')), ['a2', 'a3']);
  assert.deepEqual(ids(tree.versions('q1')), ['q1', 'q5']);
  assert.equal(tree.step('a3', -1).id, 'a2');
  assert.equal(tree.step('a2', -1), undefined);
  assert.equal(tree.leafBelow('q1'), 'q4');
  assert.equal(tree.leafBelow('a2'), 'a2');
  assert.equal(tree.latestLeaf(), 'q5');
  assert.deepEqual(ids(tree.remove('a3')).sort(), ['a3', 'q4']);
  assert.equal(tree.leafBelow('q1'), 'a2');
  tree.put(message('a2', 'q1', { content: 'longer' }));
  assert.equal(tree.versions('a2').length, 1);
  assert.deepEqual(tree.path('nothing'), []);
});

test('a damaged tree is walked in bounded time', () => {
  const tree = new Tree([message('a1', 'b2'), message('b2', 'a1'), message('c3', 'missing')]);
  assert.deepEqual(ids(tree.path('a1')), ['b2', 'a1']);
  assert.equal(tree.leafBelow('a1'), 'b2');
  assert.deepEqual(ids(tree.path('c3')), ['c3']);
  const long = new Tree(Array.from({ length: 50_000 }, (_, i) => message(`m${i + 1}`, i === 0 ? null : `m${i}`)));
  assert.equal(long.path('m50000').length, 50_000);
  assert.equal(long.latestLeaf(), 'm50000');
  assert.equal(long.remove('m1').length, 50_000);
});

test('what can go on is an answer that was cut, with something in it', () => {
  const answer = { role: 'model', content: 'So', state: 'done', finish: 'cancelled' };
  assert.equal(canContinue(answer), true);
  assert.equal(canContinue({ ...answer, finish: 'length' }), true);
  assert.equal(canContinue({ ...answer, finish: undefined, state: 'cut' }), true);
  assert.equal(canContinue({ ...answer, content: '', thinking: 'Hm' }), true);
  for (const not of [{ finish: 'stop' }, { content: '' }, { toolCalls: [{}] }, { edited: true }, { role: 'user' }, { state: 'writing', finish: undefined }]) {
    assert.equal(canContinue({ ...answer, ...not }), false, JSON.stringify(not));
  }
});

for (const [name, open] of [['memory', async () => new MemoryStore()], ['database', () => DatabaseStore.open(nothing, { name: freshName() })]]) {
  test(`the store in ${name}: all of a write or nothing, fields beside each other, a conversation with all of it`, async () => {
    const store = await open();
    await store.write([{ put: 'chats', record: chat('c') }, { put: 'messages', record: message('m1', null) }, { put: 'messages', record: message('x2', null, { chat: 'other' }) }]);
    await Promise.all([
      store.write([{ patch: 'chats', id: 'c', fields: { title: 'new' } }]),
      store.write([{ patch: 'chats', id: 'c', fields: { pinned: true } }]),
    ]);
    const { title, pinned } = await store.get('chats', 'c');
    assert.deepEqual([title, pinned], ['new', true], 'two writers do not overwrite one another');
    await store.write([{ patch: 'messages', id: 'gone', fields: { content: 'x' } }]);
    assert.equal(await store.get('messages', 'gone'), undefined);
    assert.deepEqual(ids(await store.ofChat('c')), ['m1']);
    await store.write([{ put: 'drafts', record: { id: 'c', text: 'a draft' } }]);
    await store.write([{ forget: 'c' }]);
    assert.deepEqual([await store.get('chats', 'c'), await store.get('messages', 'm1'), await store.get('drafts', 'c')], [undefined, undefined, undefined]);
    const seen = [];
    for await (const batch of store.batches()) seen.push(...ids(batch));
    assert.deepEqual(seen, ['x2']);
    await assert.rejects(store.write([{ put: 'chats', record: chat('d') }, { put: 'messages', record: { ...message('m', null), content: nothing } }]));
    assert.equal(name === 'database' ? await store.get('chats', 'd') : undefined, undefined, 'nothing of a write that fails');
  });
}

test('batches give every message once', async () => {
  const store = await DatabaseStore.open(nothing, { name: freshName() });
  await store.write(Array.from({ length: 450 }, (_, i) => ({ put: 'messages', record: message(`m${i}`, null) })));
  const seen = [];
  for await (const batch of store.batches()) seen.push(...ids(batch));
  assert.equal(new Set(seen).size, 450);
  assert.equal(seen.length, 450);
});

test('a later version of the page finds what an earlier one kept; an earlier one does not touch what a later one has', async () => {
  const name = freshName();
  const closed = [];
  const old = await DatabaseStore.open((why) => closed.push(why), { name });
  await old.write([{ put: 'chats', record: chat('c') }]);
  const later = [...STEPS, (db, upgrade) => {
    db.createObjectStore('later');
    upgrade.objectStore('chats').createIndex('pinned', 'pinned');
  }];
  const next = await DatabaseStore.open(nothing, { name, steps: later });
  assert.deepEqual(closed, ['newer'], 'the open page gives way, and can say why');
  assert.equal((await next.get('chats', 'c')).title, 'c');
  await assert.rejects(DatabaseStore.open(nothing, { name }), (error) => troubleOf(error) === 'newer');
  next.close();
});

test('a database that never opens is given up', async () => {
  const name = freshName();
  const holder = await new Promise((resolve) => {
    const request = indexedDB.open(name, 1);
    request.onsuccess = () => resolve(request.result);
  });
  await assert.rejects(DatabaseStore.open(nothing, { name, steps: [...STEPS, nothing], patience: 50 }), (error) => troubleOf(error) === 'slow');
  holder.close();
});

test('messages without a conversation are swept away', async () => {
  const store = await DatabaseStore.open(nothing, { name: freshName() });
  await store.write([{ put: 'chats', record: chat('c') }, { put: 'messages', record: message('m1', null) }, { put: 'messages', record: message('x2', null, { chat: 'gone' }) }]);
  await store.write(['', 'c', 'm1', 'x2', 'gone'].map((id) => ({ put: 'drafts', record: { id, text: 'x' } })));
  await store.sweep();
  assert.deepEqual(ids(await store.all('messages')), ['m1']);
  assert.deepEqual(ids(await store.all('drafts')), ['', 'c', 'm1'], 'and drafts of what is gone');
});

/** A store that fails as long as `broken` says so. */
function failing(db, state) {
  return new Proxy(db, {
    get: (target, name) => (name === 'write' && state.broken ? async () => { throw new DOMException('full', 'QuotaExceededError'); } : typeof target[name] === 'function' ? target[name].bind(target) : target[name]),
  });
}

test('what the database does not take is held, seen, and kept when it can be', async () => {
  const db = await DatabaseStore.open(nothing, { name: freshName() });
  await db.write([{ put: 'chats', record: chat('c') }, { put: 'chats', record: chat('old') }, { put: 'messages', record: message('m1', null) }]);
  const state = { broken: true };
  let told = 0;
  const store = new SafeStore(failing(db, state), () => (told += 1));
  await store.write([{ put: 'messages', record: message('m2', 'm1') }, { patch: 'chats', id: 'c', fields: { title: 'held' } }]);
  await store.write([{ remove: 'messages', id: 'm1' }, { forget: 'old' }]);
  for (let i = 0; i < 100; i++) await store.write([{ put: 'messages', record: message('m3', 'm2', { content: 'x'.repeat(i) }) }]);
  assert.equal(store.trouble, 'quota');
  assert.equal(told, 1);
  assert.equal(store.unsaved, true);
  assert.deepEqual(ids(await store.ofChat('c')).sort(), ['m2', 'm3']);
  assert.equal((await store.get('chats', 'c')).title, 'held');
  assert.deepEqual(ids(await store.all('chats')), ['c']);
  const seen = [];
  for await (const batch of store.batches()) seen.push(...ids(batch));
  assert.deepEqual(seen.sort(), ['m2', 'm3']);
  assert.equal((await db.get('chats', 'c')).title, 'c');
  state.broken = false;
  await store.write([]);
  assert.equal(store.trouble, undefined);
  assert.equal(store.unsaved, false);
  assert.equal((await db.get('chats', 'c')).title, 'held');
  assert.equal((await db.get('messages', 'm3')).content.length, 99);
  assert.deepEqual([await db.get('messages', 'm1'), await db.get('chats', 'old')], [undefined, undefined]);
});

test('an older state that fails late does not come back over a newer one', async () => {
  const db = new MemoryStore();
  const write = db.write.bind(db);
  let fails = 1;
  db.write = async (changes) => {
    if (fails-- <= 0) return write(changes);
    await new Promise((resolve) => setTimeout(resolve, 20));
    throw new DOMException('full', 'QuotaExceededError');
  };
  const store = new SafeStore(db, nothing);
  const put = (content) => store.write([{ put: 'messages', record: message('m1', null, { content }) }]);
  await Promise.all([put('older'), put('newer')]);
  assert.equal((await store.get('messages', 'm1')).content, 'newer');
  await store.write([]);
  assert.equal((await db.get('messages', 'm1')).content, 'newer');
  // Several writes at once replay what waits in order, and once.
  fails = 2;
  await Promise.all([put('a'), store.write([{ put: 'drafts', record: { id: 'd', text: '1' } }])]);
  await Promise.all([put('b'), put('c'), store.write([{ put: 'drafts', record: { id: 'd', text: '2' } }])]);
  assert.deepEqual([(await db.get('messages', 'm1')).content, (await db.get('drafts', 'd')).text], ['c', '2']);
  assert.equal(store.unsaved, false);
});

test('deleting what was too large makes room', async () => {
  const db = new MemoryStore();
  const write = db.write.bind(db);
  db.write = async (changes) => {
    if (JSON.stringify(changes).length > 2000) throw new DOMException('full', 'QuotaExceededError');
    await write(changes);
  };
  const store = new SafeStore(db, nothing);
  await store.write([{ put: 'chats', record: chat('c') }]);
  await store.write([{ put: 'chats', record: chat('large') }, { put: 'messages', record: message('m1', null, { chat: 'large', content: 'x'.repeat(3000) }) }]);
  await store.write([{ put: 'messages', record: message('m2', null) }]);
  assert.equal(store.trouble, 'quota');
  await store.write([{ patch: 'chats', id: 'large', fields: { deleted: 1 } }]);
  await store.write([{ forget: 'large' }]);
  assert.equal(store.trouble, undefined);
  assert.deepEqual(ids(await db.all('messages')), ['m2']);
  assert.deepEqual(ids(await db.all('chats')), ['c']);
});

test('without a database all works as long as the page does', async () => {
  const own = globalThis.indexedDB;
  delete globalThis.indexedDB;
  try {
    const library = new Library();
    await library.ready;
    assert.equal(library.trouble, 'absent');
    const record = library.newChat({}, []);
    await library.add(record, [message('m1', null, { chat: record.id })]);
    assert.deepEqual(ids(await library.messages(record.id)), ['m1']);
    assert.equal(library.unsaved, true);
    // As in a window whose storage is allowed in the end.
    globalThis.indexedDB = own;
    await library.retry();
    assert.equal(library.trouble, undefined);
    assert.equal(library.unsaved, false);
    const next = new Library();
    await next.ready;
    assert.ok(next.chats.has(record.id));
  } finally {
    globalThis.indexedDB = own;
  }
});

test('two tabs see what the other does, and take nothing from it', async () => {
  const [one, two] = [new Library(), new Library()];
  await Promise.all([one.ready, two.ready]);
  const record = one.newChat({}, []);
  record.title = 'made';
  await one.add(record, [message('t1', null, { chat: record.id })]);
  await until(() => two.chats.has(record.id));
  await two.patch(record.id, { title: 'named in two', named: true });
  await until(() => one.chats.get(record.id).named);
  // The tab that goes on with the conversation does not bring the old title back.
  await one.add(record, [message('t2', 't1', { chat: record.id })]);
  await two.add(two.chats.get(record.id), [message('t3', 't1', { chat: record.id })]);
  assert.deepEqual(ids(await one.messages(record.id)).sort(), ['t1', 't2', 't3']);
  const db = await DatabaseStore.open(nothing);
  assert.equal((await db.get('chats', record.id)).title, 'named in two');
  // Deleted in one, undone in the other's sight, then gone for good.
  await one.delete(record.id);
  await until(() => !two.chats.has(record.id));
  await one.restore(record.id);
  await until(() => two.chats.has(record.id));
  assert.equal(two.chats.get(record.id).title, 'named in two');
  await two.forget(record.id);
  assert.ok(one.chats.has(record.id), 'what was brought back is not removed');
  await one.delete(record.id);
  await one.forget(record.id);
  assert.deepEqual(await one.messages(record.id), []);
});

test('a deletion that an earlier visit left open is done, a fresh one can still be undone', async () => {
  const db = await DatabaseStore.open(nothing);
  await db.write([{ put: 'chats', record: chat('stale', { deleted: Date.now() - 120_000 }) }, { put: 'chats', record: chat('fresh', { deleted: Date.now() }) }]);
  const library = new Library();
  await library.ready;
  assert.ok(!library.chats.has('stale') && !library.chats.has('fresh'));
  assert.equal(await db.get('chats', 'stale'), undefined);
  await library.restore('fresh');
  assert.ok(library.chats.has('fresh'));
});

test('the list has pinned conversations first, then the newest', async () => {
  const library = new Library();
  await library.ready;
  library.chats.clear();
  for (const record of [chat('a', { changed: 1 }), chat('b', { changed: 3 }), chat('c', { changed: 2, pinned: true })]) library.chats.set(record.id, record);
  assert.deepEqual(ids(library.list()), ['c', 'b', 'a']);
});

test('drafts and presets are kept', async () => {
  const library = new Library();
  await library.ready;
  await library.saveDraft({ id: '', text: 'half a' });
  await library.savePreset({ id: 'p', name: 'Pirate', values: { system: 'Arr.' } });
  const next = new Library();
  await next.ready;
  assert.equal(await next.draft(''), 'half a');
  assert.equal(next.presets.find(({ id }) => id === 'p').values.system, 'Arr.');
  await library.saveDraft({ id: '', text: '' });
  assert.equal(await next.draft(''), '');
  await next.removePreset('p');
  await until(() => !library.presets.some(({ id }) => id === 'p'));
});

test('titles come from the first line with words', () => {
  const titles = {
    'Why is the sky blue?': 'Why is the sky blue?',
    '\n\n## A **bold** plan\nmore': 'A bold plan',
    '```rust\nfn main() {}\n```': 'rust',
    '> quoted': 'quoted',
    '   ': 'New chat',
    '': 'New chat',
    '???': '???',
    'a\tb\u0000c\u202ed': 'a b c d',
    'مرحبا، كيف حالك؟': 'مرحبا، كيف حالك؟',
  };
  for (const [text, title] of Object.entries(titles)) assert.equal(titleFrom(text), title, JSON.stringify(text));
  assert.ok([...titleFrom('word '.repeat(100))].length <= 61);
  assert.ok([...titleFrom('x'.repeat(500))].length <= 61);
  assert.ok(titleFrom('😀'.repeat(100)).isWellFormed());
  assert.equal(titleOf('  two\nlines  '), 'two lines');
  assert.ok(titleFrom('#'.repeat(1_000_000)).length < 100);
});

test('days have the names that people use', () => {
  const now = new Date(2026, 10, 25, 0, 30).getTime();
  assert.equal(dayOf(now - 60_000, now), 'Today');
  assert.equal(dayOf(now - 3_600_000, now), 'Yesterday');
  assert.equal(dayOf(now + 3_600_000, now), 'Today');
  assert.match(dayOf(new Date(2026, 10, 20, 12).getTime(), now), /^Friday,? (November 20|20 November)$/);
  assert.match(dayOf(new Date(2024, 1, 2, 12).getTime(), now), /^Friday,? (February 2, 2024|2 February 2024)$/);
});

test('a search finds words in any case, with or without accents, and shows where', async () => {
  const library = new Library();
  await library.ready;
  library.chats.clear();
  const add = async (id, title, ...texts) => library.addAll([{ chat: chat(id, { title }), messages: texts.map((content, i) => message(`${id}-${i}`, null, { chat: id, content })) }]);
  await add('s1', 'Food', 'where is a good Café in Zürich?');
  await add('s2', 'The CAFE', 'nothing of it');
  await add('s3', 'Other', 'cafe', 'zurich');
  await add('s4', 'Strasse', `${'x '.repeat(400)}Straße ﬁnden${' y'.repeat(400)}`);
  const find = async (text) => {
    let last;
    await search(library, text, new AbortController().signal, (hits) => (last = hits));
    return last;
  };
  assert.deepEqual([...(await find('CAFE')).keys()].sort(), ['s1', 's2', 's3']);
  assert.deepEqual([...(await find('cafe zürich')).keys()], ['s1'], 'all words in one message');
  assert.match((await find('cafe zürich')).get('s1'), /good Café in/);
  assert.match((await find('finden')).get('s4'), /^…x .*Straße ﬁnden.*y…$/);
  const documents = [{ type: 'text', name: 'contract.pdf', text: `${'x '.repeat(400)}The Tenant pays${' y'.repeat(400)}` }, { type: 'text', name: 'notes.md', text: 'garden' }];
  await library.addAll([{ chat: chat('s5'), messages: [message('s5-1', null, { chat: 's5', content: 'what must I know?', documents })] }]);
  assert.match((await find('tenant')).get('s5'), /^contract\.pdf: …x .*The Tenant pays.*y…$/, 'in a file');
  assert.equal((await find('garden KNOW')).get('s5'), 'notes.md: garden', 'words of one message and its files');
  assert.equal((await find('contract.pdf')).get('s5'), 'contract.pdf', 'the name of a file');
  assert.equal((await find('tenant zebra')).size, 0);
  assert.equal((await find('  ')), undefined);
  assert.equal((await find('(.*')).size, 0);
  assert.deepEqual(wordsOf(' Ä  b '), ['a', 'b']);
  assert.equal(excerpt('abc', ['zzz']), '');
});
