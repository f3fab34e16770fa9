import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directionOf, MAX_NESTING, parse } from '../../dist-test/rendering.js';

/** The tokens of a text in short: `name` or `name=content`, closing ones left out. */
function outline(text, writing = false) {
  const short = (token) => token.type.replace(/_open$/, '') + (token.content ? `=${token.content}` : '');
  const tokens = parse(text, writing).flatMap((block) => block.tokens.flatMap((token) => token.children ?? [token]));
  return tokens.filter((token) => token.nesting >= 0 && !(token.type === 'text' && token.content === '')).map(short);
}

test('blocks know where they are in the text', () => {
  const text = '# a\n\ntext\r\nmore\n- one\n  two\n\n```js\nx\n```\nend';
  assert.deepEqual(parse(text).map(({ start, end }) => text.slice(start, end)), ['# a\n', 'text\r\nmore\n', '- one\n  two\n\n',
    '```js\nx\n```\n', 'end']);
});

test('what GitHub adds to Markdown', () => {
  assert.deepEqual(outline('***a*** ~~b~~ `c`'), ['paragraph', 'em', 'strong', 'text=a', 'text= ', 's', 'text=b', 'text= ', 'code_inline=c']);
  assert.deepEqual(outline('|a|b|\n|-|:-:|\n|1|2|').filter((name) => !name.includes('=')), ['table', 'thead', 'tr', 'th', 'th', 'tbody', 'tr',
    'td', 'td']);
  assert.deepEqual(outline('a\nb<br>c'), ['paragraph', 'text=a', 'softbreak', 'text=b', 'hardbreak', 'text=c']);
});

test('emphasis beside letters that know no spaces', () => {
  assert.deepEqual(outline('これは**「重要」**です'), ['paragraph', 'text=これは', 'strong', 'text=「重要」', 'text=です']);
});

test('bare links, and what is none', () => {
  const links = (text) => parse(text)[0].tokens[1].children.filter((token) => token.type === 'link_open').map((token) => token.attrGet('href'));
  assert.deepEqual(links('https://x.y/a, (http://x.y/b) <https://x.y/c> www.x.org/d me@x.org.'),
    ['https://x.y/a', 'http://x.y/b', 'https://x.y/c', 'https://www.x.org/d', 'mailto:me@x.org']);
  for (const text of ['main.rs and README.md', 'ftp://x.y', 'javascript:alert(1)', '[x](javascript:alert(1))', '[x](JAVASCRIPT:x)',
    '[x](java&#115;cript:x)', '[x](data:text/html,x)', '![x](data:image/png;base64,aa)', '[x](file:///etc)', '[x](blob:x)', '<vbscript:x>']) {
    assert.deepEqual(links(text), [], text);
  }
});

test('formulas in a line', () => {
  const formulas = (text) => outline(text).filter((name) => name.startsWith('formula')).map((name) => name.slice(8));
  assert.deepEqual(formulas('$x$, \\(y\\) and $$z$$ or \\[w\\].'), ['x', 'y', 'z', 'w']);
  assert.deepEqual(formulas('$a_1 * b_1 * c$ and $2x$ and $\\$5$'), ['a_1 * b_1 * c', '2x', '\\$5']);
  assert.deepEqual(formulas('| $a$ | b |\n|-|-|\n| 1 | $c$ |'), ['a', 'c']);
});

test('money and code are no formulas', () => {
  for (const text of ['$5 and $10', 'US$5 to US$10', '$20 for a book, 30$ for two', '$5-$10', 'from $1.50, up to 2$.', '5$', '$', '$$', '`$x$`',
    '\\$x$',
    '$ x $', '$5, not $10; in total US$']) {
    assert.ok(!outline(text).some((name) => name.startsWith('formula')), text);
  }
});

test('formulas set apart', () => {
  assert.deepEqual(outline('a\n$$\nx\n\ny\n$$\nb'), ['paragraph', 'text=a', 'formula_block=\nx\n\ny\n', 'paragraph', 'text=b']);
  assert.deepEqual(outline('1. a\n   \\[\n   x\n   \\]\n2. b').filter((name) => name.startsWith('formula')), ['formula_block=\nx\n']);
  assert.deepEqual(outline('> $$x$$'), ['blockquote', 'formula_block=x']);
  assert.ok(!outline('$$\nnever closed\n\ntext').includes('formula_block'));
});

test('what is not finished is closed or kept back', () => {
  const texts = (partial) => outline(partial, true).filter((name) => /^(text|code_inline)=/.test(name));
  const text = (partial) => texts(partial).map((name) => name.replace(/^\w+=/, '')).join('');
  const same = { 'a **b': 'a b', 'a **b*': 'a b', '***b': 'b', '~~b': 'b', 'a `b': 'a b', '__b_': 'b', '**a *b** c': 'a b c' };
  const kept = ['a [b', 'a [b]', 'a [b](http', 'a [b](http://x.y/(z', 'a [b](http://x "t', 'a ![b](x', 'a <http', 'a &am', 'a $x',
    'a $2 \\times', 'a \\(x', 'a $$x$',
    'a \\', 'a **', 'a <br', 'a !', 'a\n-', 'a\n| b | c |', 'a\n```py', 'a\n12'];
  for (const [partial, shown] of Object.entries(same)) assert.equal(text(partial), shown, partial);
  for (const partial of kept) assert.equal(text(partial).trim(), 'a', partial);
  for (const whole of ['a [b] c', 'a $5 for', 'a & b', 'a < b', 'a! b', 'a\n\nb!\n\n']) assert.ok(text(whole).length > 2, whole);
});

test('a long wait ends', () => {
  for (const start of ['[', '$x', '\\(', '[a](', '<a']) assert.match(outline(`a ${start}${'b'.repeat(900)}`, true).join(''), /bbbb/);
});

test('the direction of a text is that of its first letter', () => {
  assert.equal(directionOf('1. «שלום» a'), 'rtl');
  assert.equal(directionOf('- مرحبا'), 'rtl');
  assert.equal(directionOf('a שלום'), 'ltr');
  assert.equal(directionOf('123 …'), undefined);
});

const HOSTILE = {
  quotes: '>'.repeat(10_000) + 'x', 'spaced quotes': '> '.repeat(10_000) + 'x', brackets: '['.repeat(10_000), links: '[a]('.repeat(10_000),
    images: '!['.repeat(10_000),
  closed: '[a](b)'.repeat(10_000), stars: '*'.repeat(50_000), emphasis: '*a_'.repeat(20_000), strike: '~~a'.repeat(20_000),
  ticks: '`a``b'.repeat(10_000),
  'growing ticks': Array.from({ length: 400 }, (_, i) => '`'.repeat(i)).join(' '), dollars: ' $a'.repeat(20_000),
  'dollar digits': '$1'.repeat(30_000),
  'open formulas': '\\('.repeat(30_000), 'formula lines': '\\[\n'.repeat(20_000), 'dollar lines': '$$ a\n'.repeat(20_000), lists: '- '.repeat(10_000),
  'deep list': Array.from({ length: 700 }, (_, i) => `${' '.repeat(2 * i)}- a`).join('\n'), pipes: '|'.repeat(50_000),
  'wide table': `${'|a'.repeat(900)}\n${'|-'.repeat(900)}\n${'x\n'.repeat(900)}`,
  entities: '&'.repeat(50_000), angles: '<'.repeat(50_000), tags: '<a '.repeat(20_000), escapes: '\\'.repeat(50_000),
  references: '[a]: b\n'.repeat(10_000),
  'a line': 'a'.repeat(1 << 20), words: 'word '.repeat(200_000), addresses: 'http://a.b'.repeat(10_000), mails: 'a@'.repeat(20_000),
  dots: 'www.'.repeat(20_000),
  fences: '```\n'.repeat(20_000), rules: '-'.repeat(100_000), headings: '# '.repeat(30_000), spaces: ' '.repeat(200_000) + 'x',
  lines: '\n'.repeat(200_000), nulls: '\0'.repeat(50_000),
};

for (const [name, text] of Object.entries(HOSTILE)) {
  test(`${name}: parsed in bounded time, finished or not`, () => {
    for (const writing of [false, true]) {
      const start = performance.now();
      parse(text, writing);
      const took = performance.now() - start;
      assert.ok(took < 6000, `${took} ms, writing: ${writing}`);
    }
  });
}

test('what is nested too deep is there as a block', () => {
  const [block, ...more] = parse(`${'>'.repeat(1000)}x`);
  assert.equal(more.length, 0);
  assert.ok(block.tokens.some((token) => token.level >= MAX_NESTING - 1));
});
