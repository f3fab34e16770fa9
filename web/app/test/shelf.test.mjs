// How adapters and trainings are kept: what outlasts the page, what is deleted, and what a full database does.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Shelf } from '../../dist-test/app.js';

const record = (id, more = {}) => ({ id, name: id, created: 1, bytes: 3, rank: 8, alpha: 16, model: { name: 'm', shape: '1' }, ...more });
const files = (text) => [{ name: 'adapter.gguf', bytes: new TextEncoder().encode(text) }];
const training = (id, step = 0) => ({ id, name: id, created: 1, model: { name: 'm', shape: '1' }, examples: {}, options: {}, prompt: '', step, steps: 9, history: [], samples: [] });
const checkpoint = (id, slot, step) => ({ slot, training: id, step, bytes: Uint8Array.of(step) });
const ids = (shelf) => shelf.list().map(({ id }) => id);

let number = 0;
const freshName = () => `shelf-${(number += 1)}`;

async function open(name) {
  const shelf = new Shelf(name);
  await shelf.ready;
  return shelf;
}

test('an adapter outlasts the page, with its files and its name', async () => {
  const name = freshName();
  const shelf = await open(name);
  assert.equal(await shelf.add(record('a', { created: 1 }), files('one')), true);
  await shelf.add(record('b', { created: 2 }), files('two'));
  await shelf.rename('a', 'boat');
  assert.equal(shelf.unsaved, false);
  const later = await open(name);
  assert.deepEqual(ids(later), ['b', 'a']);
  assert.equal(later.adapters.get('a').name, 'boat');
  assert.equal(new TextDecoder().decode((await later.files('a'))[0].bytes), 'one');
  await assert.rejects(later.files('c'), /not in this browser/);
});

test('a deletion is undone, forgotten, or found later', async () => {
  const name = freshName();
  const shelf = await open(name);
  for (const id of ['a', 'b', 'c']) await shelf.add(record(id), files(id));
  await shelf.delete('a');
  await shelf.delete('b');
  assert.deepEqual(ids(shelf), ['c']);
  await shelf.restore('a');
  assert.deepEqual(ids(shelf), ['c', 'a']);
  await shelf.forget('b');
  await shelf.restore('b');
  assert.deepEqual(ids(await open(name)), ['c', 'a']);
  await assert.rejects(shelf.files('b'), /not in this browser/);
  // One that an earlier visit left deleted is gone for good.
  await shelf.add(record('d', { deleted: 5 }), files('d'));
  const later = await open(name);
  assert.deepEqual(ids(later), ['c', 'a']);
  await assert.rejects(later.files('d'), /not in this browser/);
});

test('a training has its last two checkpoints, newest first, and gives way to another', async () => {
  const name = freshName();
  const shelf = await open(name);
  assert.equal(await shelf.training(), undefined);
  await shelf.beginTraining(training('t'));
  assert.deepEqual((await shelf.training()).checkpoints, []);
  for (const [slot, step] of [[0, 2], [1, 4], [0, 6]]) await shelf.keepTraining(training('t', step), checkpoint('t', slot, step));
  const { record: kept, checkpoints } = await (await open(name)).training();
  assert.deepEqual([kept.step, checkpoints.map(({ step }) => step)], [6, [6, 4]]);
  await shelf.beginTraining(training('u'));
  const other = await shelf.training();
  assert.deepEqual([other.record.id, other.checkpoints], ['u', []]);
  await shelf.endTraining();
  assert.equal(await shelf.training(), undefined);
});

test('what the database does not take lasts as long as the page, and a checkpoint is whole or not there', async () => {
  const name = freshName();
  const shelf = await open(name);
  await shelf.beginTraining(training('t'));
  await shelf.keepTraining(training('t', 2), checkpoint('t', 0, 2));
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (value, key) {
    if (value.slot === undefined && value.files === undefined) return put.call(this, value, key);
    throw new DOMException('full', 'QuotaExceededError');
  };
  try {
    assert.equal(await shelf.add(record('a'), files('one')), false);
    await assert.rejects(shelf.keepTraining(training('t', 4), checkpoint('t', 1, 4)), { name: 'QuotaExceededError' });
  } finally {
    IDBObjectStore.prototype.put = put;
  }
  assert.deepEqual([ids(shelf), shelf.unsaved], [['a'], true]);
  assert.equal((await shelf.files('a')).length, 1);
  const later = await open(name);
  assert.deepEqual(ids(later), []);
  const { record: kept, checkpoints } = await later.training();
  assert.deepEqual([kept.step, checkpoints.map(({ step }) => step)], [2, [2]], 'nothing of the later one is there');
  await shelf.delete('a');
  assert.equal(shelf.unsaved, false);
});
