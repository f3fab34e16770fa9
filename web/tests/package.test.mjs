// The package on a page of its own, its parts where a bundler or a server has put them.
//
// Needs the package (npm run build) and a model in app/dist.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { declaredInfo } from '../packages/rullama/test/declared.mjs';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = path.join(here, '../packages/rullama/dist');
const model = path.join(here, '../app/dist/model');
let parts;
let site;
let browser;
let page;

before(async () => {
  parts = mkdtempSync(path.join(os.tmpdir(), 'rullama-parts-'));
  copyFileSync(path.join(dist, 'index.js'), path.join(parts, 'index.js'));
  copyFileSync(path.join(dist, 'worker.js'), path.join(parts, 'moved.js'));
  writeFileSync(path.join(parts, 'other.wasm'), 'no engine');
  writeFileSync(path.join(parts, 'null.json'), 'null');
  const engine = path.join(dist, 'wasm');
  site = await startServer({ '/parts/': parts, '/engine/': engine, '/model/': model, '/': path.join(here, 'pages') });
  browser = await startBrowser();
  ({ page } = await openPage(browser.context, `${site.url}/blank.html`));
});

after(async () => {
  await browser?.close();
  await site?.close();
  rmSync(parts, { recursive: true, force: true });
});

/** Loads the embedded model: `{ layers }`, or what the error says of itself. */
const load = (options) =>
  page.evaluate(async (options) => {
    const { Rullama, RullamaError } = await import('/parts/index.js');
    return Rullama.load('embedded', options).then(
      async (ai) => (await ai.close(), { layers: ai.info.layers }),
      (error) => ({ known: error instanceof RullamaError, code: error.code, message: error.message, remedy: error.remedy }),
    );
  }, options);

test('worker and engine are found where the options say', async () => {
  for (const wasm of ['/engine', `${site.url}/engine/rullama_web_bg.wasm?v=1`]) {
    const { layers, message } = await load({ worker: '/parts/moved.js', wasm });
    assert.ok(layers > 0, message);
  }
});

test('the real engine says no more and no less of itself than the types do', async () => {
  const info = await page.evaluate(async () => {
    const { Rullama } = await import('/parts/index.js');
    const ai = await Rullama.load('embedded', { worker: '/parts/moved.js', wasm: '/engine' });
    await ai.close();
    return ai.info;
  });
  assert.deepEqual(Object.keys(info).sort(), declaredInfo());
  assert.notEqual(info.device, '', 'the software adapter tells its name');
});

test('parts that cannot be had are named, with what to do', async (t) => {
  const moved = '/parts/moved.js';
  const cases = {
    'worker of a server that is not there': [{ worker: 'http://127.0.0.1:9/worker.js' }, 'invalid-argument', /127\.0\.0\.1:9/, /CORS/],
    'no worker': [{ worker: '/parts/nothing.js' }, 'invalid-argument', /nothing\.js/, /`worker`/],
    'a page in place of the worker': [{ worker: '/blank.html' }, 'invalid-argument', /blank\.html/, /`worker`/],
    'no engine': [{ worker: moved, wasm: '/nothing/' }, 'invalid-argument', /nothing\/rullama_web_bg\.wasm.* 404/, /`wasm`/],
    'a page in place of the engine': [{ worker: moved, wasm: 'data:text/html,page' }, 'invalid-argument', /web page/, /`wasm`/],
    'another file in place of the engine': [{ worker: moved, wasm: '/parts/other.wasm' }, 'invalid-argument', /other\.wasm/, /same version/],
    'engine of a server that is not there': [{ worker: moved, wasm: 'http://127.0.0.1:9/' }, 'network', /127\.0\.0\.1:9/, /CORS/],
    'no address': [{ embedded: 'http://[' }, 'invalid-argument', /http:/, /argument/],
    'no description': [{ embedded: '/nothing.json' }, 'network', /served here.* 404/, /rullama\/demo/],
    'a page in place of the description': [{ embedded: '/blank.html' }, 'network', /served here.*web page/, /rullama\/demo/],
    'a description of nothing': [{ embedded: '/parts/null.json' }, 'network', /does not name a file/, /rullama\/demo/],
  };
  for (const [name, [options, code, says, remedy]] of Object.entries(cases)) {
    const { layers, known, message, ...error } = await load(options);
    t.diagnostic(`${name}: ${message} ${error.remedy}`);
    assert.equal(layers, undefined, name);
    assert.ok(known, name);
    assert.equal(error.code, code, name);
    assert.match(message, says, name);
    assert.match(error.remedy, remedy, name);
  }
});

test('a prompt tells how far it is read when the GPU gets there, and a stop ends the reading', async () => {
  const { times, seen, stopped } = await page.evaluate(async () => {
    const { Rullama } = await import('/parts/index.js');
    const ai = await Rullama.load('embedded', { worker: '/parts/moved.js', wasm: '/engine' });
    const seen = [];
    const times = [];
    const onPrefill = (at) => (seen.push(at), times.push(performance.now()));
    await ai.chat().ask('What is 31 plus 9? '.repeat(20), { maxTokens: 1, onPrefill });
    times.push(performance.now());
    const stop = new AbortController();
    const chat = ai.chat();
    await chat.ask('Why is the sky blue? '.repeat(20), { signal: stop.signal, onPrefill: () => stop.abort() });
    await ai.close();
    return { times, seen, stopped: chat.last };
  });
  const { done, total } = seen.at(-1);
  assert.equal(seen[0].done, 0);
  assert.ok(total > 100 && done === total, JSON.stringify(seen));
  const [first, last, end] = [times[0], times.at(-2), times.at(-1)];
  assert.ok(end - last < last - first, `read in ${last - first} ms, first token ${end - last} ms later`);
  assert.deepEqual([stopped.finish, stopped.ids], ['cancelled', []]);
});
