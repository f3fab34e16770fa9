// Which models of the list fit a GPU.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { learnRoom, OFFERS, roomOf, verdictOf } from '../../dist-test/app.js';

const kept = new Map();
globalThis.localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
beforeEach(() => kept.clear());

const GIB = 2 ** 30;
const fits = (facts) => OFFERS.map((offer) => verdictOf(offer, { largest: 4 * GIB, software: false, room: {}, ...facts }).fits);

test('what nothing was tried on is estimated by the adapter', () => {
  assert.deepEqual(fits({}), ['yes', 'yes', 'yes', 'no', 'no']);
  assert.deepEqual(fits({ largest: GIB / 4 }), ['streamed', 'no', 'no', 'no', 'no']);
  assert.deepEqual(fits({ largest: GIB / 4, room: { refused: 1.3e9 } }), ['no', 'no', 'no', 'no', 'no']);
  assert.deepEqual(fits({ largest: GIB / 4, room: { held: 3.5e9 } }), ['yes', 'streamed', 'no', 'no', 'no']);
  assert.deepEqual(fits({ software: true }), ['no', 'no', 'no', 'no', 'no']);
  assert.deepEqual(fits({ largest: undefined }), ['no', 'no', 'no', 'no', 'no']);
});

test('what was loaded, and what had no room, decide', () => {
  assert.deepEqual(fits({ room: { held: 15e9 } }), ['yes', 'yes', 'yes', 'yes', 'no']);
  assert.deepEqual(fits({ room: { refused: 5e9 } }), ['yes', 'streamed', 'no', 'no', 'no']);
  assert.deepEqual(fits({ room: { held: 18e9 } }), ['yes', 'yes', 'yes', 'yes', 'yes']);
});

test('loads are remembered, the newer of two that contradict each other', () => {
  learnRoom(0, false);
  assert.deepEqual(roomOf(), {});
  learnRoom(5e9, true);
  learnRoom(3e9, true);
  learnRoom(9e9, false);
  learnRoom(12e9, false);
  assert.deepEqual(roomOf(), { held: 5e9, refused: 9e9 });
  learnRoom(10e9, true);
  assert.deepEqual(roomOf(), { held: 10e9 });
  learnRoom(4e9, false);
  assert.deepEqual(roomOf(), { refused: 4e9 });
  kept.set('rullama.gpu-room', 'nonsense');
  assert.deepEqual(roomOf(), {});
});
