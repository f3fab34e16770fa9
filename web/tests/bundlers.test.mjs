// The packed package as strangers use it: installed from its archive, bundled by the tools themselves or not at all,
// with nothing copied and no option, and answering in Chromium.
//
// Needs the package (npm run build).
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { folder, install, pack, script, vite } from './examples.mjs';
import { startServer } from './server.mjs';

const pages = fileURLToPath(new URL('pages', import.meta.url));
const TIMEOUT = 90_000;
let packed;
let browser;

before(async () => {
  packed = await pack();
  await Promise.all(['vite', 'webpack', 'plain'].map(install));
  browser = await startBrowser();
});

after(() => browser?.close());

/** Opens an example, asks the question that it proposes and gives the answer. */
async function answer(url) {
  const { page, problems } = await openPage(browser.context, url);
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
  assert.ok(packed.unpackedSize < 18e6, `${packed.unpackedSize} bytes`);
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

test('a page without a bundler', async () => {
  const site = await startServer({ '/': folder('plain') });
  try {
    assert.match(await answer(`${site.url}/index.html`), /Paris/);
  } finally {
    await site.close();
  }
});
