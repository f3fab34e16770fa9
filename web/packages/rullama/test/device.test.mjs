import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchDevices } from '../../../dist-test/internals.js';

/** A GPU whose adapter has `features`; remembers what was asked for. */
function gpuWith(features) {
  const asked = [];
  const device = new EventTarget();
  device.lost = new Promise((resolve) => (device.lose = resolve));
  class Adapter {
    features = new Set(features);
    async requestDevice(descriptor) {
      asked.push(descriptor);
      return device;
    }
  }
  return { asked, device, gpu: { requestAdapter: async () => new Adapter(), wgslLanguageFeatures: new Set(['x']) } };
}

test('without WebGPU or adapter the error says so', async () => {
  const watch = { plain: false, onLost() {} };
  await assert.rejects(watchDevices(undefined, watch), { code: 'no-webgpu' });
  await assert.rejects(watchDevices({ requestAdapter: async () => null }, watch), { code: 'no-webgpu' });
});

test('subgroups are added to a request, once, when the adapter has them', async () => {
  const { gpu, asked } = gpuWith(['subgroups']);
  await watchDevices(gpu, { plain: false, onLost() {} });
  const grant = await watchDevices(gpu, { plain: false, onLost() {} });
  assert.deepEqual(grant, { subgroups: true, adapterName: '' });
  await (await gpu.requestAdapter()).requestDevice({ requiredFeatures: ['timestamp-query'], label: 'l' });
  assert.deepEqual(asked, [{ requiredFeatures: ['timestamp-query', 'subgroups'], label: 'l' }]);
});

test('nothing is added for a plain device or an adapter without them', async () => {
  const plain = gpuWith(['subgroups']);
  assert.equal((await watchDevices(plain.gpu, { plain: true, onLost() {} })).subgroups, false);
  await (await plain.gpu.requestAdapter()).requestDevice();
  const poor = gpuWith([]);
  assert.equal((await watchDevices(poor.gpu, { plain: false, onLost() {} })).subgroups, false);
  await (await poor.gpu.requestAdapter()).requestDevice();
  assert.deepEqual([plain.asked[0].requiredFeatures, poor.asked[0].requiredFeatures], [[], []]);
});

test('a lost device is reported, whatever the reason', async () => {
  for (const [reason, message] of [['unknown', 'The driver hung.'], ['destroyed', '']]) {
    const { gpu, device } = gpuWith([]);
    let seen;
    await watchDevices(gpu, { plain: false, onLost: (error) => (seen = error) });
    await (await gpu.requestAdapter()).requestDevice();
    device.lose({ reason, message });
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(seen.code, 'device-lost');
    assert.match(seen.message, /lost: (The driver hung|no reason given)\.$/);
  }
});

test('work that the GPU refuses makes the engine unusable', async () => {
  const { gpu, device } = gpuWith([]);
  let seen;
  await watchDevices(gpu, { plain: false, onLost: (error) => (seen = error) });
  await (await gpu.requestAdapter()).requestDevice();
  device.dispatchEvent(Object.assign(new Event('uncapturederror'), { error: { message: 'bad binding' } }));
  assert.match(seen.message, /bad binding/);
});
