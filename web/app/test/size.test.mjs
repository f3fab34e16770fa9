// What the page's first paint loads stays small; all else is loaded when it is used.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { main, plugins } from '../../page.mjs';

const MOST = 60_000;

test(`the first script has less than ${MOST} bytes, compressed`, async () => {
  const define = { __DEV__: 'false', __DOCS__: 'true', __DEMO__: '{}' };
  const { outputFiles, metafile } = await build({ entryPoints: [main], plugins, define, bundle: true, minify: true, write: false, metafile: true, format: 'esm', target: 'es2022', platform: 'browser', loader: { '.css': 'text' } });
  const { inputs } = Object.values(metafile.outputs)[0];
  const largest = Object.entries(inputs).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput).slice(0, 5).map(([name, { bytesInOutput }]) => `${name} ${bytesInOutput}`);
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  assert.ok(bytes < MOST, `${bytes} bytes; load something later (page.mjs). The largest: ${largest.join(', ')}`);
  assert.ok(bytes > MOST / 4, 'the page was bundled');
});
