import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBlocks, parseSpans } from '../../dist-test/markdown.js';

const kinds = (text) => parseBlocks(text).map((b) => b.kind);

test('blocks', () => {
  assert.deepEqual(kinds('a\nb\n\nc'), ['paragraph', 'paragraph']);
  assert.deepEqual(kinds('# t\ntext\n- a\n- b\n1. c\n> q\n---'), ['heading', 'paragraph', 'list', 'list', 'quote', 'rule']);
  assert.deepEqual(parseBlocks('- a\n- b\n  more')[0].items, ['a', 'b\nmore']);
  assert.equal(parseBlocks('3. a\n4. b')[0].start, 3);
});

test('a code block keeps everything and may be unfinished', () => {
  assert.deepEqual(parseBlocks('```rust\n# no heading\n\n- no list\n```\nafter'), [
    { kind: 'code', text: '# no heading\n\n- no list', language: 'rust' },
    { kind: 'paragraph', text: 'after', level: 0 },
  ]);
  assert.deepEqual(parseBlocks('```\nlet a'), [{ kind: 'code', text: 'let a', language: '' }]);
});

test('spans', () => {
  assert.deepEqual(parseSpans('a **b** `c*d*` *e* [f](https://x.y/z)'), [
    { kind: 'text', text: 'a ' },
    { kind: 'bold', text: 'b' },
    { kind: 'text', text: ' ' },
    { kind: 'code', text: 'c*d*' },
    { kind: 'text', text: ' ' },
    { kind: 'emphasis', text: 'e' },
    { kind: 'text', text: ' ' },
    { kind: 'link', text: 'f', href: 'https://x.y/z' },
  ]);
});

test('marks that mean nothing stay text', () => {
  for (const text of ['2 * 3 * 4', 'snake_case_name', '**open', '[x](javascript:alert(1))', '<b>x</b>', '*']) {
    assert.deepEqual(parseSpans(text), [{ kind: 'text', text }]);
  }
});

test('long and hostile text is parsed in linear time', () => {
  for (const text of ['*'.repeat(50_000), '`'.repeat(50_000), '['.repeat(50_000), '_a '.repeat(20_000), '> '.repeat(20_000)]) {
    const before = performance.now();
    parseBlocks(text);
    parseSpans(text);
    assert.ok(performance.now() - before < 1000, text.slice(0, 3));
  }
});
