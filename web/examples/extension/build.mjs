// The extension as a folder to load: its own files, and the package's beside them, since an extension runs no code from elsewhere.
import { cpSync, mkdirSync, rmSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist');
for (const file of ['manifest.json', 'panel.html', 'panel.js', 'background.js']) cpSync(file, `dist/${file}`);
const used = ['index.js', 'demo.js', 'worker.js', 'wasm/rullama_web_bg.wasm', 'wasm/rullama_grammar_bg.wasm', 'rullama-demo.gguf'];
for (const file of used) cpSync(`node_modules/rullama/dist/${file}`, `dist/rullama/${file}`, { recursive: true });
