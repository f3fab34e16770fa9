// The packed package in the projects of examples/, each with the tools that its lock file names.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const web = fileURLToPath(new URL('..', import.meta.url));
const examples = path.join(web, 'examples');
const call = promisify(execFile);

export const folder = (name, ...rest) => path.join(examples, name, ...rest);

const npm = (cwd, ...args) => call(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { cwd, maxBuffer: 1 << 24 });

/** `npm pack`; the examples' lock files name the result `../rullama.tgz`, without a hash, since it changes with the package. */
export async function pack() {
  const destination = mkdtempSync(path.join(examples, '.pack-'));
  try {
    const { stdout } = await npm(web, 'pack', './packages/rullama', '--json', '--pack-destination', destination);
    const listed = JSON.parse(stdout);
    const [packed] = Array.isArray(listed) ? listed : Object.values(listed);
    renameSync(path.join(destination, packed.filename), path.join(examples, 'rullama.tgz'));
    return packed;
  } finally {
    rmSync(destination, { recursive: true, force: true });
  }
}

/** `npm ci`, when the package or the lock file is another one than last time. */
export async function install(name) {
  const hash = createHash('sha256');
  for (const file of ['package-lock.json', '../rullama.tgz']) hash.update(readFileSync(folder(name, file)));
  const state = hash.digest('hex');
  const stamp = folder(name, 'node_modules/.installed');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== state) {
    await npm(folder(name), 'ci', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error');
    writeFileSync(stamp, state);
  }
  // A link would lead back to the sources, which is not what a stranger installs.
  const installed = lstatSync(folder(name, 'node_modules/rullama'));
  if (!installed.isDirectory()) throw new Error(`${name}: rullama is not installed as a package`);
}

/** `npm run script` in an example; what it printed. */
export async function script(name, ...args) {
  const { stdout, stderr } = await npm(folder(name), 'run', ...args);
  return stdout + stderr;
}

/** A program in an example; what it printed, well or not. */
export async function run(name, program, ...args) {
  const { stdout, stderr } = await call(program, args, { cwd: folder(name), maxBuffer: 1 << 24, timeout: 120_000 }).catch((error) => error);
  return stdout + stderr;
}

/** Vite's own server for development or for a build: `{ url, close }`. */
export async function vite(command) {
  const tool = folder('vite', 'node_modules/vite/bin/vite.js');
  const child = spawn(process.execPath, [tool, command, '--host', '127.0.0.1', '--port', '0'], {
    cwd: folder('vite'),
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let output = '';
  const url = await new Promise((resolve, reject) => {
    const read = (data) => {
      output += data;
      const found = /http:\/\/127\.0\.0\.1:\d+/.exec(output);
      if (found) resolve(found[0]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    ended.then((code) => reject(new Error(`vite ${command} ended with ${code}: ${output}`)));
  });
  return { url, close: () => (child.kill(), ended) };
}
