// Training in Chromium against PyTorch: losses, gradients and steps of a golden, by the comparison that the native tests make. With
// RULLAMA_FULL set all 20 steps, else the first two.
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { built, missing } from './cases.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
/** On a busy machine a multiple of what it takes. */
const LONGEST_MS = 20 * 60_000;
const FULL = Boolean(process.env.RULLAMA_FULL);

/** Runs in the page. */
async function inPage({ name, model, options }) {
  const bytes = async (path) => new Uint8Array(await (await fetch(`/goldens/${path}`)).arrayBuffer());
  const { watchDevices } = await import('/built/internals.js');
  const { default: start, run_golden: runGolden } = await import('/built/cases/rullama_web.js');
  await start({ module_or_path: '/built/cases/rullama_web_bg.wasm' });
  let lost;
  const { subgroups } = await watchDevices(navigator.gpu, { onLost: (error) => (lost ??= error.message) });
  const files = [await bytes(`models/${model}`), await bytes(`grad/${name}.json`), await bytes(`grad/${name}.safetensors`)];
  const report = JSON.parse(await runGolden(JSON.stringify({ ...options, subgroups }), ...files));
  return { ...report, lost };
}

test('losses, gradients and steps are those of PyTorch', { skip: missing, timeout: LONGEST_MS }, async (t) => {
  const site = await startServer({ '/built/': built, '/goldens/': path.join(here, '../../goldens'), '/': path.join(here, 'pages') });
  const browser = await startBrowser();
  try {
    const { page, problems } = await openPage(browser.context, `${site.url}/blank.html`);
    const start = performance.now();
    const given = { name: 'lora-short', model: 'dense-ple-Q4_K_M.gguf', options: FULL ? {} : { steps: 2 } };
    const { wrong, gradients, curve, after, lost } = await page.evaluate(inPage, given);
    const worst = (all) => Math.max(0, ...Object.values(all)).toExponential(1);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    t.diagnostic(`off by at most: gradients ${worst(gradients)}, losses ${worst(curve)}, matrices ${worst(after)}; ${seconds} s`);
    assert.deepEqual({ wrong, lost, problems }, { wrong: [], lost: undefined, problems: [] });
    assert.deepEqual([Object.keys(gradients).length, curve.length, Object.keys(after).length > 0], [86, FULL ? 21 : 3, FULL]);
  } finally {
    await browser.close();
    await site.close();
  }
});
