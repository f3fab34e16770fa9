// Threads that read beside the engine: who is asked, what comes back, and what happens where they cannot.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { NodeFile, reader, ReaderPool } from '../../../dist-test/internals.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'rullama-readers-'));
after(() => rmSync(folder, { recursive: true }));

/** Threads of a pool that answer when they are told to. */
function threads() {
  const started = [];
  const start = (told, broken) => {
    const thread = { told, broken, got: [], ended: false, resting: undefined };
    started.push(thread);
    return {
      post: (message, transfer) => thread.got.push({ ...message, transfer }),
      rest: (resting) => (thread.resting = resting),
      end: () => (thread.ended = true),
    };
  };
  const jobs = (thread) => thread.got.slice(1);
  return { start, started, jobs };
}

const MB = 1 << 20;
const at = { stored: 'model.gguf' };
const rows = Float64Array.of(1, 2, 3);

function pool(cores = 8) {
  const made = threads();
  const pool = new ReaderPool(made.start, cores);
  pool.module = 'the engine';
  return { pool, ...made };
}

test('as many as there are cores for, two unless more are wanted, and none for small files', () => {
  const count = (cores, bytes, wanted) => {
    const { pool: own, started } = pool(cores);
    own.of(at, bytes, wanted);
    own.end();
    return started.length;
  };
  assert.deepEqual([count(1, 640 * MB), count(2, 640 * MB), count(3, 640 * MB), count(64, 640 * MB)], [0, 0, 1, 2]);
  assert.deepEqual([count(8, 63 * MB), count(8, 64 * MB), count(8, MB, 2), count(8, 640 * MB, 0)], [0, 2, 2, 0]);
  const none = new ReaderPool(threads().start, 8);
  assert.equal(none.of(at, 640 * MB), undefined, 'the engine is not there yet');
});

test('those that are there are asked, the one with the least to do first, and get memory back', async () => {
  const { pool: own, started, jobs } = pool(4);
  const readers = own.of(at, 640 * MB);
  assert.equal(readers.count, 0, 'none has said that it is there');
  assert.equal(await readers.rearrange(rows), undefined);
  const [a, b] = started;
  assert.deepEqual(a.got.map(({ module }) => module), ['the engine']);
  const again = own.of(at, 640 * MB);
  for (const thread of [a, b]) thread.told({ ready: true });
  assert.equal(started.length, 2, 'a second file has the same threads');
  assert.equal(again.count, 2);
  const answers = [again.rearrange(rows), again.rearrange(rows), again.rearrange(rows)];
  assert.deepEqual([jobs(a).length, jobs(b).length], [2, 1]);
  assert.deepEqual([a.resting, b.resting], [false, false]);
  const [first] = jobs(a);
  assert.deepEqual({ at: first.at, rows: first.rows, spare: first.spare }, { at, rows, spare: undefined });
  const memory = new Uint8Array(64);
  b.told({ job: jobs(b)[0].job, bytes: memory.subarray(0, 40) });
  assert.equal(b.resting, true);
  const got = await answers[1];
  assert.equal(got.length, 40);
  again.giveBack(got);
  void again.rearrange(rows);
  const { spare, transfer } = jobs(b).at(-1);
  assert.deepEqual([spare.length, transfer], [64, [memory.buffer]], 'all of the memory, which travels');
  own.end();
  assert.deepEqual(await Promise.all([answers[0], answers[2]]), [undefined, undefined], 'what was under way');
  assert.ok(a.ended && b.ended);
});

test('those that were asked for by number are asked before they are there', async () => {
  const { pool: own, started, jobs } = pool();
  const readers = own.of(at, MB, 2);
  assert.equal(readers.count, 2);
  const answer = readers.rearrange(rows);
  started[0].told({ ready: true });
  started[0].told({ job: jobs(started[0])[0].job, bytes: new Uint8Array(3) });
  assert.equal((await answer).length, 3);
  own.end();
});

test('a file that they cannot read is left to the engine, and other files are not', async () => {
  const { pool: own, started, jobs } = pool();
  const [bad, good] = [own.of(at, MB, 1), own.of({ blob: new Blob() }, MB, 1)];
  started[0].told({ ready: true });
  const answer = bad.rearrange(rows);
  started[0].told({ job: jobs(started[0])[0].job });
  assert.equal(await answer, undefined);
  assert.deepEqual([bad.count, good.count], [0, 1]);
  own.end();
});

test('a thread that breaks ends them all, and none is started again', async () => {
  const { pool: own, started } = pool();
  const readers = own.of(at, MB, 3);
  for (const thread of started) thread.told({ ready: true });
  const answers = [readers.rearrange(rows), readers.rearrange(rows)];
  started[1].broken();
  assert.deepEqual(await Promise.all(answers), [undefined, undefined]);
  assert.deepEqual([readers.count, started.every(({ ended }) => ended)], [0, true]);
  assert.equal(own.of(at, MB, 3), undefined);
  const refusing = new ReaderPool(() => {
    throw new Error('no workers here');
  }, 8);
  refusing.module = 'the engine';
  assert.equal(refusing.of(at, 640 * MB), undefined);
});

test('a thread opens a file once, gives what the engine makes of rows, and says of what it cannot', async () => {
  const posted = [];
  const opened = [];
  const glue = {
    initSync: ({ module }) => posted.push(`init ${module}`),
    rearrangeRows: async (file, rows, spare) => {
      if (rows[0] < 0) throw new Error('no such rows');
      return (spare ?? new Uint8Array(8)).subarray(0, rows[0]);
    },
  };
  const open = async (at) => {
    opened.push(at);
    if (at.stored === 'gone') throw new DOMException('gone', 'NotFoundError');
    return { file: at };
  };
  const receive = reader(glue, open, (message, transfer) => posted.push({ ...message, transfer: transfer.length }));
  await receive({ module: 'the engine' });
  const spare = new Uint8Array(16);
  await receive({ job: 1, file: 7, at, rows: Float64Array.of(3) });
  await receive({ job: 2, file: 7, at, rows: Float64Array.of(5), spare });
  await receive({ job: 3, file: 7, at, rows: Float64Array.of(-1) });
  await receive({ job: 4, file: 8, at: { stored: 'gone' }, rows: Float64Array.of(5) });
  assert.deepEqual(opened, [at, { stored: 'gone' }]);
  assert.deepEqual(posted, [
    'init the engine',
    { ready: true, transfer: 0 },
    { job: 1, bytes: new Uint8Array(3), transfer: 1 },
    { job: 2, bytes: new Uint8Array(5), transfer: 1 },
    { job: 3, transfer: 0 },
    { job: 4, transfer: 0 },
  ]);
});

test('a file of the disk is read in place, and one that is written to meanwhile is named', () => {
  const name = path.join(folder, 'model.gguf');
  writeFileSync(name, Uint8Array.from({ length: 100 }, (_, i) => i));
  utimesSync(name, 1, 1);
  const file = new NodeFile(name);
  const into = new Uint8Array(4);
  assert.equal(file.read(90, into), undefined);
  assert.deepEqual([file.length, [...into]], [100, [90, 91, 92, 93]]);
  const changed = (error) => error.code === 'source-changed' && error.message.includes('model.gguf') && error.remedy !== '';
  assert.throws(() => file.read(98, into), changed, 'behind its end');
  writeFileSync(name, 'other');
  assert.throws(() => file.read(0, into), changed);
  file.close();
  assert.throws(() => new NodeFile(path.join(folder, 'none')), /ENOENT/);
});
