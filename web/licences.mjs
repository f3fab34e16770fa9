// The licences of the npm packages whose code is in the page: each must be in deny.toml's list, and their texts go with the page.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Packages whose package.json names no licence, and the one whose text they carry. */
const UNNAMED = { khroma: 'MIT' };

/** The text that is served beside the page. `metafiles` are esbuild's accounts of what it bundled. */
export function licences(root, ...metafiles) {
  const allowed = allowedLicences(readFileSync(path.join(root, '../deny.toml'), 'utf8'));
  const used = metafiles.flatMap(({ outputs }) => Object.values(outputs)).flatMap(({ inputs }) => Object.keys(inputs));
  const folders = new Set(used.map((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]).filter(Boolean));
  const texts = [...folders].sort().map((folder) => {
    const at = path.resolve(folder);
    const { name, version, license = UNNAMED[path.basename(at)] } = JSON.parse(readFileSync(path.join(at, 'package.json'), 'utf8'));
    if (!isAllowed(license, allowed)) throw new Error(`npm ${name}: ${license} is not allowed by deny.toml; choose another package`);
    const text = licenceText(at);
    if (!text) throw new Error(`npm ${name} has no licence text; choose another package`);
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return `This page contains code of these packages.\n\n${texts.join(`\n${'-'.repeat(78)}\n\n`)}`;
}

/** A package's own file of it, else the end of what it says of itself. */
function licenceText(folder) {
  const files = readdirSync(folder);
  const of = (name) => files.filter((entry) => name.test(entry)).map((entry) => readFileSync(path.join(folder, entry), 'utf8'))[0];
  return of(/^licen[cs]e\b/i) ?? /\n#+ licen[cs]e\s+(.*permission.*)$/is.exec(of(/^readme\b/i) ?? '')?.[1];
}

/** Whether the list has a licence, or one of those to choose from (`(A OR B)`, SPDX 2.3, annex D). */
function isAllowed(license, allowed) {
  const choice = /^\(?([^()]+)\)?$/.exec(license ?? '')?.[1].split(' OR ') ?? [];
  return choice.some((one) => allowed.includes(one));
}

/** The strings of `allow = [...]` in the section `[licenses]`. */
export function allowedLicences(deny) {
  const list = /\n\[licenses\][^[]*\nallow = \[\n([^\]]*)\n\]/.exec(deny)?.[1] ?? '';
  return [...list.matchAll(/^\s*"([^"]+)"/gm)].map((match) => match[1]);
}
