// axe-core on a page that is shown. The browser must let it in (`bypassCSP`): the page's policy keeps out scripts that are not its own.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Asserts that axe finds nothing on what is shown, light and dark. */
export async function clean(page, what) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.addScriptTag({ content: axe });
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // Of the two only colours differ.
    const runOnly = colorScheme === 'light' ? { type: 'tag', values: TAGS } : { type: 'rule', values: ['color-contrast'] };
    const found = await page.evaluate(async (runOnly) => {
      const { violations, passes } = await globalThis.axe.run(document, { runOnly, resultTypes: ['violations'] });
      // In which order an answer has its headings is for the model. A menu has the focus while it is open, wherever it stands.
      const others = { 'heading-order': '.message .body', region: '[role=menu]' };
      const ours = ({ id }, { target }) => !(id in others && document.querySelector(target[0])?.closest(others[id]));
      const texts = violations.map((found) => [found.id, found.nodes.filter((node) => ours(found, node)).map(({ html, any }) => `${html.slice(0, 120)} ${any[0]?.message ?? ''}`)]);
      return { passes: passes.length, violations: texts.filter(([, nodes]) => nodes.length > 0).map(([id, nodes]) => `${id}: ${nodes.join(' | ')}`) };
    }, runOnly);
    assert.deepEqual(found.violations, [], `${what}, ${colorScheme}`);
    assert.ok(found.passes >= (colorScheme === 'light' ? 10 : 1), `${what}: axe looked at something`);
  }
}
