// The judge of the held-out set: the same cases as in crates/rullama/src/score.rs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRight, onlyIds } from './judge.mjs';

const reply = (parts) => ({ content: '', thinking: '', toolCalls: [], ...parts });
const calls = [{ name: 'price', arguments: { a: 1, b: 'x' } }];

test('every part of the one expected answer must be equal', () => {
  const expected = { thinking: 'Hm.', tool_calls: calls };
  assert.ok(isRight(expected, reply({ content: '\n', thinking: 'Hm. ', toolCalls: [{ name: 'price', arguments: { b: 'x', a: 1 } }] })));
  for (const wrong of [{ thinking: 'Hm.' }, { toolCalls: calls }, { thinking: 'hm.', toolCalls: calls }, { content: 'Yes', thinking: 'Hm.', toolCalls: calls }]) {
    assert.ok(!isRight(expected, reply(wrong)), JSON.stringify(wrong));
  }
});

test('any of several expected answers is right', () => {
  const expected = [{ content: 'Heads.' }, { content: 'Tails.', thinking: 'Hm.' }, { tool_calls: calls }];
  for (const right of [{ content: 'Heads.\n' }, { content: 'Tails.', thinking: 'Hm.' }, { toolCalls: calls }]) assert.ok(isRight(expected, reply(right)));
  for (const wrong of [{}, { content: 'Tails.' }, { content: 'Heads.', thinking: 'Hm.' }]) assert.ok(!isRight(expected, reply(wrong)), JSON.stringify(wrong));
  assert.ok(!isRight([], reply({})));
});

test('ids are compared where one answer is right', () => {
  const reference = { ids: [5, 106] };
  assert.deepEqual(onlyIds({ expected: { content: '4' }, reference }), [5, 106]);
  assert.deepEqual(onlyIds({ expected: [{ content: '4' }], reference }), [5, 106]);
  assert.equal(onlyIds({ expected: [{ content: '4' }, { content: 'four' }], reference }), undefined);
  assert.equal(onlyIds({ expected: { content: '4' } }), undefined);
});
