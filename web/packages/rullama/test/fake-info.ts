// What a fake engine says of its model.

import type { ModelInfo } from '../src/types.ts';

export const TRAINED = 8192;

export function fakeInfo(name: string, kv: 'f16' | 'f32' | 'q8', context: number): ModelInfo {
  return {
    name,
    layers: 8,
    dim: 256,
    vocab: 4096,
    heads: 4,
    window: 64,
    context,
    trainedContext: TRAINED,
    perLayer: 0,
    ple: 'resident',
    experts: 'none',
    expertPlaces: 0,
    kv,
    drafter: false,
    products: 'exact',
    persistent: false,
    embedding: name.includes('notes') ? [2] : [],
    bytesPerToken: 4_000_000,
    device: 'fake adapter',
    driver: '',
    backend: 'fake',
    subgroups: false,
    largeTemplate: false,
    loadSeconds: 0.2,
    loadedBytes: 8_038_464,
    disabledKernels: [],
  };
}
