// What to do in this browser on this system, where a model cannot use its graphics card. Loaded when that is so.

import { RullamaError } from 'rullama';
import { docsLink } from './docs-link.ts';
import { h } from './dom.ts';
import { TroubleText } from './texts/en/trouble.ts';
import { t } from './texts/text.ts';

const SECURE = t(TroubleText.openThePageOver);

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
  if (system === 'iOS') return t(TroubleText.updateToIOSOr);
  switch (browserOf(agent)) {
    case 'Firefox':
      if (system === 'Windows') return t(TroubleText.updateFirefoxTo141);
      if (system === 'macOS') return t(TroubleText.updateFirefoxTo145);
      return t(TroubleText.useChromeOrEdge);
    case 'Safari':
      return t(TroubleText.updateToSafari26);
    default:
      if (system === 'Linux') return t(TroubleText.updateTheBrowserOr);
      if (system === 'Android') return t(TroubleText.updateChromeTo121);
      return t(TroubleText.updateTheBrowserChrome);
  }
}

/** What to do where WebGPU finds no adapter. */
export function remedyBlocked(agent: string): string {
  const system = systemOf(agent, 0);
  if (browserOf(agent) !== 'Chrome') return t(TroubleText.updateTheSystemAnd);
  const first = t(TroubleText.turnOnUseGraphics);
  if (system === 'Linux') return t(TroubleText.firstIfThatDoes, { first });
  if (system === 'Android') return t(TroubleText.restartTheBrowserAnd);
  return t(TroubleText.firstIfThatDoesNot, { first });
}

/** What to do where the processor computes. */
export function remedySlow(agent: string): string {
  switch (systemOf(agent, 0)) {
    case 'Windows':
      return t(TroubleText.updateTheGraphicsDriver);
    case 'Linux':
      return t(TroubleText.installTheGraphicsCards);
    default:
      return t(TroubleText.turnOnGraphicsAcceleration);
  }
}

/** The browser has no WebGPU. */
export function withoutWebGpu(): RullamaError {
  const { isSecureContext } = window;
  const what = isSecureContext ? t(TroubleText.thisBrowserDoesNot) : t(TroubleText.browsersOfferWebGPUOnly);
  return new RullamaError('no-webgpu', what, { remedy: isSecureContext ? remedyWithout(navigator.userAgent, navigator.maxTouchPoints) : SECURE });
}

/** It has, and no adapter answers. */
export const withoutAdapter = (): RullamaError => new RullamaError('no-webgpu', t(TroubleText.thisBrowserOffersWebGPU), { remedy: remedyBlocked(navigator.userAgent) });

/** Says on the first view that no graphics card is at work. */
export function warnOfSoftware(name: string): void {
  const more = docsLink(t(TroubleText.more), 'trouble.html#the-wrong-gpu');
  const note = h('p', { className: 'gpu-caution' }, h('strong', {}, t(TroubleText.noGraphicsCardIs)), ' ', t(TroubleText.adapterComputesOnThe, { adapter: name || t(TroubleText.aSoftwareAdapter) }), ` ${remedySlow(navigator.userAgent)} `, more);
  document.querySelector('#start .hero')?.after(note);
}
