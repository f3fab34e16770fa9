// The documentation as it is built: no link leads nowhere, nothing comes from elsewhere, and it can be searched.
//
// Needs dist (node build.mjs).
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from '../tests/browser.mjs';
import { startServer } from '../tests/server.mjs';

const dist = fileURLToPath(new URL('dist', import.meta.url));
const base = '/docs/';
const files = readdirSync(dist, { recursive: true }).filter((name) => name.endsWith('.html')).map((name) => name.split(path.sep).join('/'));
const texts = new Map(files.map((name) => [name, readFileSync(path.join(dist, name), 'utf8')]));

const unescape = (text) => text.replaceAll('&amp;', '&').replaceAll('&quot;', '"').replaceAll('&#39;', "'");
const attributes = (text, name) => [...text.matchAll(new RegExp(`<(\\w+)[^>]*?\\s${name}="([^"]*)"`, 'g'))].map(([, tag, value]) => ({ tag, value: unescape(value) }));
const ids = new Map(files.map((name) => [name, new Set(attributes(texts.get(name), 'id').map(({ value }) => value))]));

/** The file of an address below the site. */
function fileOf(pathname) {
  const name = decodeURIComponent(pathname.slice(base.length));
  return name === '' || name.endsWith('/') ? `${name}index.html` : name;
}

test('links lead to pages and places that are there', () => {
  let links = 0;
  for (const name of files) {
    const address = new URL(name, `http://site${base}`);
    for (const { value } of attributes(texts.get(name), 'href')) {
      const to = new URL(value, address);
      if (to.host !== 'site') continue;
      // The page itself is beside its documentation.
      assert.ok(to.pathname.startsWith(base), `${name} leads out of the site: ${value}`);
      const file = fileOf(to.pathname);
      assert.ok(existsSync(path.join(dist, file)), `${name} links to ${value}, which is not there`);
      const place = decodeURIComponent(to.hash.slice(1));
      if (place !== '' && ids.has(file)) assert.ok(ids.get(file).has(place), `${name} links to ${value}: no such place`);
      links += 1;
    }
  }
  assert.ok(files.length > 20 && links > 500, `${files.length} pages, ${links} links`);
});

test('pictures have words, and nothing comes from elsewhere', () => {
  for (const name of files) {
    // The mark beside the name says nothing more than the name.
    for (const [picture] of texts.get(name).matchAll(/<img\b[^>]*>/g)) assert.match(picture, /\salt="[^"]+"|VPImage logo/, `${name}: ${picture}`);
    for (const { tag, value } of attributes(texts.get(name), 'src')) assert.ok(value.startsWith(base) || value.startsWith('data:'), `${name}: ${tag} from ${value}`);
    for (const [link] of texts.get(name).matchAll(/<link\b[^>]*>/g)) assert.doesNotMatch(link, /href="(https?:)?\/\//, name);
  }
});

test('every page can be reached from the first', () => {
  const seen = new Set();
  const open = ['index.html'];
  while (open.length > 0) {
    const name = open.pop();
    if (seen.has(name) || !texts.has(name)) continue;
    seen.add(name);
    for (const { tag, value } of attributes(texts.get(name), 'href')) {
      const to = new URL(value, new URL(name, `http://site${base}`));
      if (tag === 'a' && to.host === 'site') open.push(fileOf(to.pathname));
    }
  }
  assert.deepEqual(files.filter((name) => !seen.has(name) && name !== '404.html'), []);
});

test('it opens in a browser and is searched', async () => {
  const site = await startServer({ [base]: dist });
  const browser = await startBrowser({ webgpu: false });
  try {
    const { page, problems } = await openPage(browser.context, `${site.url}${base}first-steps.html`, { viewport: { width: 390, height: 800 } });
    assert.match(await page.locator('h1').innerText(), /^First steps/);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'wider than a phone');
    await page.waitForFunction(() => [...document.images].every(({ complete, naturalWidth }) => complete && naturalWidth > 0));
    await page.click('.VPNavBarSearch button');
    await page.fill('#localsearch-input', 'certificate');
    await page.waitForSelector('.results .result >> text=/phone/i');
    assert.deepEqual(problems, []);
  } finally {
    await browser.close();
    await site.close();
  }
});
