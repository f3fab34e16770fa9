// What to do without WebGPU, by browser and system; and what takes less memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lighter, remedyBlocked, remedyWithout } from '../../dist-test/app.js';

const CHROME = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';
const SAFARI = 'AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15';

test('each browser on each system has its remedy', () => {
  for (const [agent, remedy, touch] of [
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME}`, /since version 113/],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME} Edg/140.0.0.0`, /since version 113/],
    [`Mozilla/5.0 (X11; Linux x86_64) ${CHROME}`, /enable-unsafe-webgpu/],
    [`Mozilla/5.0 (Linux; Android 10; K) ${CHROME}`, /121/],
    [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${CHROME}`, /since version 113/],
    [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${SAFARI}`, /Safari 26/],
    [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${SAFARI}`, /iPadOS 26/, 5],
    [`Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/123.0 Mobile/15E148 Safari/604.1`, /iOS/, 5],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0', /141/],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:140.0) Gecko/20100101 Firefox/140.0', /145/],
    ['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', /Use Chrome or Edge/],
    ['', /Safari|Chrome/],
  ]) {
    assert.match(remedyWithout(agent, touch), remedy, agent);
    assert.match(remedyBlocked(agent), /driver|Restart|restart/, agent);
  }
});

test('what takes less is less than before, and ends', () => {
  const labels = (options, info) => lighter(options, info).map(({ label }) => label);
  const bits = 'Keep the context in 8 bits';
  assert.deepEqual(labels({}), ['Stream per-layer embeddings (E2B, E4B)', bits, 'Load with a context of 4,096']);
  assert.deepEqual(labels({ ple: 'streamed', context: 32_768, kv: 'q8' }), ['Load with a context of 4,096']);
  assert.deepEqual(labels({}, { ple: 'none', context: 4096, kv: 'f32' }), [bits, 'Load with a context of 2,048']);
  assert.deepEqual(labels({}, { ple: 'resident', context: 1000, kv: 'q8' }), ['Stream the per-layer embeddings']);
  let options = { context: 200_000, kv: 'q8' };
  const contexts = [];
  for (let next = lighter(options).at(-1); next?.options.context; next = lighter({ ...next.options, ple: 'streamed' }).at(-1)) contexts.push(next.options.context);
  assert.deepEqual(contexts, [4096, 2048, 1024, 512]);
});
