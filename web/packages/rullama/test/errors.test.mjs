import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERROR_CODES, RullamaError } from '../../../dist-test/internals.js';

test('every code has a remedy', () => {
  for (const code of ERROR_CODES) assert.match(new RullamaError(code, 'x').remedy, /\w.*\.$/, code);
});

test('an error survives its journey as data', () => {
  const sent = new RullamaError('limits', 'A tensor of 5 GB.', { remedy: 'Choose Q4_0.' });
  const received = RullamaError.from(structuredClone(sent.toData()));
  assert.deepEqual(received.toData(), sent.toData());
  assert.ok(received instanceof RullamaError && received instanceof Error);
});

test('foreign errors get the code that fits', () => {
  assert.equal(RullamaError.from(new DOMException('x', 'QuotaExceededError')).code, 'quota');
  assert.equal(RullamaError.from(new DOMException('x', 'AbortError')).code, 'cancelled');
  assert.equal(RullamaError.from(new WebAssembly.RuntimeError('unreachable')).code, 'internal');
  assert.equal(RullamaError.from('text').message, 'text');
  // Something that merely resembles error data must not pass with an unknown code.
  assert.equal(RullamaError.from({ code: 'no-such-code', message: 'x' }).code, 'internal');
});

test('cancelling is named as fetch names it', () => {
  assert.equal(new RullamaError('cancelled', 'x').name, 'AbortError');
});
