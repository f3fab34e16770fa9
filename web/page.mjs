// What the page is bundled from: what its first paint loads, and what is loaded when it is needed.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('app/src/', import.meta.url));
const ofPackage = fileURLToPath(new URL('packages/rullama/src/', import.meta.url));

export const main = `${src}main.ts`;

/** What `import()` loads when it is first needed, each a file beside main.js; nothing of it is in what the first paint loads. */
export const later = [
  'markdown/markdown', 'markdown/highlight', 'markdown/mathml', 'markdown/diagrams', 'chats/exchange', 'chats/share', 'adapters/take', 'adapters/zip', 'fine-tune/fine-tune', 'fine-tune/chart',
  'ollama/view', 'ollama/reopen', 'downloads/downloads', 'downloads/rest-line', 'downloads/words', 'media/capture', 'media/read-document', 'media/pdf', 'dictation/ways', 'dictation/dictate', 'tools/tool-calls', 'tools/tool-panel', 'tools/calculator', 'tools/mcp', 'notes/notes', 'curated/curated',
  'gpu-help', 'trouble-view', 'message-editor', 'compare/compare', 'keys/key-list', 'prompts/panel', 'speech', 'settings-dialog', 'kept-keys/keeper',
].map((name) => `${src}${name}.ts`).concat(`${ofPackage}read-media.ts`);

/** What the page hands to a frame, as text. */
export const handed = { in: `${src}markdown/mermaid-frame.ts`, out: 'mermaid' };

const apart = {
  name: 'apart',
  setup({ onResolve }) {
    onResolve({ filter: /\.ts$/ }, (found) => {
      if (found.kind !== 'dynamic-import') return undefined;
      if (!later.includes(path.resolve(found.resolveDir, found.path))) return { errors: [{ text: `name ${found.path} in page.mjs` }] };
      return { path: `./${path.basename(found.path, '.ts')}.js`, external: true };
    });
  },
};

/**
 * What libraries bring and the page never runs, by the end of its path: the package's shape of the `openai` client; of the client of
 * tools' servers the validator that makes code of schemas, which the page's policy forbids and another one replaces; formulas within diagrams.
 */
const UNUSED = {
  '/rullama/src/openai.ts': 'export const openaiClient = undefined, ModelsPage = undefined, OpenAIError = undefined, OpenAIStream = undefined;',
  '/validation/ajv-provider.js': 'export class AjvJsonSchemaValidator {}',
  '/katex/dist/katex.mjs': "export default { renderToString() { throw new Error('formulas within diagrams are not drawn'); } };",
};

const unused = {
  name: 'unused',
  setup({ onLoad }) {
    for (const [end, contents] of Object.entries(UNUSED)) onLoad({ filter: new RegExp(`${end.replaceAll('.', '\\.')}$`) }, () => ({ contents, loader: 'js' }));
  },
};

export const plugins = [apart, unused];
