// The page as Lighthouse sees it, on phones, on desktops and in a chat: 100 for accessibility and best practices.
//
// Needs app/dist (npm run build) with a model in it. What it installs is large: it runs with `cargo xtask test --full`.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const tools = path.join(here, 'lighthouse');
const written = (file) => statSync(path.join(tools, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;

test('Lighthouse finds nothing in accessibility and best practices', { skip: !process.env.RULLAMA_FULL && 'RULLAMA_FULL is not set' }, async (t) => {
  if (written('node_modules/.package-lock.json') < written('package-lock.json')) {
    execFileSync(process.platform === 'win32' ? 'npm.cmd' : 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: tools, stdio: 'inherit' });
  }
  const { audits } = await import('./lighthouse/audit.mjs');
  const site = await startServer({ '/': path.join(here, '../app/dist') });
  try {
    for (const [state, { scores, looked, found }] of Object.entries(await audits(`${site.url}/`, process.env.CHROMIUM ?? '/usr/bin/chromium'))) {
      t.diagnostic(`${state}: ${JSON.stringify(scores)}, ${looked} audits`);
      assert.deepEqual(scores, { accessibility: 1, 'best-practices': 1 }, `${state}: ${found.join('\n')}`);
      assert.ok(looked > 20, `${state}: only ${looked} audits applied`);
    }
  } finally {
    await site.close();
  }
});
