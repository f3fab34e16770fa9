// From what is named to the address of a file.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { modelAddress, RullamaError } from '../../../dist-test/internals.js';

const { fetch } = globalThis;
afterEach(() => (globalThis.fetch = fetch));

/** Lets the hub answer with these files. */
function hub(files, status = 200) {
  const asked = [];
  globalThis.fetch = async (address) => {
    asked.push(String(address));
    return new Response(JSON.stringify(files.map((path) => ({ type: 'file', path }))), { status });
  };
  return asked;
}

test('addresses stay, relative ones are of the page', async () => {
  assert.equal(await modelAddress('https://example.org/a%20b.gguf?x=1'), 'https://example.org/a%20b.gguf?x=1');
  assert.equal(await modelAddress('/blobs/sha256-0', 'http://localhost:8080/x/'), 'http://localhost:8080/blobs/sha256-0');
  assert.equal(await modelAddress(new URL('http://localhost/m.gguf')), 'http://localhost/m.gguf');
  const file = 'https://huggingface.co/a/b-GGUF/resolve/main/b-Q4_K_M.gguf?download=true';
  assert.equal(await modelAddress(file), file);
});

test('what is no address of a page says so before anything is fetched', async () => {
  globalThis.fetch = () => assert.fail('nothing is to be fetched');
  for (const source of ['gemma4:e2b', 'ftp://example.org/m.gguf', 'file:///m.gguf', 'C:\\models\\m.gguf', 'javascript:alert(1)', 'http://[']) {
    await assert.rejects(modelAddress(source, 'http://localhost/'), (error) => {
      assert.ok(error instanceof RullamaError);
      assert.equal(error.code, 'invalid-argument', source);
      assert.ok(error.message.includes(source));
      assert.doesNotMatch(error.message + error.remedy, /CORS/);
      return true;
    });
  }
});

test("pages of the hub's files become the files", async () => {
  globalThis.fetch = () => assert.fail('nothing is to be fetched');
  const file = 'https://huggingface.co/a/b/resolve/main/dir/c.gguf';
  for (const page of ['https://huggingface.co/a/b/blob/main/dir/c.gguf', 'https://hf.co/a/b/raw/main/dir/c.gguf?x=1#y', 'hf.co/a/b/blob/main/dir/c.gguf']) {
    assert.equal(await modelAddress(page), file);
  }
});

test('a repository stands for one of its files', async () => {
  const files = ['README.md', 'mmproj-m-Q4_K_M.gguf', 'm-Q8_0.gguf', 'm-Q4_K_M.gguf', 'm-BF16-00001-of-00002.gguf', 'm-BF16-00002-of-00002.gguf'];
  const asked = hub(files);
  const at = (name) => `https://huggingface.co/a/m-GGUF/resolve/main/${name}`;
  for (const text of ['hf.co/a/m-GGUF', 'https://huggingface.co/a/m-GGUF', ' huggingface.co/a/m-GGUF/ ', 'hf.co/a/m-GGUF/tree/main', 'hf.co/a/m-GGUF:latest']) {
    assert.equal(await modelAddress(text), at('m-Q4_K_M.gguf'), text);
  }
  assert.equal(asked[0], 'https://huggingface.co/api/models/a/m-GGUF/tree/main?recursive=true');
  assert.equal(await modelAddress('hf.co/a/m-GGUF:q8_0'), at('m-Q8_0.gguf'));
  assert.equal(await modelAddress('hf.co/a/m-GGUF:BF16'), at('m-BF16-00001-of-00002.gguf'));
  hub(['sub/only one.gguf']);
  assert.equal(await modelAddress('hf.co/a/m-GGUF'), at('sub/only%20one.gguf'));
});

test('a repository without such a file names those that there are', async () => {
  hub(['m-F32.gguf', 'm-F16.gguf']);
  await assert.rejects(modelAddress('hf.co/a/m'), { code: 'invalid-argument', remedy: /m-F32\.gguf, m-F16\.gguf/ });
  await assert.rejects(modelAddress('hf.co/a/m:Q4_0'), { code: 'invalid-argument', message: /Q4_0/ });
  hub(['model.safetensors']);
  await assert.rejects(modelAddress('hf.co/a/m'), { code: 'invalid-argument', message: /no GGUF file/ });
  hub([], 404);
  await assert.rejects(modelAddress('hf.co/a/m'), { code: 'network', message: /404/ });
  globalThis.fetch = () => Promise.reject(new TypeError('Failed to fetch'));
  await assert.rejects(modelAddress('hf.co/a/m'), { code: 'network' });
});
