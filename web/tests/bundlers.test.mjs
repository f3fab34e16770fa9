// The packed package as strangers use it: installed from its archive, bundled by the tools themselves or not at all,
// with nothing copied and no option, and answering in Chromium.
//
// Needs the package (npm run build).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { folder, install, pack, run, script, vite } from './examples.mjs';
import { startServer } from './server.mjs';

const pages = fileURLToPath(new URL('pages', import.meta.url));
const TIMEOUT = 90_000;
let packed;
let browser;

before(async () => {
  packed = await pack();
  await Promise.all(['vite', 'webpack', 'plain', 'react', 'apis', 'extension'].map(install));
  browser = await startBrowser({ serviceWorkers: 'allow' });
});

after(() => browser?.close());

/** How each bundler is told where its entry is, where its files go and under which address they will be served. */
const ELSEWHERE = {
  vite: (own, address) => [own, '--base', address],
  webpack: (own, address) => [
    ...['--entry-reset', '--entry', path.join(own, 'main.js')],
    ...['--output-path', path.join(own, 'dist'), '--output-public-path', address],
  ],
};

/** Builds an application without the demo model whose files another origin, `cdn`, will serve; gives the page's folder. */
async function buildElsewhere(name, entry, cdn) {
  const own = folder(name, 'node_modules/.elsewhere');
  rmSync(own, { recursive: true, force: true });
  mkdirSync(own, { recursive: true });
  const load = "Rullama.load('none.gguf').catch((error) => (document.title = `${error.code}: ${error.message}`));";
  const main = `import { Rullama } from '${entry}';\n${load}\n`;
  writeFileSync(path.join(own, 'main.js'), main);
  writeFileSync(path.join(own, 'index.html'), '<script type="module" src="./main.js"></script>');
  await script(name, 'build', '--', ...ELSEWHERE[name](own, `${cdn}/${name}/`));
  if (name === 'webpack') writeFileSync(path.join(own, 'dist/index.html'), `<script defer src="${cdn}/webpack/main.js"></script>`);
  return path.join(own, 'dist');
}

/** Kinds of the files below a folder, each once. */
const kinds = (below) => [...new Set(readdirSync(below, { recursive: true }).map((file) => path.extname(file)).filter(Boolean))].sort();

/** Opens an example, asks the question that it proposes and gives the answer. */
async function answer(url, { context } = browser) {
  const { page, problems } = await openPage(context, url);
  try {
    await page.waitForFunction(
      () => !document.querySelector('button').disabled || /error|cannot|not /i.test(document.querySelector('[role=status]').textContent),
      null,
      { timeout: TIMEOUT },
    );
    assert.ok(await page.locator('button').isEnabled(), await page.locator('[role=status]').textContent());
    await page.click('button');
    await page.waitForFunction(() => /tokens\/s/.test(document.querySelector('[role=status]').textContent), null, { timeout: TIMEOUT });
    // No example has an icon, which browsers ask for.
    const found = problems.filter((text) => !/404/.test(text));
    assert.deepEqual(found, []);
    return await page.locator('output').textContent();
  } finally {
    await page.close();
  }
}

test('the package holds the demo model and stays small', () => {
  const sizes = Object.fromEntries(packed.files.map((file) => [file.path, file.size]));
  assert.ok(sizes['dist/rullama-demo.gguf'] < 16e6);
  assert.ok(sizes['dist/LICENSE-MIT'] && sizes['dist/LICENSE-APACHE'] && sizes['README.md']);
  // The model, two engines of 2.4 to 2.7 MB, and what compiles schemas.
  assert.ok(packed.unpackedSize < 23.5e6, `${packed.unpackedSize} bytes`);
  const unwanted = Object.keys(sizes).filter((name) => /fake|\.map$|internals/.test(name));
  assert.deepEqual(unwanted, []);
});

test('Vite builds it, and its preview answers', async () => {
  const output = await script('vite', 'build');
  assert.doesNotMatch(output, /warn|doesn't exist/i);
  const site = await vite('preview');
  try {
    assert.match(await answer(site.url), /Paris/);
  } finally {
    await site.close();
  }
});

test("Vite's development server serves it", async () => {
  const site = await vite('dev');
  try {
    assert.match(await answer(site.url), /Paris/);
  } finally {
    await site.close();
  }
});

test('webpack builds it, below any address', async () => {
  const output = await script('webpack', 'build');
  // Webpack's one remark is on the size of the model.
  assert.doesNotMatch(output, /ERROR|Can't resolve|Critical dependency/);
  const site = await startServer({ '/some/where/': folder('webpack') });
  try {
    assert.match(await answer(`${site.url}/some/where/index.html`), /Paris/);
  } finally {
    await site.close();
  }
});

/** The engines that a build has a file of, by the entry that it imports. */
const ENGINES = { rullama: 1, 'rullama/train': 2 };

for (const [name, entry] of Object.keys(ELSEWHERE).flatMap((name) => Object.keys(ENGINES).map((entry) => [name, entry]))) {
  test(`${name}, ${entry}: files on another origin than the page, and no demo model where none is imported`, async () => {
    const mounts = {};
    const cdn = await startServer(mounts, { cors: true });
    const built = await buildElsewhere(name, entry, cdn.url);
    mounts[`/${name}/`] = built;
    assert.deepEqual(kinds(built), ['.html', '.js', '.wasm']);
    const modules = readdirSync(built, { recursive: true }).filter((file) => file.endsWith('.wasm'));
    // Beside them what compiles schemas, which webpack gives another name.
    assert.equal(modules.length, ENGINES[entry] + 1, modules.join());
    const site = await startServer({ '/': built });
    const { page } = await openPage(browser.context, `${site.url}/index.html`);
    try {
      // The engine has started when it misses the model.
      await page.waitForFunction(() => document.title, null, { timeout: TIMEOUT });
      assert.match(await page.title(), /^network: .*none\.gguf.* 404/);
      const own = site.requests.map(({ pathname }) => pathname).filter((pathname) => !/index|favicon|none/.test(pathname));
      assert.deepEqual(own, []);
      const loaded = cdn.requests.filter(({ pathname }) => pathname.endsWith('.wasm'));
      assert.equal(loaded.length, 1, 'one engine is loaded, whatever there is');
    } finally {
      await page.close();
      await site.close();
      await cdn.close();
    }
  });
}

test('one line imports the package from another origin', async () => {
  const cdn = await startServer({ '/rullama/': folder('plain', 'node_modules/rullama') }, { cors: true });
  const site = await startServer({ '/': pages });
  const { page } = await openPage(browser.context, `${site.url}/blank.html`);
  try {
    const text = await page.evaluate(async (origin) => {
      const { Rullama } = await import(`${origin}/rullama/dist/index.js`);
      const { demo } = await import(`${origin}/rullama/dist/demo.js`);
      const ai = await Rullama.load(demo.file);
      let text = '';
      for await (const event of ai.chat().send('What is the capital of France?')) if (event.type === 'content') text += event.text;
      await ai.close();
      return text;
    }, cdn.url);
    assert.match(text, /Paris/);
  } finally {
    await page.close();
    await site.close();
    await cdn.close();
  }
});

test('a page without a bundler', async () => {
  const site = await startServer({ '/': folder('plain') });
  try {
    assert.match(await answer(`${site.url}/index.html`), /Paris/);
  } finally {
    await site.close();
  }
});

for (const [name, what] of Object.entries({ react: "React's hook answers", apis: "a program that was written for Ollama's API asks the page" })) {
  test(what, async () => {
    assert.doesNotMatch(await script(name, 'build'), /warn|doesn't exist/i);
    const site = await startServer({ '/': folder(name, 'dist') });
    try {
      assert.match(await answer(`${site.url}/index.html`), /Paris/);
    } finally {
      await site.close();
    }
  });
}

test("an extension's panel answers under its content policy", async () => {
  await script('extension', 'build');
  const extension = folder('extension', 'dist');
  const own = await startBrowser({ extension });
  try {
    // The id of an extension that is loaded from a folder follows from the folder's path.
    const digits = createHash('sha256').update(extension).digest('hex').slice(0, 32);
    const id = Array.from(digits, (digit) => String.fromCharCode(97 + parseInt(digit, 16))).join('');
    assert.match(await answer(`chrome-extension://${id}/panel.html`, own), /Paris/);
  } finally {
    await own.close();
  }
});

// What these install is large: they run with `cargo xtask test --full`.
const light = !process.env.RULLAMA_FULL && 'RULLAMA_FULL is not set';

test('Next builds it as static files, which answer', { skip: light }, async () => {
  await install('next');
  await script('next', 'build');
  const site = await startServer({ '/': folder('next', 'dist') });
  try {
    assert.match(await answer(`${site.url}/index.html`), /Paris/);
  } finally {
    await site.close();
  }
});

test('Node runs it on Dawn', { skip: light }, async (t) => {
  await install('node');
  const output = await run('node', process.execPath, 'main.js');
  if (/no graphics adapter answers/.test(output)) return t.skip('Dawn finds no adapter here');
  assert.match(output, /Paris/);
  assert.match(output, /tokens\/s on ./);
});
