// When keys that were kept are given back: where that was measured to be faster, on this adapter with this model.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { fade, isWorthIt, learnPrompt, learnRestore, paceKey, paceOf, secondsToCompute, secondsToRestore } from '../../dist-test/app.js';

const kept = new Map();
globalThis.localStorage ??= {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => void kept.set(key, value),
  removeItem: (key) => void kept.delete(key),
};
beforeEach(() => localStorage.removeItem('rullama.paces'));

const answer = (prefilledTokens, prefillS) => ({ timings: { prefilledTokens, prefillS } });

test('what was not measured is computed, and a restore is tried once the prompt was', () => {
  assert.equal(isWorthIt(paceOf('a'), 1000, 1e6), false);
  learnPrompt('a', answer(8, 10));
  assert.deepEqual(paceOf('a'), {}, 'few tokens say nothing');
  learnPrompt('a', answer(500, 1));
  assert.equal(secondsToCompute(paceOf('a'), 1000), 2);
  assert.equal(isWorthIt(paceOf('a'), 1000, 50e6), true);
  assert.equal(isWorthIt(paceOf('a'), 5, 1e3), false, 'ten milliseconds are not worth a file');
  assert.equal(isWorthIt(paceOf('b'), 1000, 1e6), false, 'another adapter or model was not measured');
});

test('the times decide, and a bad one does not decide for ever', () => {
  learnPrompt('a', answer(500, 1));
  learnRestore('a', 50e6, 5.03);
  assert.equal(Math.round(paceOf('a').restored), 10e6);
  assert.equal(isWorthIt(paceOf('a'), 1000, 50e6), false);
  assert.equal(isWorthIt(paceOf('a'), 1000, 10e6), true);
  let tries = 0;
  for (; !isWorthIt(paceOf('a'), 1000, 50e6); tries += 1) fade('a');
  assert.ok(tries > 3 && tries < 20, `${tries}`);
  learnRestore('a', 100e6, 0.53);
  assert.ok(paceOf('a').restored > 50e6);
});

test('a small restore tells what any costs, and nothing of the speed', () => {
  learnRestore('a', 127e3, 0.09);
  assert.deepEqual(paceOf('a'), { opening: 0.09 });
  assert.ok(secondsToRestore(paceOf('a'), 60e6) < 0.2);
});

test('prompts that are slow by the token count little, and what is kept may be damaged', () => {
  learnPrompt('a', answer(2000, 2));
  learnPrompt('a', answer(20, 0.2));
  assert.equal(Math.round(paceOf('a').prompt), 820);
  for (const text of ['{"a": {"prompt": -3, "restored": "fast"}}', '[]', '{', 'null', '{"a": null}']) {
    localStorage.setItem('rullama.paces', text);
    assert.deepEqual(paceOf('a'), {}, text);
  }
  for (let i = 0; i < 40; i += 1) learnPrompt(`model ${i}`, answer(100, 1));
  assert.equal(Object.keys(JSON.parse(localStorage.getItem('rullama.paces'))).length, 16);
  const info = { device: 'x', driver: '', name: 'm', layers: 1, dim: 2, kv: 'f16' };
  assert.notEqual(paceKey(info), paceKey({ ...info, kv: 'q8' }));
});
