// What answers look like on the page: the samples of `answers`, written piece by piece, under the page's own policy.
//
// Needs app/dist and dist-test (npm run build:dev).
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { ask, finished, openLoadedAt } from './person.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const shots = path.join(here, 'screenshots');
const samples = Object.fromEntries(
  readdirSync(path.join(here, 'answers')).map((file) => [path.basename(file, '.md'), readFileSync(path.join(here, 'answers', file), 'utf8')]),
);
/** Quadratic work would take longer even on an idle machine; busy ones take several times as long as idle ones. */
const BOUND_MS = 6000;

let site;
let browser;
let page;
let problems;

before(async () => {
  mkdirSync(shots, { recursive: true });
  site = await startServer({ '/test/': path.join(here, '../dist-test'), '/': path.join(here, '../app/dist') });
  browser = await startBrowser();
  ({ page, problems } = await openPage(browser.context, site.url));
  await page.evaluate(inPage);
});

after(async () => {
  await browser?.close();
  await site?.close();
});

/** Runs in the page: what the tests below call there. */
async function inPage() {
  const { MarkdownView } = await import('/test/rendering.js');
  const article = document.createElement('article');
  article.className = 'message model';
  document.querySelector('main').append(article);
  const fresh = () => {
    article.replaceChildren(document.createElement('div'));
    article.firstChild.className = 'body';
    return { root: article.firstChild, view: new MarkdownView(article.firstChild) };
  };
  const shown = (text, writing = false) => {
    const { root, view } = fresh();
    view.show(text, writing);
    return root;
  };
  // Formulas and colours come later the first time.
  const warm = shown('$x$\n\n```js\n1\n```');
  while (!warm.querySelector('math') || !warm.querySelector('.hljs-number')) await new Promise((resolve) => setTimeout(resolve, 20));
  /** The text that a reader has before them, apart from formulas. */
  const text = (root) => {
    const copy = root.cloneNode(true);
    for (const formula of copy.querySelectorAll('.formula, .tex')) formula.remove();
    return copy.textContent;
  };
  Object.assign(globalThis, { fresh, shown, readable: text });
}

/** The page's answer to `f`, which runs there. */
const ran = (f, ...values) => page.evaluate(f, ...values);

for (const [name, text] of Object.entries(samples)) {
  test(`${name}: wherever the text is cut on its way, the whole of it ends up the same`, async () => {
    const wrong = await ran((t) => {
      const { fresh, shown } = globalThis;
      const whole = shown(t).innerHTML;
      const { root, view } = fresh();
      for (let i = 1; i <= t.length; i++) view.show(t.slice(0, i), true);
      view.show(t, false);
      if (root.innerHTML !== whole) return `streamed: ${root.innerHTML}`;
      for (let i = 1; i < t.length; i += 3) {
        const cut = fresh();
        cut.view.show(t.slice(0, i), true);
        cut.view.show(t, false);
        if (cut.root.innerHTML !== whole) return `cut at ${i}: ${cut.root.innerHTML}`;
      }
      return '';
    }, text);
    assert.equal(wrong, '');
    assert.deepEqual(problems, []);
  });

  test(`${name}: what is shown stays where it is while more is written`, async () => {
    const found = await ran((t) => {
      const { fresh, readable } = globalThis;
      const { root, view } = fresh();
      const jumps = [];
      let nodes = [];
      let before = '';
      for (let i = 1; i <= t.length; i++) {
        view.show(t.slice(0, i), true);
        const now = [...root.children];
        const kept = nodes.slice(0, -1).every((node, k) => now[k] === node);
        if (!kept) jumps.push(`rebuilt at ${i}`);
        const text = readable(root);
        if (!text.startsWith(before)) jumps.push(`at ${i}: ${JSON.stringify(before.slice(-40))} then ${JSON.stringify(text.slice(-40))}`);
        nodes = now;
        before = text;
      }
      return jumps;
    }, text);
    assert.deepEqual(found, []);
  });
}

test('the same holds for pieces of Markdown in any order', async () => {
  const pieces = ['**', '*', '_', '~~', '`', '``', '\n```js\n', '\n```\n', '[', '](', '](http://a.b)', ']', '![', 'x', 'foo ', 'bar. ', '\n', '\n\n', '\n- ',
    '\n  - ', '\n1. ', '\n   ', '\n> ', '> ', '\n## ', '|', '\n|---|---|\n', '\n| a | b |\n', '$', '$$', '\\(', '\\)', '\\[', '\\]', '\n$$\n', '\n\\[\n', '\n\\]\n',
    'x^2', '$5 ', '<br>', '<b>', '<', '&amp;', '&', '\\', '[ ] ', '\n---\n', '\n===\n', 'http://a.b/c ', 'me@a.bc ', '\t', '    ', 'שלום ', '日本。', '[r]',
    '\n[r]: http://x.y\n', '!', '\r\n', '<http://a.b>', '~~~\n', ' "t")'];
  const found = await ran((parts) => {
    const { fresh, shown } = globalThis;
    let state = 7;
    const below = (n) => {
      state = (state + 0x6d2b79f5) | 0;
      const mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      return ((mixed ^ (mixed >>> 14)) >>> 0) % n;
    };
    const wrong = [];
    for (let round = 0; round < 300; round++) {
      const text = Array.from({ length: 3 + below(40) }, () => parts[below(parts.length)]).join('');
      const whole = shown(text).innerHTML;
      const { root, view } = fresh();
      let nodes = [];
      for (let i = 1; i <= text.length; i += 1 + below(4)) {
        view.show(text.slice(0, i), true);
        const now = [...root.children];
        if (!nodes.slice(0, -1).every((node, k) => now[k] === node)) wrong.push(`rebuilt at ${i}: ${JSON.stringify(text)}`);
        nodes = now;
      }
      view.show(text, false);
      if (root.innerHTML !== whole) wrong.push(JSON.stringify(text));
    }
    return wrong;
  }, pieces);
  assert.deepEqual(found, []);
});

test('the parts of a well written answer', async () => {
  const root = (selector) => `main .body ${selector}`;
  await ran((t) => void globalThis.shown(t), samples.mixed);
  const count = (selector) => page.locator(root(selector)).count();
  const texts = (selector) => page.locator(root(selector)).allInnerTexts();
  assert.deepEqual(await texts('> p > strong:not(em *)'), ['bold']);
  assert.deepEqual(await texts('em > strong'), ['both']);
  assert.deepEqual(await texts('s'), ['struck']);
  assert.deepEqual(await texts('> ol > li > ul > li > ul > li'), ['empty ones are dropped']);
  assert.equal(await count('> ol > li:nth-child(1) > p'), 2);
  assert.equal(await count('> ol > li:nth-child(2) > figure.code'), 1);
  assert.equal(await count('> ol'), 1);
  assert.deepEqual(await ran(() => [...document.querySelectorAll('main .task input')].map((box) => [box.checked, box.disabled])), [[true, true],
    [false, true]]);
  assert.equal(await count('table tbody tr'), 3);
  assert.deepEqual(await ran(() => [...document.querySelectorAll('main th')].map((cell) => cell.className)), ['align-left', 'align-center',
    'align-right', '']);
  assert.equal(await count('td br'), 1);
  assert.deepEqual(await texts('blockquote > blockquote'), ['within a quote']);
  assert.equal(await count('math'), 8);
  assert.equal(await count('.formula.display > math'), 2);
  assert.ok((await count('code .hljs-keyword')) >= 4);
  const links = await ran(() => [...document.querySelectorAll('main .body a')].map((a) => [a.getAttribute('href'), a.target, a.rel, a.textContent]));
  const there = ['_blank', 'noopener noreferrer'];
  assert.deepEqual(links, [
    ['https://example.com/a_(b)?c=d&e', ...there, 'the docs'],
    ['https://example.com/path', ...there, 'https://example.com/path'],
    ['mailto:help@example.com', ...there, 'help@example.com'],
    ['https://example.com/cat.png', ...there, 'A cat'],
  ]);
});

test('right-to-left text is laid out from the right, its lists, quotes and tables too', async () => {
  await ran((t) => void globalThis.shown(t), samples.rtl);
  const directions = (selector) => ran((s) => [...document.querySelectorAll(`main .body ${s}`)].map((e) => getComputedStyle(e).direction), selector);
  for (const block of ['h4', '> ol', '> ol > li:nth-child(-n+2)', '> ol ul', '> ol ul li', 'blockquote', 'blockquote p', 'table', '> ul li']) {
    const found = await directions(block);
    assert.ok(found.length > 0 && found.every((direction) => direction === 'rtl'), `${block}: ${found}`);
  }
  assert.deepEqual(await directions('> p'), ['rtl', 'rtl', 'ltr']);
  assert.deepEqual(await directions('> ol > li:last-child'), ['ltr']);
  assert.deepEqual(await ran(() => [...document.querySelectorAll('main .body :is(p, h4, li)')].filter((e) => !e.dir && !e.matches('li > p:first-child')).map((e) => e.outerHTML)), []);
  // The bullets and numbers are in the padding on the right.
  const [list, item] = await ran(() => ['ol', 'ol > li'].map((s) => document.querySelector(`main .body > ${s}`).getBoundingClientRect().right));
  assert.ok(list - item > 15, `${list} ${item}`);
});

/** What must never be in an answer, whatever the text. */
const intruders = () =>
  ran(() => {
    const allowed = /^(A|ANNOTATION|BLOCKQUOTE|BR|BUTTON|CODE|DIV|EM|FIGCAPTION|FIGURE|H[3-6]|HR|INPUT|LI|OL|P|PRE|S|SPAN|STRONG|TABLE|TBODY|TD|TH|THEAD|TR|UL)$/;
    const found = [];
    for (const element of document.querySelectorAll('main .body *')) {
      const mathml = element.namespaceURI.endsWith('MathML');
      if (!mathml && !allowed.test(element.nodeName)) found.push(element.nodeName);
      for (const { name, value } of element.attributes) {
        if (/^(on|style|src|srcset|action|formaction|xlink)/.test(name)) found.push(`${element.nodeName} ${name}`);
        if (name === 'href' && !/^(https?:\/\/|mailto:)/.test(value)) found.push(`${element.nodeName} ${value}`);
      }
    }
    return found;
  });

test('no text becomes an element, a style, a script or another address', async () => {
  for (const [name, text] of Object.entries(samples)) {
    await ran((t) => void globalThis.shown(t), text);
    assert.deepEqual(await intruders(), [], name);
  }
  const shown = await ran((t) => globalThis.shown(t).textContent, samples.hostile);
  for (const part of ['<script>alert(1)</script>', '<img src=x onerror=alert(1)>', '[a](javascript:alert(1))', '<svg/onload=alert(1)>',
    '<!-- comment -->']) {
    assert.ok(shown.includes(part), part);
  }
  assert.deepEqual(problems, []);
});

test('hostile text is laid out in bounded time', async () => {
  const cases = {
    quotes: `${'>'.repeat(10_000)} deep`, lists: `${'- '.repeat(10_000)}deep`, brackets: '['.repeat(10_000), emphasis: '*a_'.repeat(10_000),
    line: 'a'.repeat(1 << 20),
    words: 'word '.repeat(200_000), closers: `${'**a '.repeat(3000)}${'b** '.repeat(3000)}`, nested: '*a **b '.repeat(2000),
    table: `${'|a'.repeat(500)}\n${'|-'.repeat(500)}\n${'x\n'.repeat(100)}`,
    code: `\`\`\`js\n${'x'.repeat(1 << 20)}\n\`\`\``, 'code lines': `\`\`\`js\n${'let x = 1;\n'.repeat(60_000)}\`\`\``,
  };
  for (const [name, text] of Object.entries(cases)) {
    const [took, kept] = await ran((t) => {
      const start = performance.now();
      globalThis.shown(t, true);
      const root = globalThis.shown(t);
      return [performance.now() - start, root.textContent.length];
    }, text);
    assert.ok(took < BOUND_MS, `${name}: ${took} ms`);
    assert.ok(kept > 0, name);
  }
  assert.match(await ran((t) => globalThis.shown(t).textContent, cases.quotes), /deep$/);
  assert.match(await ran((t) => globalThis.shown(t).textContent, cases.lists), /deep$/);
});

test('hostile formulas are set in bounded time, or shown as written', async () => {
  const cases = {
    braces: '{'.repeat(2400), closed: '{'.repeat(2400) + '}'.repeat(2400), fractions: '\\frac'.repeat(900), powers: 'x^'.repeat(2000),
    nested: '\\sqrt{'.repeat(700) + '}'.repeat(700),
    macro: '\\def\\a{\\a\\a}\\a', doubling: '\\def\\a{xx}\\def\\b{\\a\\a\\a\\a}\\def\\c{\\b\\b\\b\\b}\\def\\d{\\c\\c\\c\\c}\\d\\d\\d\\d\\d\\d',
    matrices: '\\begin{pmatrix}'.repeat(300),
    rule: '\\rule{99999em}{99999em}', letters: 'x'.repeat(4900), unknown: '\\nothing', half: '\\frac{1}', lefts: '\\left('.repeat(700),
      colours: '\\color{red}x'.repeat(400),
  };
  for (const [name, text] of Object.entries(cases)) {
    const took = await ran((t) => {
      const start = performance.now();
      const root = globalThis.shown(`\\[\n${t}\n\\]`);
      if (!root.textContent.includes(t) && !root.querySelector('math')) throw new Error('lost');
      root.getBoundingClientRect();
      return performance.now() - start;
    }, text);
    assert.ok(took < BOUND_MS, `${name}: ${took} ms`);
    assert.deepEqual(await intruders(), [], name);
  }
  const widths = await ran(() => (globalThis.shown('$$\\rule{99999em}{99999em}$$'), [document.documentElement.scrollWidth,
    document.documentElement.clientWidth]));
  assert.equal(widths[0], widths[1]);
});

test('no code takes the highlighter long', async () => {
  const units = ['a', '"', '(', '${', 'foo bar ', '-', '&a;', 'a.', 'foo\n'];
  const languages = ['bash', 'c', 'cpp', 'csharp', 'css', 'diff', 'go', 'html', 'java', 'js', 'json', 'kotlin', 'lua', 'md', 'php', 'py', 'r',
    'ruby', 'rust', 'sql', 'swift', 'toml', 'ts', 'yaml'];
  const slow = await ran(async ({ units, languages }) => {
    const { COLOURED, highlight } = await import('/test/rendering.js');
    const length = COLOURED.closed;
    const found = [];
    for (const language of languages) {
      if (!highlight('a "b" 1', language)) found.push(`${language} is not known`);
      for (const unit of units) {
        // As monstrous as the highlighter's own limits let pass.
        const raw = unit.repeat(Math.ceil(length / unit.length)).replace(/\w{90}/g, '$& ').replace(/[^\n]{390}/g, '$&\n').replace(/\s{190}/g, '$&x');
        const start = performance.now();
        highlight(raw.slice(0, length), language);
        const took = performance.now() - start;
        if (took > 6000) found.push(`${language} ${JSON.stringify(unit)}: ${took} ms`);
      }
    }
    return found;
  }, { units, languages });
  assert.deepEqual(slow, []);
});

test('what lays out answers is loaded when it is first needed, formulas and colours too', async () => {
  const before = site.requests.length;
  const opened = await openLoadedAt(browser.context, `${site.url}/?fake=1`);
  const loaded = () => site.requests.slice(before).map(({ pathname }) => pathname.slice(1)).filter((name) => /^(markdown|highlight|mathml)\.js$/.test(name));
  assert.deepEqual(loaded(), []);
  await ask(opened.page, 'say\nJust **words**.');
  await finished(opened.page, 1);
  assert.deepEqual(loaded(), ['markdown.js']);
  await ask(opened.page, 'say\nA formula: $x^2$');
  await finished(opened.page, 2);
  await opened.page.waitForSelector('.message.model math');
  await ask(opened.page, 'say\n```js\nlet x = 1;\n```');
  await finished(opened.page, 3);
  await opened.page.waitForSelector('.message.model .hljs-keyword');
  assert.deepEqual(loaded(), ['markdown.js', 'mathml.js', 'highlight.js']);
  assert.deepEqual(opened.problems, []);
  await opened.page.close();
});

test('an answer can be read when what lays it out cannot be loaded', async () => {
  const broken = await startServer({ '/': path.join(here, '../app/dist') }, { fail: (pathname) => (pathname === '/markdown.js' ? 503 : 0) });
  const opened = await openLoadedAt(browser.context, `${broken.url}/?fake=1`);
  await ask(opened.page, 'say\n- **one**\n- <b>two</b>');
  await finished(opened.page, 1);
  assert.equal(await opened.page.locator('.message.model .body').innerText(), '- **one**\n- <b>two</b>');
  await opened.page.close();
  await broken.close();
});

test('code is copied as it was written', async () => {
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const opened = await openLoadedAt(browser.context, `${site.url}/?fake=1`);
  await ask(opened.page, `say\n${samples.code}`);
  await finished(opened.page, 1);
  await opened.page.locator('figure.code button').first().click();
  await opened.page.waitForFunction(() => document.querySelector('figure.code button').textContent === 'Copied');
  const copied = await opened.page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, samples.code.split('```')[1].replace('rust\n', '').trimEnd());
  await opened.page.close();
});

for (const [name, options] of Object.entries({
  light: { viewport: { width: 1000, height: 900 } },
  dark: { viewport: { width: 1000, height: 900 }, colorScheme: 'dark' },
  narrow: { viewport: { width: 390, height: 800 } },
})) {
  test(`answers fit their window: ${name}`, async () => {
    const opened = await openLoadedAt(browser.context, `${site.url}/?fake=1`, options);
    const shown = ['mixed', 'rtl', 'formulas', 'code', 'lists', 'wide'];
    for (const [i, sample] of shown.entries()) {
      await ask(opened.page, `say\n${samples[sample]}`);
      await finished(opened.page, i + 1);
    }
    await opened.page.waitForTimeout(300);
    await opened.page.screenshot({ path: path.join(shots, `answers-${name}.png`), fullPage: true });
    assert.equal(await opened.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
    assert.deepEqual(opened.problems, []);
    await opened.page.close();
  });
}
