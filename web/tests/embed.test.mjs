// Embeddings in the browser against transformers: the vectors of the reference data, in both dialects.
//
// Needs the package and the page (npm run build) and a model in app/dist.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { declaredInfo } from '../packages/rullama/test/declared.mjs';
import { openPage, startBrowser } from './browser.mjs';
import { openStartAt } from './person.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const goldens = path.join(here, '../../goldens/embedding');
let site;
let browser;
let page;

before(async () => {
  const mounts = { '/parts/': path.join(here, '../packages/rullama/dist'), '/models/': path.join(goldens, 'models') };
  site = await startServer({ ...mounts, '/model/': path.join(here, '../app/dist/model'), '/app/': path.join(here, '../app/dist'), '/': path.join(here, 'pages') });
  browser = await startBrowser();
  ({ page } = await openPage(browser.context, `${site.url}/blank.html`));
});

after(async () => {
  await browser?.close();
  await site?.close();
});

/** Rows of a tensor of the reference data. */
function rows(name) {
  const bytes = readFileSync(path.join(goldens, 'embedding.safetensors'));
  const header = Number(bytes.readBigUInt64LE());
  const { data_offsets: [from, to], shape } = JSON.parse(bytes.subarray(8, 8 + header))[name];
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset + 8 + header + from, bytes.byteOffset + 8 + header + to));
  return Array.from({ length: shape[0] }, (_, i) => values.slice(i * shape[1], (i + 1) * shape[1]));
}

/** Those that are short, and plain text to the reference as well. */
const { texts: all } = JSON.parse(readFileSync(path.join(goldens, 'embedding.json')));
const chosen = all.flatMap(({ name, ids }, i) => (ids.length <= 60 && name !== 'html' ? [i] : []));
const texts = chosen.map((i) => all[i].text);

const furthest = (a, b) => Math.max(...Array.from(b, (value, i) => Math.abs(value - a[i])));

const embed = (file, texts, options) =>
  page.evaluate(
    async ([file, texts, options]) => {
      const { Rullama } = await import('/parts/index.js');
      const ai = await Rullama.load(file === 'embedded' ? file : new URL(file, location.href));
      try {
        const { vectors, tokens, truncated } = await ai.embed(texts, options);
        return { vectors: vectors.map((vector) => Array.from(vector)), tokens, truncated, info: ai.info };
      } catch ({ code, message }) {
        return { code, message };
      } finally {
        await ai.close();
      }
    },
    [file, texts, options],
  );

for (const [file, prefix] of [
  ['gemma-embedding-F16', ''],
  ['gemma3-Q8_0', 'embeddinggemma-tiny-gemma3-Q8_0.gguf.'],
]) {
  test(`${file} gives the vectors of transformers`, async () => {
    assert.ok(texts.length > 10);
    const { vectors, tokens, truncated, info, message } = await embed(`/models/embeddinggemma-tiny-${file}.gguf`, texts, {});
    assert.equal(message, undefined);
    const wanted = rows(`${prefix}l2`);
    chosen.forEach((at, i) => assert.ok(furthest(vectors[i], wanted[at]) < 1e-4, all[at].name));
    assert.deepEqual([tokens, truncated], [chosen.map((at) => all[at].ids.length), []]);
    assert.deepEqual([info.embedding, info.dim, info.kv], [[96, 64, 32, 16], 96, 'none']);
    assert.deepEqual(Object.keys(info).sort(), declaredInfo());
  });
}

test('embeddings are cut, and prompts stand before texts', async () => {
  const file = '/models/embeddinggemma-tiny-gemma-embedding-F16.gguf';
  const { vectors } = await embed(file, texts, { dims: 64 });
  const wanted = rows('l2_trunc_64');
  chosen.forEach((at, i) => assert.ok(vectors[i].length === 64 && furthest(vectors[i], wanted[at]) < 1e-4, all[at].name));
  const query = all.findIndex(({ name }) => name === 'query');
  const prompted = await embed(file, ['How do I bake bread at home?'], { prompt: 'query' });
  assert.ok(furthest(prompted.vectors[0], rows('l2')[query]) < 1e-4);
});

test('models of the other kind are told by name', async () => {
  const none = await embed('embedded', ['a'], {});
  assert.ok(none.code === 'invalid-argument' && /EmbeddingGemma/.test(none.message), none.message);
  const long = await embed('/models/embeddinggemma-tiny-gemma-embedding-F16.gguf', ['a'], { dims: 97 });
  assert.ok(long.code === 'invalid-argument' && /1\.\.=96/.test(long.message), long.message);
  const chat = await page.evaluate(async () => {
    const { Rullama } = await import('/parts/index.js');
    const ai = await Rullama.load(new URL('/models/embeddinggemma-tiny-gemma3-Q8_0.gguf', location.href));
    const answer = await ai.chat().ask('hello').catch(({ code, message }) => ({ code, message }));
    await ai.close();
    return answer;
  });
  assert.ok(chat.code === 'invalid-argument' && /embed/.test(chat.message), chat.message);
});

test('the page finds among notes what is nearest to a question', async () => {
  const file = '/models/embeddinggemma-tiny-gemma-embedding-F16.gguf';
  const notes = ['Knead the dough for ten minutes.', 'The train leaves at noon.', 'A loaf bakes at 230 degrees.', 'Rain is expected on Sunday.'];
  const query = 'How do I bake bread at home?';
  const { vectors } = await embed(file, notes, { prompt: 'document' });
  const { vectors: [wanted] } = await embed(file, [query], { prompt: 'query' });
  const near = new Map(notes.map((note, i) => [note, vectors[i].reduce((sum, value, j) => sum + value * wanted[j], 0)]));
  const { page: app, problems } = await openStartAt(browser.context, `${site.url}/app/`);
  await app.fill('#url', `${site.url}${file}`);
  await app.press('#url', 'Enter');
  await app.waitForSelector('#notes-text:visible');
  await app.fill('#notes-text', notes.join('\n'));
  await app.fill('#notes-query', query);
  await app.press('#notes-query', 'Enter');
  await app.waitForSelector('.found li');
  const found = await app.locator('.found li').evaluateAll((all) => all.map((item) => [item.querySelector('p').textContent, item.querySelector('meter').value]));
  assert.deepEqual(found.map(([note]) => note), notes.toSorted((a, b) => near.get(b) - near.get(a)));
  found.forEach(([note, value]) => assert.ok(Math.abs(value - Math.min(1, Math.max(0, near.get(note)))) < 1e-4, note));
  assert.deepEqual(problems, []);
  await app.close();
});
