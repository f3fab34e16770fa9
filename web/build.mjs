// Builds the package into packages/rullama/dist and the page into app/dist.
//   node build.mjs          what ships; the wasm engine must be in packages/rullama/dist/wasm (cargo xtask web)
//   node build.mjs --dev    readable code, plus the fake engine for tests (?fake=1 on the page)
import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const dev = process.argv.includes('--dev');
const root = fileURLToPath(new URL('.', import.meta.url));
const pkg = `${root}packages/rullama`;
const app = `${root}app`;

const common = {
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: !dev,
  sourcemap: dev,
  logLevel: 'warning',
  define: { __DEV__: String(dev) },
};

async function buildPackage() {
  const browser = { ...common, platform: 'browser' };
  await build({ ...browser, entryPoints: [`${pkg}/src/index.ts`, `${pkg}/src/worker.ts`], outdir: `${pkg}/dist` });
  await build({ ...common, platform: 'node', entryPoints: [`${pkg}/src/node.ts`], outdir: `${pkg}/dist` });
  execFileSync('npx', ['tsc', '-p', `${pkg}/tsconfig.types.json`], { cwd: root, stdio: 'inherit' });
  if (!dev) return;
  const parts = { app: `${app}/test/internals.ts` };
  await build({ ...common, platform: 'neutral', entryPoints: parts, outdir: `${root}dist-test` });
  const entryPoints = [`${pkg}/test/internals.ts`, `${pkg}/test/fake-worker.ts`, `${app}/src/markdown.ts`];
  await build({ ...common, platform: 'neutral', entryPoints, outdir: `${root}dist-test`, outbase: root, entryNames: '[name]' });
}

async function buildApp() {
  rmSync(`${app}/dist`, { recursive: true, force: true });
  mkdirSync(`${app}/dist`, { recursive: true });
  cpSync(`${app}/public`, `${app}/dist`, { recursive: true });
  await build({ ...common, platform: 'browser', entryPoints: [`${app}/src/main.ts`, `${app}/src/style.css`], outdir: `${app}/dist` });
  // The package finds its worker and its wasm beside the script that it is bundled into.
  cpSync(`${pkg}/dist/worker.js`, `${app}/dist/worker.js`);
  if (dev) cpSync(`${root}dist-test/fake-worker.js`, `${app}/dist/fake-worker.js`);
  const wasm = `${pkg}/dist/wasm`;
  if (existsSync(wasm)) cpSync(wasm, `${app}/dist/wasm`, { recursive: true });
  else if (dev) console.warn('no wasm engine yet: only ?fake=1 works (cargo xtask web builds it)');
  else throw new Error('the wasm engine is missing: run `cargo xtask web`');
}

try {
  await buildPackage();
  await buildApp();
} catch (error) {
  console.error(String(error.message ?? error));
  process.exit(1);
}
