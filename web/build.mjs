// Builds the package into packages/rullama/dist and the page into app/dist.
//   node build.mjs          what ships; the wasm engine must be in packages/rullama/dist/wasm (cargo xtask web)
//   node build.mjs --dev    readable code, plus the fake engine for tests (?fake=1 on the page)
import { build } from 'esbuild';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { licences } from './licences.mjs';
import { handed, main, later, plugins } from './page.mjs';

const dev = process.argv.includes('--dev');
const root = fileURLToPath(new URL('.', import.meta.url));
const pkg = `${root}packages/rullama`;
const app = `${root}app`;
const wasm = `${pkg}/dist/wasm`;
/** The engines and their workers: the one that answers, and the one that also trains. */
const engines = { rullama_web: 'worker', rullama_train: 'train-worker' };
/** What compiles schemas, beside each of them. */
const grammar = 'rullama_grammar';

// The demo model lies beside the page; the package carries it with its description.
const { file: modelFile, ...demo } = JSON.parse(readFileSync(`${app}/public/model/model.json`, 'utf8'));

const common = {
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: !dev,
  sourcemap: dev,
  logLevel: 'warning',
  define: { __DEV__: String(dev), __DEMO__: JSON.stringify(demo), __DOCS__: String(existsSync(`${root}docs/dist`)) },
};

/** Outside of browsers, too, packages are taken as modules, of which only what is used is bundled. */
const modules = { mainFields: ['module', 'main'] };

/** Scripts of the page. A style sheet that one of them imports is its text. */
const scripts = { ...common, platform: 'browser', loader: { '.css': 'text' } };

/** What went into the workers, for the licences of it. */
const inWorkers = [];

async function buildPackage() {
  // What an earlier build of the other kind left, apart from the engine, is not packed.
  const left = existsSync(`${pkg}/dist`) ? readdirSync(`${pkg}/dist`) : [];
  for (const name of left) if (name !== 'wasm') rmSync(`${pkg}/dist/${name}`, { recursive: true });
  const browser = { ...common, platform: 'browser' };
  await build({ ...browser, entryPoints: [`${pkg}/src/index.ts`, `${pkg}/src/demo.ts`], outdir: `${pkg}/dist` });
  // The entry that trains stands on the other, so that a page which imports both has one of each class.
  const index = { name: 'index', setup: ({ onResolve }) => onResolve({ filter: /^\.\/index\.ts$/ }, () => ({ path: './index.js', external: true })) };
  await build({ ...browser, entryPoints: [`${pkg}/src/train.ts`], plugins: [index], outdir: `${pkg}/dist` });
  // The APIs throw the errors of the other entry; the hook takes React from whoever uses it.
  const errors = { name: 'errors', setup: ({ onResolve }) => onResolve({ filter: /\/errors\.ts$/ }, () => ({ path: './index.js', external: true })) };
  await build({ ...browser, entryPoints: [`${pkg}/src/api.ts`, `${pkg}/src/react.ts`], plugins: [errors, shared()], external: ['react'], outdir: `${pkg}/dist` });
  await build({ ...browser, entryPoints: [`${pkg}/src/service-worker.ts`], format: 'iife', outdir: `${pkg}/dist` });
  for (const [name, worker] of Object.entries(engines)) await buildWorker(browser, name, worker);
  await build({ ...common, ...modules, platform: 'node', entryPoints: [`${pkg}/src/node.ts`, `${pkg}/src/node-reader.ts`], outdir: `${pkg}/dist` });
  execFileSync('npx', ['tsc', '-p', `${pkg}/tsconfig.types.json`], { cwd: root, stdio: 'inherit' });
  writeFileSync(`${pkg}/dist/licences.txt`, licences(root, ...inWorkers));
  cpSync(`${app}/public/model/${modelFile}`, `${pkg}/dist/rullama-demo.gguf`);
  for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE']) cpSync(`${root}../${licence}`, `${pkg}/dist/${licence}`);
  if (!dev) return;
  const parts = { app: `${app}/test/internals.ts` };
  await build({ ...common, platform: 'neutral', entryPoints: parts, outdir: `${root}dist-test` });
  const entryPoints = [`${pkg}/test/internals.ts`, `${pkg}/test/fake-worker.ts`];
  await build({ ...common, ...modules, platform: 'neutral', entryPoints, outdir: `${root}dist-test`, outbase: root, entryNames: '[name]' });
  await build({ ...common, ...modules, platform: 'node', entryPoints: [`${pkg}/test/node-internals.ts`], outdir: `${root}dist-test` });
  await build({ ...scripts, entryPoints: [`${app}/test/rendering.ts`], outdir: `${root}dist-test` });
}

/** Modules that `api/shared.ts` names, as what the entry `index.js` has of them. */
function shared() {
  const folder = `${pkg}/src/api`;
  const list = readFileSync(`${folder}/shared.ts`, 'utf8').matchAll(/as (\w+) from '\.\/(.+)'/g);
  const modules = new Map(Array.from(list, ([, name, file]) => [`${folder}/${file}`, name]));
  const setup = ({ onLoad }) =>
    onLoad({ filter: /\/src\/api\/[^/]+\.ts$/ }, ({ path: file }) => {
      const name = modules.get(file);
      if (name === undefined) return undefined;
      const exported = readFileSync(file, 'utf8').matchAll(/^export (?:abstract |async )?(?:class|const|function\*?) (\w+)/gm);
      const names = Array.from(exported, ([, one]) => one).join(', ');
      return { contents: `import { internal } from '../errors.ts';\nexport const { ${names} } = internal.${name};`, loader: 'js', resolveDir: folder };
    });
  return { name: 'shared', setup };
}

/** One file, with the engine's bindings in it. */
async function buildWorker(common, name, worker) {
  const glue = `${wasm}/${name}.js`;
  if (existsSync(glue) && existsSync(`${wasm}/${grammar}.js`)) {
    const define = { ...common.define, __ENGINE__: JSON.stringify(`${name}_bg.wasm`) };
    const entryPoints = [{ in: `${pkg}/src/worker.ts`, out: worker }];
    const { metafile } = await build({ ...common, define, alias: { 'rullama-glue': glue, 'rullama-grammar-glue': `${wasm}/${grammar}.js` }, entryPoints, outdir: `${pkg}/dist`, metafile: true });
    inWorkers.push(metafile);
  } else if (dev) console.warn(`no ${name} yet: only ?fake=1 works (cargo xtask web builds it)`);
  else throw new Error(`the wasm engine ${name} is missing: run \`cargo xtask web\``);
}

async function buildApp() {
  rmSync(`${app}/dist`, { recursive: true, force: true });
  mkdirSync(`${app}/dist`, { recursive: true });
  cpSync(`${app}/public`, `${app}/dist`, { recursive: true });
  const entryPoints = [main, ...later];
  const { metafile } = await build({ ...scripts, entryPoints, entryNames: '[name]', plugins, outdir: `${app}/dist`, metafile: true });
  // Without a map, which would be larger than all of the page.
  const drawing = await build({ ...scripts, format: 'iife', minify: true, sourcemap: false, entryPoints: [handed], plugins, outdir: `${app}/dist`, metafile: true });
  await build({ ...common, platform: 'browser', entryPoints: [`${app}/src/style.css`], outdir: `${app}/dist` });
  await buildTexts();
  cpSync(`${root}node_modules/pdfjs-dist/legacy/build/pdf.worker.min.mjs`, `${app}/dist/pdf.worker.js`);
  cpSync(`${root}node_modules/pdfjs-dist/cmaps`, `${app}/dist/cmaps`, { recursive: true });
  const ofMaps = readFileSync(`${app}/dist/cmaps/LICENSE`, 'utf8').replaceAll(/^%%Copyright: ?/gm, '').trim();
  writeFileSync(`${app}/dist/licences.txt`, `${licences(root, metafile, drawing.metafile, ...inWorkers)}\n${'-'.repeat(78)}\n\ncmaps, tables of characters for PDF files (BSD-3-Clause)\n\n${ofMaps}\n`);
  // The package finds its worker and its wasm beside the script that it is bundled into.
  if (existsSync(`${root}docs/dist`)) cpSync(`${root}docs/dist`, `${app}/dist/docs`, { recursive: true });
  if (dev) cpSync(`${root}dist-test/fake-worker.js`, `${app}/dist/fake-worker.js`);
  if (existsSync(`${wasm}/${grammar}_bg.wasm`)) cpSync(`${wasm}/${grammar}_bg.wasm`, `${app}/dist/wasm/${grammar}_bg.wasm`);
  for (const [name, worker] of Object.entries(engines)) {
    if (!existsSync(`${pkg}/dist/${worker}.js`)) continue;
    for (const file of [`${worker}.js`, `wasm/${name}_bg.wasm`]) cpSync(`${pkg}/dist/${file}`, `${app}/dist/${file}`);
  }
}

/** A file for each language but English: what stands for each English text. */
async function buildTexts() {
  const { outputFiles } = await build({ entryPoints: [`${app}/src/texts/tables.ts`], bundle: true, write: false, format: 'esm', logLevel: 'warning' });
  const { OTHERS, byEnglish } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
  mkdirSync(`${app}/dist/texts`);
  for (const language of Object.keys(OTHERS)) writeFileSync(`${app}/dist/texts/${language}.json`, JSON.stringify(byEnglish(language)));
}

/** What the page keeps of itself when it is first asked for: what not everyone needs, and models. */
const needed = /^(train-worker\.js|mermaid\.js|pdf(\.worker)?\.js|cmaps\/.*|wasm\/rullama_(train|grammar)_bg\.wasm|.*\.gguf)$/;
/** What is not part of the page: the server's own lists, the documentation, what only tools read. */
const beside = /^(models\.json|service-worker\.js|docs\/.*|.*\.map)$/;

/** The service worker, with the list of what it keeps. After everything else. */
async function buildServiceWorker() {
  const files = readdirSync(`${app}/dist`, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => path.relative(`${app}/dist`, path.join(parentPath, name)).split(path.sep).join('/'));
  const entries = paths.filter((name) => !beside.test(name)).sort().map((name) => {
    const hash = createHash('sha256').update(readFileSync(`${app}/dist/${name}`)).digest('base64');
    return { path: name, hash, ...(needed.test(name) && { later: true }) };
  });
  const version = createHash('sha256').update(JSON.stringify(entries)).digest('hex').slice(0, 16);
  const define = { ...common.define, __PRECACHE__: JSON.stringify({ version, entries }) };
  await build({ ...common, define, format: 'iife', platform: 'browser', entryPoints: [`${app}/src/offline/service-worker.ts`], outdir: `${app}/dist` });
}

try {
  await buildPackage();
  await buildApp();
  await buildServiceWorker();
} catch (error) {
  console.error(String(error.message ?? error));
  process.exit(1);
}
