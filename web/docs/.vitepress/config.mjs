import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { licences } from '../../licences.mjs';

const web = fileURLToPath(new URL('../..', import.meta.url));
const empty = fileURLToPath(new URL('theme/empty.js', import.meta.url));
const dist = fileURLToPath(new URL('../dist', import.meta.url));

/** The licences of what is bundled, held against deny.toml and put beside the site. */
const account = {
  name: 'licences',
  generateBundle(_, bundle) {
    const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? Object.keys(part.modules) : []));
    const inputs = Object.fromEntries(modules.map((id) => [id.replace(/^\0/, ''), {}]));
    licenceTexts.add(licences(web, { outputs: { site: { inputs } } }));
  },
};
const licenceTexts = new Set();

const pages = (items) => items.map(([text, link]) => ({ text, link }));

const base = process.env.RULLAMA_DOCS_BASE ?? '/docs/';

export default {
  title: 'rullama',
  description: 'Gemma 4 on your own GPU, in a browser tab and in a terminal',
  lang: 'en',
  base,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}icon.svg` }]],
  srcDir: '.build',
  outDir: 'dist',
  cacheDir: '.cache',
  cleanUrls: false,
  lastUpdated: false,
  vite: {
    plugins: [account],
    // A search by servers of others, which is not used.
    resolve: { alias: { '@docsearch/css': empty, '@docsearch/js': empty } },
    build: { chunkSizeWarningLimit: 2000 },
  },
  buildEnd: () => writeFileSync(`${dist}/licences.txt`, [...licenceTexts].join('\n').replace('This page', 'This documentation')),
  themeConfig: {
    logo: '/icon.svg',
    search: { provider: 'local' },
    outline: [2, 3],
    nav: pages([['First steps', '/first-steps'], ['Recipes', '/recipes'], ['Reference', '/reference/']]),
    sidebar: [
      { text: 'Use', items: pages([['First steps', '/first-steps'], ['Models', '/models'], ['Conversations', '/chats'], ['Tools', '/tools'], ['Fine-tune', '/fine-tune'], ['Installed, offline, on a phone', '/phone'], ['When something fails', '/trouble'], ['Limits', '/limits']]) },
      { text: 'Build', items: pages([['The package', '/package'], ['Projects with it', '/examples'], ['The server’s APIs', '/api'], ['Recipes', '/recipes'], ['Reference', '/reference/']]) },
      { text: 'Understand', items: pages([['How it works', '/how-it-works'], ['The demo model', '/demo-model']]) },
    ],
  },
};
