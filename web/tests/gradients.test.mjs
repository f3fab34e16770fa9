// Training in Chromium against PyTorch: losses, gradients and steps of a golden, by the comparison that the native tests make. With
// RULLAMA_FULL set all 20 steps, by the kernels of GPUs, and kept as halves, else the first two.
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
const light = !FULL && 'RULLAMA_FULL is not set';

/** Runs in the page. */
async function inPage({ name, model, options }) {
  const bytes = async (path) => new Uint8Array(await (await fetch(`/goldens/${path}`)).arrayBuffer());
  const { watchDevices } = await import('/built/internals.js');
  const { default: start, run_golden: runGolden } = await import('/built/cases/rullama_web.js');
  await start({ module_or_path: '/built/cases/rullama_web_bg.wasm' });
  let lost;
  const { subgroups } = await watchDevices(navigator.gpu, { onLost: (error) => (lost ??= error.message) });
  const files = [await bytes(`models/${model}`), await bytes(`grad/${name}.json`), await bytes(`grad/${name}.safetensors`)];
  const said = (error) => Promise.reject(new Error(error.message ?? String(error)));
  const report = JSON.parse(await runGolden(JSON.stringify({ ...options, subgroups }), ...files).catch(said));
  return { ...report, lost };
}

/** Runs the golden `options` says, and holds it against the bounds; `curve`: losses that it has. */
async function compare(t, options, curve) {
  const site = await startServer({ '/built/': built, '/goldens/': path.join(here, '../../goldens'), '/': path.join(here, 'pages') });
  const browser = await startBrowser();
  try {
    const { page, problems } = await openPage(browser.context, `${site.url}/blank.html`);
    const start = performance.now();
    const report = await page.evaluate(inPage, { name: 'lora-short', model: 'dense-ple-Q4_K_M.gguf', options });
    const worst = (all) => Math.max(0, ...Object.values(all)).toExponential(1);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    t.diagnostic(`off by at most: gradients ${worst(report.gradients)}, losses ${worst(report.curve)}, matrices ${worst(report.after)}; ${seconds} s`);
    assert.deepEqual({ wrong: report.wrong, lost: report.lost, problems }, { wrong: [], lost: undefined, problems: [] });
    assert.deepEqual([Object.keys(report.gradients).length, report.curve.length], [86, curve]);
    return report;
  } finally {
    await browser.close();
    await site.close();
  }
}

test('losses, gradients and steps are those of PyTorch', { skip: missing, timeout: LONGEST_MS }, async (t) => {
  const { after } = await compare(t, FULL ? {} : { steps: 2 }, FULL ? 21 : 3);
  assert.equal(Object.keys(after).length > 0, FULL);
});

// What a browser on a GPU runs, which SwiftShader would not choose: tiles, barriers, sums over shares.
test('so they are by the kernels that a GPU gets', { skip: missing || light, timeout: LONGEST_MS }, (t) => compare(t, { asGpu: true, steps: 2 }, 3));

test('so they are where values are kept as halves, and are cut into blocks of rows', { skip: missing || light, timeout: LONGEST_MS }, async (t) => {
  await compare(t, { asGpu: true, halves: true, most: 100_000, steps: 0 }, 1);
});
