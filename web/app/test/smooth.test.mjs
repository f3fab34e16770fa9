// The smoothed loss of the chart: against its definition.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { smoothed, spanOf } from '../../dist-test/app.js';

test('each value is the weighted mean of those up to it', () => {
  const values = [3, 1, null, 4, 1, 5, null, 9, 2, 6];
  const span = 4;
  const got = smoothed(values, span);
  for (const [at, value] of values.entries()) {
    if (value === null) {
      assert.equal(got[at], null);
      continue;
    }
    const before = values.slice(0, at + 1).filter((v) => v !== null).reverse();
    const weights = before.map((_, i) => (1 - 1 / span) ** i);
    const mean = before.reduce((sum, v, i) => sum + v * weights[i], 0) / weights.reduce((a, b) => a + b);
    assert.ok(Math.abs(got[at] - mean) < 1e-12, `${at}: ${got[at]} ${mean}`);
  }
  assert.equal(got[0], 3);
  assert.deepEqual(smoothed([], 4), []);
  assert.deepEqual(smoothed([2, 7], 1), [2, 7]);
});

test('noise becomes small, and a trend stays', () => {
  const noisy = Array.from({ length: 300 }, (_, i) => 5 - i / 100 + (i % 2 ? 1 : -1));
  const course = smoothed(noisy, spanOf(300)).slice(60);
  const jumps = course.slice(1).map((v, i) => Math.abs(v - course[i]));
  assert.ok(Math.max(...jumps) < 0.15, `${Math.max(...jumps)}`);
  assert.ok(course.at(-1) < course[0] - 2);
  assert.equal(spanOf(10), 4);
});
