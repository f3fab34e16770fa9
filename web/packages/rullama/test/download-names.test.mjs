// Names of stored files, and split models, whose parts have a file each.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { downloadModel, fileName, partAddresses } from '../../../dist-test/internals.js';
import { Browser, MB, modelBytes, serverOf } from './fake-storage.mjs';

const URL = 'https://example.org/dir/model.gguf';

test('a split model is downloaded with all of its parts', async () => {
  const url = 'https://example.org/m-00002-of-00003.gguf?x=1';
  assert.deepEqual(partAddresses(url), [1, 2, 3].map((part) => `https://example.org/m-0000${part}-of-00003.gguf?x=1`));
  for (const none of [URL, 'https://example.org/m-00004-of-00003.gguf', 'https://example.org/m-00001-of-00001.gguf', 'https://example.org/m-00001-of-99999.gguf']) {
    assert.equal(partAddresses(none), undefined, none);
  }
  const [browser, told, sizes] = [new Browser(), [], { 1: 5 * MB, 2: 6 * MB, 3: 4 * MB }];
  const servers = Object.fromEntries(Object.entries(sizes).map(([part, size]) => [part, serverOf(modelBytes(size, part))]));
  const fetch = (address, init) => servers[/-0000(\d)-of/.exec(address)[1]].fetch(address, init);
  const result = await downloadModel({ url }, (progress) => told.push(progress), new AbortController().signal, browser.host(fetch));
  assert.equal(result.bytes, 15 * MB);
  assert.equal(result.name, fileName(url));
  assert.equal(browser.folder.names().filter((name) => name.endsWith('.gguf')).length, 3);
  assert.ok(told.every(({ total }) => total === 15 * MB) && told.at(-1).done === 15 * MB);
  const refused = (request, says) => assert.rejects(downloadModel(request, () => undefined, new AbortController().signal, browser.host(fetch)), { code: 'invalid-argument', message: says });
  await refused({ url, sha256: '0'.repeat(64) }, /split/);
  await refused({ url: URL, sha256: 'abc' }, /`sha256`/);
  await refused({ url: URL, headers: { 'a b': 'c' } }, /`headers`/);
});

test('names are those of the engine', () => {
  assert.equal(fileName(URL), `model-${fnv(URL)}.gguf`);
  assert.match(fileName('http://localhost/a%20b/ä c?x=/y.gguf#z'), /^__c-[0-9a-f]{16}\.gguf$/);
  assert.match(fileName(`http://localhost/${'x'.repeat(200)}.gguf`), /^x{80}-[0-9a-f]{16}\.gguf$/);
});

/** The hash, computed in another way: 64 bits as four numbers of 16. */
function fnv(text) {
  let words = [0x2325, 0x8422, 0x9ce4, 0xcbf2];
  for (const byte of Buffer.from(text)) {
    words[0] ^= byte;
    const [a, b, c, d] = words;
    // Times 2^40 + 0x1b3.
    const sums = [a * 0x1b3, b * 0x1b3, c * 0x1b3 + a * 0x100, d * 0x1b3 + b * 0x100];
    let carry = 0;
    words = sums.map((sum) => ((carry += sum), (sum = carry % 0x10000), (carry = Math.floor(carry / 0x10000)), sum));
  }
  return words.reverse().map((word) => word.toString(16).padStart(4, '0')).join('');
}
