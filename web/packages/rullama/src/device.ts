// Watches and widens the WebGPU device that the engine asks for.
//
// wgpu's WebGPU backend never requests `subgroups`, and offers no view of a lost device from JavaScript. Both are
// done here, where the request passes by.

import type { DeviceGrant } from './engine.ts';
import { RullamaError } from './errors.ts';

/** Features added to a device request when the adapter has them. */
const EXTRA_FEATURES = ['subgroups'] as const;

export interface Watch {
  /** Add no features: the device is what every WebGPU device must be. */
  plain: boolean;
  /** The device is gone, or has silently dropped work: nothing it computed can be trusted. */
  onLost: (error: RullamaError) => void;
}

/**
 * Wraps `GPUAdapter.requestDevice` for the requests that follow and says what they will get.
 *
 * @throws RullamaError `no-webgpu` when there is no WebGPU or no adapter.
 */
export async function watchDevices(gpu: GPU | undefined, watch: Watch): Promise<DeviceGrant> {
  if (!gpu) throw new RullamaError('no-webgpu', 'This browser does not offer WebGPU here.');
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new RullamaError('no-webgpu', 'WebGPU is there, but no graphics adapter answers.');
  wrapRequestDevice(adapter, watch);
  return {
    subgroups: !watch.plain && adapter.features.has('subgroups'),
    adapterName: nameOf(adapter.info),
  };
}

/** The adapter in the browser's words, as far as it tells. */
function nameOf(info: GPUAdapterInfo | undefined): string {
  return info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(' ');
}

type RequestDevice = GPUAdapter['requestDevice'];
const ORIGINAL = Symbol('requestDevice');

function wrapRequestDevice(adapter: GPUAdapter, watch: Watch): void {
  const prototype = Object.getPrototypeOf(adapter) as GPUAdapter & { [ORIGINAL]?: RequestDevice };
  const original = (prototype[ORIGINAL] ??= prototype.requestDevice);
  prototype.requestDevice = async function (this: GPUAdapter, descriptor: GPUDeviceDescriptor = {}) {
    const extra = watch.plain ? [] : EXTRA_FEATURES.filter((name) => this.features.has(name));
    const requiredFeatures = [...new Set([...(descriptor.requiredFeatures ?? []), ...extra])] as GPUFeatureName[];
    const device = await original.call(this, { ...descriptor, requiredFeatures });
    observe(device, watch);
    return device;
  };
}

function observe(device: GPUDevice, watch: Watch): void {
  // Whatever the reason: an engine that closes only drops its device, so one that is destroyed was taken away.
  void device.lost.then(({ message }) => {
    const why = message.replace(/[.\s]+$/, '') || 'no reason given';
    watch.onLost(new RullamaError('device-lost', `The GPU was lost: ${why}.`));
  });
  device.addEventListener('uncapturederror', (event) => {
    const { message } = (event as GPUUncapturedErrorEvent).error;
    watch.onLost(new RullamaError('internal', `The GPU refused work: ${message}`));
  });
}
