// The licences of the npm packages whose code is in the page: each must be in deny.toml's list, and their texts go with the page.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The text that is served beside the page. `metafiles` are esbuild's accounts of what it bundled. */
export function licences(root, ...metafiles) {
  const allowed = allowedLicences(readFileSync(path.join(root, '../deny.toml'), 'utf8'));
  const used = metafiles.flatMap(({ outputs }) => Object.values(outputs)).flatMap(({ inputs }) => Object.keys(inputs));
  const folders = new Set(used.map((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]).filter(Boolean));
  const texts = [...folders].sort().map((folder) => {
    const at = path.resolve(folder);
    const { name, version, license } = JSON.parse(readFileSync(path.join(at, 'package.json'), 'utf8'));
    if (!allowed.includes(license)) throw new Error(`npm ${name}: ${license} is not allowed by deny.toml; choose another package`);
    const file = readdirSync(at).find((entry) => /^licen[cs]e\b/i.test(entry));
    if (!file) throw new Error(`npm ${name} has no licence text; choose another package`);
    return `${name} ${version} (${license})\n\n${readFileSync(path.join(at, file), 'utf8').trim()}\n`;
  });
  return `This page contains code of these packages.\n\n${texts.join(`\n${'-'.repeat(78)}\n\n`)}`;
}

/** The strings of `allow = [...]` in the section `[licenses]`. */
export function allowedLicences(deny) {
  const list = /\n\[licenses\][^[]*\nallow = \[\n([^\]]*)\n\]/.exec(deny)?.[1] ?? '';
  return [...list.matchAll(/^\s*"([^"]+)"/gm)].map((match) => match[1]);
}
