// The entry for Node, as far as it goes without a GPU.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadInNode, RullamaError } from '../dist/node.js';

test('a file that cannot be had is named', async () => {
  for (const address of [new URL('file:///none/model.gguf'), 'file:///none/model.gguf', 'file://host/model.gguf']) {
    const failed = (error) => error instanceof RullamaError && error.code === 'invalid-argument' && error.message.includes('model.gguf');
    await assert.rejects(loadInNode(address), failed);
  }
});

test('the demo model is a file beside its module', async () => {
  const { demo } = await import('../dist/demo.js');
  const { size } = await import('node:fs').then(({ statSync }) => statSync(new URL(demo.file)));
  assert.equal(size, demo.bytes);
});
