// Asked on opening: whether a model can run here, and on what; with what to do in this browser on this system.

import type { RullamaError } from 'rullama';

/** Names of adapters that compute on the processor. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|software/i;

export interface Gpu {
  /** Why no model can run here. */
  error?: RullamaError;
  /** The adapter that computes on the processor, in the browser's words. */
  software?: string;
  /** Its largest buffer, in bytes. */
  largest?: number;
}

const help = () => import('./gpu-help.ts');

/** What is there. */
export async function askGpu(): Promise<Gpu> {
  if (!navigator.gpu) return { error: (await help()).withoutWebGpu() };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) return { error: (await help()).withoutAdapter() };
  const { info } = adapter;
  const name = info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(' ');
  const software = SOFTWARE.test(name) || (info as { isFallbackAdapter?: boolean } | undefined)?.isFallbackAdapter === true;
  return { largest: adapter.limits.maxBufferSize, ...(software && { software: name }) };
}

/** Says on the first view that no graphics card is at work. */
export const warnOfSoftware = async (name: string): Promise<void> => (await help()).warnOfSoftware(name);
