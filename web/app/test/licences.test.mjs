import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { allowedLicences, licences } from '../../licences.mjs';

const root = new URL('../../', import.meta.url).pathname;

test('the page names the licences of what is bundled into it', () => {
  const text = readFileSync(`${root}app/dist/licences.txt`, 'utf8');
  for (const name of ['markdown-it', 'linkify-it', 'temml', 'highlight.js', 'uplot', 'fflate']) assert.match(text, new RegExp(`^${name} [\\d.]+ \\((MIT|BSD-3-Clause)\\)$`, 'm'));
  assert.match(text, /Ivan Sagalaev/);
  // A choice of licences, one that stands in the text alone, and a text that stands in the readme.
  for (const [name, licence, holder] of [['dompurify', '((MPL-2.0 OR Apache-2.0))', 'Apache License'], ['khroma', '(MIT)', 'Fabio Spampinato'], ['fastdom', '(MIT)', 'Wilson Page']]) {
    const entry = text.split('-'.repeat(78)).find((one) => one.trim().startsWith(`${name} `));
    assert.ok(entry?.includes(licence) && entry.includes(holder), name);
  }
  assert.doesNotMatch(text, /argparse/);
});

test('the list of licences is that of deny.toml', () => {
  assert.deepEqual(allowedLicences('a = 1\n[licenses]\nallow = [\n    "MIT", # why\n    "ISC",\n]\n[bans]\nallow = [\n"x",\n]\n'), ['MIT', 'ISC']);
  const list = allowedLicences(readFileSync(`${root}../deny.toml`, 'utf8'));
  assert.ok(list.includes('MIT') && list.includes('BSD-3-Clause') && !list.some((name) => name.includes('GPL')));
});

test('a package under another licence stops the build', () => {
  const bundled = (folder) => ({ outputs: { 'main.js': { inputs: { [`node_modules/${folder}/index.js`]: {} } } } });
  const here = process.cwd();
  process.chdir(root);
  try {
    assert.throws(() => licences(root, bundled('argparse')), /npm argparse: .* is not allowed by deny.toml/);
    assert.match(licences(root, bundled('temml')), /temml .*MIT/);
    assert.match(licences(root, bundled('dompurify')), /MPL-2\.0 OR Apache-2\.0/);
  } finally {
    process.chdir(here);
  }
});
