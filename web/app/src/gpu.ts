// Asked on opening: whether a model can run here, and on what; with what to do in this browser on this system.

import { RullamaError } from 'rullama';
import { docsLink } from './docs-link.ts';
import { h } from './dom.ts';

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

/** What is there. */
export async function askGpu(): Promise<Gpu> {
  const agent = navigator.userAgent;
  if (!navigator.gpu) {
    const what = window.isSecureContext
      ? 'This browser does not offer WebGPU, through which the model uses the graphics card.'
      : 'Browsers offer WebGPU only to pages served over https or from localhost.';
    return { error: new RullamaError('no-webgpu', what, { remedy: window.isSecureContext ? remedyWithout(agent, navigator.maxTouchPoints) : SECURE }) };
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  if (!adapter) {
    return { error: new RullamaError('no-webgpu', 'This browser offers WebGPU, but no graphics adapter answers.', { remedy: remedyBlocked(agent) }) };
  }
  const { info } = adapter;
  const name = info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(' ');
  const software = SOFTWARE.test(name) || (info as { isFallbackAdapter?: boolean } | undefined)?.isFallbackAdapter === true;
  return { largest: adapter.limits.maxBufferSize, ...(software && { software: name || 'a software adapter' }) };
}

const SECURE = 'Open the page over https (`rullama serve --lan` has it), or at http://localhost on the machine that serves it.';

type System = 'Windows' | 'macOS' | 'iOS' | 'Android' | 'ChromeOS' | 'Linux';

function systemOf(agent: string, touchPoints: number): System {
  if (/Android/.test(agent)) return 'Android';
  // An iPad says that it is a Mac; Macs have no touch screen.
  if (/iPhone|iPad/.test(agent) || (/Macintosh/.test(agent) && touchPoints > 1)) return 'iOS';
  if (/Windows/.test(agent)) return 'Windows';
  if (/Macintosh/.test(agent)) return 'macOS';
  return /CrOS/.test(agent) ? 'ChromeOS' : 'Linux';
}

function browserOf(agent: string): 'Firefox' | 'Safari' | 'Chrome' {
  if (/Firefox\//.test(agent)) return 'Firefox';
  return /Chrom(e|ium)\//.test(agent) ? 'Chrome' : 'Safari';
}

/** What to do where the browser has no WebGPU. */
export function remedyWithout(agent: string, touchPoints = 0): string {
  const system = systemOf(agent, touchPoints);
  // Every browser there is Safari inside.
  if (system === 'iOS') return 'Update to iOS or iPadOS 26, whose Safari has WebGPU.';
  switch (browserOf(agent)) {
    case 'Firefox':
      if (system === 'Windows') return 'Update Firefox to 141 or newer, or use Chrome or Edge.';
      if (system === 'macOS') return 'Update Firefox to 145 or newer (Apple’s chips), or use Chrome, Edge or Safari 26.';
      return 'Use Chrome or Edge: Firefox has no WebGPU here yet.';
    case 'Safari':
      return 'Update to Safari 26, or use Chrome or Edge.';
    default:
      if (system === 'Linux') return 'Update the browser, or set chrome://flags/#enable-unsafe-webgpu and #enable-vulkan to Enabled and restart it. A Vulkan driver must be installed.';
      if (system === 'Android') return 'Update Chrome to 121 or newer; Android must be 12 or newer.';
      return 'Update the browser: Chrome and Edge have WebGPU since version 113.';
  }
}

/** What to do where WebGPU finds no adapter. */
export function remedyBlocked(agent: string): string {
  const system = systemOf(agent, 0);
  if (browserOf(agent) !== 'Chrome') return 'Update the system and the graphics driver, then restart the browser. Chrome or Edge may do where this browser does not.';
  const first = 'Turn on “Use graphics acceleration when available” in the browser’s settings under System, and restart it.';
  if (system === 'Linux') return `${first} If that does not help, install a Vulkan driver (mesa-vulkan-drivers, or NVIDIA’s) and enable chrome://flags/#enable-vulkan.`;
  if (system === 'Android') return 'Restart the browser, and update it and the system. The phone’s graphics chip may be too old.';
  return `${first} If that does not help, update the graphics driver.`;
}

/** What to do where the processor computes. */
export function remedySlow(agent: string): string {
  switch (systemOf(agent, 0)) {
    case 'Windows':
      return 'Update the graphics driver, and choose “High performance” for this browser in Settings, System, Display, Graphics.';
    case 'Linux':
      return 'Install the graphics card’s Vulkan driver, and enable chrome://flags/#enable-vulkan.';
    default:
      return 'Turn on graphics acceleration in the browser’s settings under System, and restart it.';
  }
}

/** Says on the first view that no graphics card is at work. */
export function warnOfSoftware(name: string): void {
  const more = docsLink('More', 'trouble.html#the-wrong-gpu');
  const note = h('p', { className: 'gpu-caution' }, h('strong', {}, 'No graphics card is at work here: '), `${name} computes on the processor, many times slower. ${remedySlow(navigator.userAgent)} `, more);
  document.querySelector('#start .hero')?.after(note);
}
