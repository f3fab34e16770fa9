import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, ERROR_CODES, fakeOpener, localPair, RullamaError, serve } from '../../../dist-test/internals.js';
import { declaredInfo } from './declared.mjs';

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

test('advice that only the program can follow is replaced', () => {
  for (const remedy of ["Give a .gguf file or a name from Ollama's store.", 'Run `rullama doctor`.', 'Give more with --memory.']) {
    const error = RullamaError.from({ code: 'model-format', message: 'x', remedy });
    assert.equal(error.remedy, new RullamaError('model-format', 'x').remedy);
  }
  assert.equal(RullamaError.from({ code: 'model-format', message: 'x', remedy: 'Convert it anew.' }).remedy, 'Convert it anew.');
});

test('every property of what was loaded is declared', async () => {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const info = await new Client(end).call('load', { source: { url: 'http://localhost/m.gguf' }, options: {} });
  assert.deepEqual(Object.keys(info).sort(), declaredInfo());
});
