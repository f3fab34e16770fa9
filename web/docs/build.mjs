// Builds the documentation into dist: the pages of ../../docs, READMEs of the repository, and the package's reference from its types.
//   node build.mjs
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const root = path.join(here, '../..');
const out = path.join(here, '.build');
const reference = 'reference';

/** Files of the repository that are pages of the site, beside those of docs/. */
const pages = {
  'web/packages/rullama/README.md': 'package.md',
  'web/examples/README.md': 'examples.md',
  'tools/demo-model/MODEL_CARD.md': 'demo-model.md',
};
for (const name of readdirSync(path.join(root, 'docs'))) pages[`docs/${name}`] = name;

const read = (file) => readFileSync(path.join(root, file), 'utf8');

/** The text under a heading of a file, for `<!-- section: FILE#Heading -->`, with its own links as from there. */
function section(file, heading) {
  const found = read(file).split(/^(?=## )/m).find((part) => part.startsWith(`## ${heading}\n`));
  if (!found) throw new Error(`${file} has no section "${heading}"`);
  return links(found.slice(found.indexOf('\n') + 1), file).trim();
}

/** Links to files of the repository lead to their pages; what has none there is only named. */
function links(text, file) {
  return text.replace(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, (whole, picture, words, to) => {
    if (/^([a-z]+:|#)/.test(to)) return whole;
    const [name, anchor] = to.split('#');
    const target = path.posix.normalize(path.posix.join(path.posix.dirname(file), name));
    const page = pages[target] ?? (target.startsWith(`docs/${reference}/`) ? target.slice(5) : undefined);
    if (page) return `${picture}[${words}](./${page}${anchor ? `#${anchor}` : ''})`;
    if (!existsSync(path.join(root, target))) throw new Error(`${file}: the link to ${to} leads nowhere`);
    return words;
  });
}

function collect() {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(path.join(out, 'public'), { recursive: true });
  cpSync(path.join(here, '../app/public/icons/icon.svg'), path.join(out, 'public/icon.svg'));
  for (const [file, page] of Object.entries(pages)) {
    if (!page.endsWith('.md')) {
      cpSync(path.join(root, file), path.join(out, page));
      continue;
    }
    const text = links(read(file), file).replace(/^<!-- section: (\S+)#(.+) -->$/gm, (_, from, heading) => section(from, heading));
    writeFileSync(path.join(out, page), text);
  }
}

const run = (program, ...options) => execFileSync(process.execPath, [path.join(here, 'node_modules', program), ...options], { cwd: here, stdio: ['ignore', 'inherit', 'inherit'] });

try {
  collect();
  run('typedoc/bin/typedoc', '--options', 'typedoc.json');
  rmSync(path.join(here, 'dist'), { recursive: true, force: true });
  run('vitepress/bin/vitepress.js', 'build', '.');
  // Beside a page that is built already.
  const page = path.join(here, '../app/dist');
  if (existsSync(page)) cpSync(path.join(here, 'dist'), path.join(page, 'docs'), { recursive: true });
} catch (error) {
  console.error(String(error.message ?? error));
  process.exit(1);
}
