// Runs the operations' cases in Chromium: the list of rullama-ops, compiled into a wasm of its own.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
/** What a build for tests made. */
export const built = path.join(here, '../dist-test');

/** Why the cases cannot run, or `false`. */
export const missing = !existsSync(path.join(built, 'cases/rullama_web.js')) && 'run `cargo xtask web --cases` first';

/**
 * Runs cases in a browser of its own. `options` as `run_cases` takes them. Gives `device`, `subgroups` (sizes, or
 * null), `cases` (number), `reports` (one a case, with its `seconds`), `kernels` (distinct texts that Chromium
 * accepted, and how many of them use subgroups) and `texts` (those of cases that were not run).
 */
export async function runCases(options) {
  const site = await startServer({ '/built/': built, '/': path.join(here, 'pages') });
  const browser = await startBrowser();
  try {
    const { page, problems } = await openPage(browser.context, `${site.url}/blank.html`);
    const reports = [];
    let last = performance.now();
    await page.exposeFunction('report', (json) => {
      const now = performance.now();
      reports.push({ ...JSON.parse(json), seconds: (now - last) / 1000 });
      last = now;
    });
    const summary = await page.evaluate(inPage, options);
    return { ...summary, reports, problems };
  } finally {
    await browser.close();
    await site.close();
  }
}

/** Runs in the page. */
async function inPage(options) {
  const texts = new Set();
  const create = GPUDevice.prototype.createShaderModule;
  GPUDevice.prototype.createShaderModule = function (descriptor) {
    texts.add(descriptor.code);
    return create.call(this, descriptor);
  };
  const { watchDevices } = await import('/built/internals.js');
  const { default: start, run_cases: runCases } = await import('/built/cases/rullama_web.js');
  await start({ module_or_path: '/built/cases/rullama_web_bg.wasm' });
  let lost;
  // What the browser refuses reaches the case that did it through the engine's own error scopes.
  const grant = await watchDevices(navigator.gpu, { plain: options.adapter === 'webgpu-defaults', onLost: (e) => (lost ??= e.message) });
  const summary = JSON.parse(await runCases(JSON.stringify({ ...options, subgroups: grant.subgroups }), globalThis.report));
  const subgroups = [...texts].filter((text) => text.startsWith('enable subgroups;')).length;
  return { ...summary, lost, kernels: { all: texts.size, subgroups } };
}
