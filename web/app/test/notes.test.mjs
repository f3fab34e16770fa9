// Notes that are searched by meaning: how they are cut, read and ranked.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NoteIndex, notesOf } from '../../dist-test/app.js';

test('notes are cut at empty lines, or at lines', () => {
  assert.deepEqual(notesOf(''), []);
  assert.deepEqual(notesOf('one\n  two \r\n\rone'), ['one', 'two']);
  assert.deepEqual(notesOf('one\nmore\r\n \t\r\ntwo\n\n\n\none\nmore'), ['one\nmore', 'two']);
});

/** Vectors on a circle, by the number that a text is. */
function embedder() {
  const asked = [];
  const embed = async (texts, options) => {
    options.signal.throwIfAborted();
    asked.push([texts, options.prompt]);
    const vectors = texts.map((text) => Float32Array.of(Math.cos(Number(text)), Math.sin(Number(text))));
    return { vectors, tokens: texts.map(() => 1), truncated: texts.flatMap((text, i) => (text === '3' ? [i] : [])) };
  };
  return { asked, embed };
}

test('what is near in meaning comes first, and each note is read once', async () => {
  const model = embedder();
  const index = new NoteIndex(model);
  const { signal } = new AbortController();
  const seen = [];
  await index.read(['0', '1', '2', '3'], (done) => seen.push(done), signal);
  const found = await index.search('1.2', signal);
  assert.deepEqual(found.map(({ note }) => note), ['1', '2', '0', '3']);
  assert.ok(Math.abs(found[0].score - Math.cos(0.2)) < 1e-6);
  const many = Array.from({ length: 40 }, (_, i) => String(i));
  await index.read(many, (done) => seen.push(done), signal);
  assert.deepEqual(seen, [0, 4, 20, 36]);
  assert.deepEqual(model.asked.map(([texts, prompt]) => [texts.length, prompt]), [[4, 'document'], [1, 'query'], [16, 'document'], [16, 'document'], [4, 'document']]);
  assert.deepEqual([index.cutOf(many), index.cutOf(['0'])], [1, 0]);
  // What is a note no longer is not found.
  await index.read(['5'], () => assert.fail('nothing is new'), signal);
  assert.deepEqual((await index.search('5', signal)).map(({ note }) => note), ['5']);
  const stopped = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(index.read(['5', '77'], () => undefined, stopped), /stopped/);
  assert.deepEqual((await index.search('5', signal)).length, 1);
});
