// The browser's engine against the native one: the same logits and the same greedy tokens, of the embedded model and of one whose
// experts stay in the file.
//
// Needs the package (npm run build), a model in app/dist and the command line program: its path in RULLAMA_BIN, or
// target/debug/rullama.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const program = process.env.RULLAMA_BIN ?? path.join(here, '../../target/debug/rullama');
const skip = !process.env.RULLAMA_BIN && !existsSync(program) && 'run `cargo build -p rullama-cli` first';
const models = path.join(here, '../app/dist/model');
const mixtures = path.join(here, '../../goldens/models');
const MIXTURE = 'moe-small-fused-Q4_0.gguf';
const file = JSON.parse(readFileSync(path.join(models, 'model.json'), 'utf8')).file;

/** Largest difference of logits, in standard deviations of the native ones, with keys and values in f32. */
const BOUND = 2e-4;
const PROMPT = 'Tell me, in a few words, why the sky is blue; then count: 1, 2, 3. Größe, 空, 🦀.';
const GREEDY = 24;

let site;
let browser;
let folder;
let page;

before(async () => {
  if (skip) return;
  folder = mkdtempSync(path.join(os.tmpdir(), 'rullama-native-'));
  const mounts = { '/demo-model/': path.join(here, '../../tools/demo-model'), '/package/': path.join(here, '../packages/rullama/dist'), '/model/': models, '/mixture/': mixtures };
  site = await startServer({ ...mounts, '/': path.join(here, 'pages') });
  browser = await startBrowser();
  ({ page } = await openPage(browser.context, `${site.url}/blank.html`));
});

after(async () => {
  await browser?.close();
  await site?.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** `rullama eval` of ids: its tensors by name. */
function native(model, ids, ...options) {
  const out = path.join(folder, 'out.safetensors');
  const command = ['eval', model, '--ids', ids.join(','), '--out', out, '--force', '--kv', 'f32', ...options];
  execFileSync(program, command, { stdio: ['ignore', 'ignore', 'pipe'] });
  return readSafetensors(readFileSync(out));
}

function readSafetensors(bytes) {
  const header = Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...tensors } = JSON.parse(bytes.toString('utf8', 8, 8 + header));
  const data = bytes.buffer.slice(bytes.byteOffset + 8 + header, bytes.byteOffset + bytes.length);
  const read = ({ dtype, data_offsets: [start, end] }) => new (dtype === 'I32' ? Int32Array : Float32Array)(data.slice(start, end));
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, read(tensor)]));
}

/** In the page: loads the model and keeps it for the calls that follow. */
async function open({ url, ...options }) {
  const { Rullama } = await import('/package/index.js');
  await globalThis.engine?.close();
  globalThis.engine = await Rullama.load(url, options);
  return { vocab: globalThis.engine.info.vocab };
}

const generate = async ([ids, maxTokens]) => (await globalThis.engine.generateIds(ids, { temperature: 0, ignoreEos: true, maxTokens })).ids;
// Arrays of plain numbers: what crosses from the page is JSON.
const evaluate = async (ids) => Array.from((await globalThis.engine.evaluate(ids)).logits);

function deviation(values) {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
}

/** Difference of the two largest values. */
function topGap(values) {
  let [first, second] = [-Infinity, -Infinity];
  for (const value of values) {
    if (value > first) [first, second] = [value, first];
    else if (value > second) second = value;
  }
  return first - second;
}

/** How many greedy tokens are decided by more than what the engines may differ by. */
function decided(logits, vocab, prompt, bound) {
  for (let i = 0; i < GREEDY; i++) {
    const row = (prompt - 1 + i) * vocab;
    if (topGap(logits.subarray(row, row + vocab)) <= bound) return i;
  }
  return GREEDY;
}

/** The native engine's greedy tokens, and its logits for the prompt and them; computed once. */
let wanted;
function want(prompt) {
  if (wanted) return wanted;
  const model = path.join(models, file);
  const greedy = [...native(model, prompt, '--greedy', String(GREEDY)).greedy_ids];
  const { logits } = native(model, [...prompt, ...greedy]);
  return (wanted = { greedy, logits, scale: deviation(logits) });
}

/** The largest difference of logits, in deviations of the native ones; `Math.max` carries a NaN to the comparison. */
function difference(logits, got) {
  assert.equal(logits.length, got.length);
  return logits.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i])), 0) / deviation(logits);
}

for (const adapter of ['native', 'webgpu-defaults']) {
  test(`the browser computes what the native engine does (${adapter})`, { skip }, async (t) => {
    const { vocab } = await page.evaluate(open, { url: `${site.url}/model/${file}`, kv: 'f32', adapter });
    const prompt = await page.evaluate((text) => globalThis.engine.tokenize(text), PROMPT);
    const { greedy, logits, scale } = want(prompt);
    assert.equal(greedy.length, GREEDY);

    const ids = [...prompt, ...greedy];
    const got = await page.evaluate(evaluate, ids);
    assert.equal(got.length, ids.length * vocab);
    const most = difference(logits, got);
    t.diagnostic(`${ids.length} tokens: logits differ by up to ${most.toExponential(1)} of a standard deviation`);
    assert.ok(most <= BOUND, `${most} > ${BOUND}`);

    const count = decided(logits, vocab, prompt.length, BOUND * scale);
    const here = await page.evaluate(generate, [prompt, GREEDY]);
    t.diagnostic(`${count} of ${GREEDY} greedy tokens compared`);
    assert.ok(count > 0, 'no token was decided by more than the bound');
    assert.deepEqual(here.slice(0, count), greedy.slice(0, count));
  });
}

/** In the page: what an answer is, and how many of its tokens were guessed. */
const counted = async ([ids, maxTokens]) => {
  const summary = await globalThis.engine.generateIds(ids, { temperature: 0, maxTokens });
  return { ids: summary.ids, drafted: summary.draftedTokens, accepted: summary.acceptedTokens };
};

test('a drafter guesses in the browser, and answers stay what they are', { skip }, async () => {
  const [{ ids, prompt_tokens: count }] = JSON.parse(readFileSync(path.join(here, '../../tools/demo-model/drafter-fixtures.json'), 'utf8'));
  const url = `${site.url}/model/${file}`;
  await page.evaluate(open, { url, kv: 'f32' });
  const alone = await page.evaluate(counted, [ids.slice(0, count), GREEDY]);
  await page.evaluate(open, { url, kv: 'f32', speculate: 'drafter', drafter: `${site.url}/demo-model/drafter.gguf` });
  assert.equal(await page.evaluate(() => globalThis.engine.info.drafter), true);
  const drafting = await page.evaluate(counted, [ids.slice(0, count), GREEDY]);
  assert.deepEqual([alone.drafted, drafting.ids], [0, alone.ids]);
  assert.ok(drafting.accepted > 0 && drafting.accepted <= drafting.drafted, JSON.stringify(drafting));
  assert.match(await page.evaluate(refused, [url, { drafter: url, speculate: 'drafter' }]), /drafts for none/);
});

/** In the page: why the engine refuses the model. */
async function refused([url, options]) {
  const { Rullama } = await import('/package/index.js');
  return Rullama.load(url, options).then(
    () => null,
    ({ message, remedy }) => `${message} ${remedy}`,
  );
}

test('experts stay in the file where the budget has no room for them, and compute what the native engine does', { skip }, async (t) => {
  const url = `${site.url}/mixture/${MIXTURE}`;
  const options = { experts: 'streamed', kv: 'f32' };
  const refusal = await page.evaluate(refused, [url, { ...options, memoryBudget: 1 }]);
  const least = Number(/at least (\d+) bytes/.exec(refusal)?.[1]);
  assert.ok(least > 0, refusal);
  await page.evaluate(open, { url, ...options, memoryBudget: least });
  const info = await page.evaluate(() => globalThis.engine.info);
  assert.equal(info.experts, 'streamed');
  const resident = await page.evaluate(open, { url, kv: 'f32' }).then(() => page.evaluate(() => globalThis.engine.info));
  assert.ok(info.expertPlaces < resident.expertPlaces, `${info.expertPlaces} of ${resident.expertPlaces}`);
  await page.evaluate(open, { url, ...options, memoryBudget: least });
  const ids = Array.from({ length: 40 }, (_, i) => 3 + ((i * i * 37 + 11 * i) % 2000));
  const most = difference(native(path.join(mixtures, MIXTURE), ids).logits, await page.evaluate(evaluate, ids));
  t.diagnostic(`${info.expertPlaces} of ${resident.expertPlaces} experts have places: logits differ by up to ${most.toExponential(1)}`);
  assert.ok(most <= BOUND, `${most} > ${BOUND}`);
});
