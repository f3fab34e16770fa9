import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHANGES, completeAddress, FIELDS, nameOf, optionsOf, problemOf, readKept, readModels, WORDS } from '../../dist-test/app.js';

const field = (name) => FIELDS.find(({ key }) => key === name);

test('a value out of range is named by its setting', () => {
  const wrong = { temperature: ['9', '-1', 'x', 'Infinity'], topK: ['1.5', '-1'], topP: ['7'], maxTokens: ['-1', '0', '1e12'], seed: ['-1', '1.5'] };
  for (const [name, texts] of Object.entries(wrong)) {
    for (const text of texts) {
      assert.ok(problemOf(field(name), text).startsWith(WORDS[name].label), `${name} ${text}`);
      assert.deepEqual(optionsOf({ [name]: text }), {});
    }
  }
  assert.deepEqual(optionsOf({ temperature: '0', topK: ' 64 ', maxTokens: '', seed: '7', other: '1' }), { temperature: 0, topK: 64, seed: 7 });
});

test('what was kept is taken only where it is right', () => {
  const defaults = { temperature: '1', topP: '0.95' };
  for (const json of [null, '', '{', 'null', '7', '"x"', '[]', '[["maxTokens","1"]]']) assert.deepEqual(readKept(json, defaults), {}, json);
  const bad = JSON.stringify({ maxTokens: '-1', temperature: '9', topP: '7', minP: 0.5, nonsense: '1', system: 'Be brief.', thinking: 'on' });
  assert.deepEqual(readKept(bad, defaults), { system: 'Be brief.', thinking: 'on' });
  const schema = '{"type": "object"}';
  for (const format of [schema, ' json ']) assert.deepEqual(readKept(JSON.stringify({ format }), defaults), { format });
  for (const format of ['', 'xml', '[]', '7', '{', 'null']) assert.deepEqual(readKept(JSON.stringify({ format }), defaults), {}, format);
  // Kept in full: what equals the default was not chosen.
  assert.deepEqual(readKept(JSON.stringify({ temperature: '1', topP: '0.5' }), defaults), { topP: '0.5' });
  assert.deepEqual(readKept(JSON.stringify({ temperature: '1', ...CHANGES }), defaults), { temperature: '1' });
});

test('a list of served models', () => {
  const list = {
    models: [
      {
        name: 'gemma4:e2b', size: 3_100_000_000, url: '/blobs/sha256-0', parameters: '5.1B', type: 'Q4_K_M', system: 'Be brief.',
        sampling: { temperature: 0.5, top_k: 64, top_p: null, min_p: 7, stop: ['<turn|>', 7, ''] },
      },
      { name: 'bare', url: 'http://other.example/m.gguf', size: null, parameters: null, type: null, system: null, sampling: null },
      null, 7, { name: 'no address' }, { url: '/no-name' }, { name: 'x', url: 'http://[' },
    ],
  };
  assert.deepEqual(readModels(list, 'http://localhost:8080/models.json'), [
    {
      name: 'gemma4:e2b', address: 'http://localhost:8080/blobs/sha256-0', about: '5.1B · Q4_K_M · 3.1 GB',
      recommended: { system: 'Be brief.', options: { temperature: 0.5, topK: 64, stop: ['<turn|>'] } },
    },
    { name: 'bare', address: 'http://other.example/m.gguf', about: '', recommended: { options: {} } },
  ]);
  for (const none of [null, 7, [], {}, { models: {} }, { models: 'x' }]) assert.deepEqual(readModels(none, 'http://localhost/'), []);
});

test('addresses as people write them', () => {
  assert.equal(completeAddress(' example.org/m.gguf '), 'https://example.org/m.gguf');
  assert.equal(completeAddress('localhost:8080/m.gguf'), 'http://localhost:8080/m.gguf');
  for (const text of ['https://x.org/m.gguf', 'ftp://x.org/m', 'gemma4:e2b', '/m.gguf', '']) assert.equal(completeAddress(text), text);
  assert.equal(nameOf('https://x.org/a/m%20n.gguf?x'), 'm n.gguf');
  assert.equal(nameOf('https://hf.co/a/m-GGUF'), 'm-GGUF');
  assert.equal(nameOf('https://x.org/100%.gguf'), '100%.gguf');
  assert.equal(nameOf('gemma4:e2b'), 'gemma4:e2b');
});
