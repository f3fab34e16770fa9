// An error as a card: what happened, what to do, and a button that does it.

import type { ErrorCode, RullamaError } from 'rullama';
import { h } from './dom.ts';
import { TroubleText } from './texts/en/trouble.ts';
import { t } from './texts/text.ts';

const TITLES: Record<ErrorCode, string> = {
  'model-format': t(TroubleText.thisIsNotA),
  'model-truncated': t(TroubleText.theModelFileIs),
  'model-unsupported': t(TroubleText.thisModelIsNot),
  'tensor-missing': t(TroubleText.theModelFileLacks),
  'out-of-memory': t(TroubleText.notEnoughMemory),
  'device-lost': t(TroubleText.theGraphicsCardWas),
  'no-webgpu': t(TroubleText.webGPUIsNotAvailable),
  adapter: t(TroubleText.theAdapterCannotBe),
  limits: t(TroubleText.theModelIsToo),
  network: t(TroubleText.theModelCouldNot),
  'source-changed': t(TroubleText.theModelFileChanged),
  cancelled: t(TroubleText.stopped),
  closed: t(TroubleText.theModelWasClosed),
  nan: t(TroubleText.theModelProducedInvalid),
  'invalid-argument': t(TroubleText.aSettingIsNot),
  'context-full': t(TroubleText.theConversationIsFull),
  'self-test': t(TroubleText.theGraphicsCardComputes),
  quota: t(TroubleText.notEnoughStorage),
  internal: t(TroubleText.somethingWentWrong),
};

/** Failures that may be gone when the same is tried again. The others need another file or another setting. */
const PASSING: ErrorCode[] = ['out-of-memory', 'device-lost', 'network', 'source-changed', 'quota', 'closed', 'internal'];

export const mayPass = ({ code }: RullamaError): boolean => PASSING.includes(code);

export interface Action {
  label: string;
  run: () => void;
}

export function errorCard(error: RullamaError, ...actions: Action[]): HTMLElement {
  // An engine's message may already end with its remedy.
  const message = error.message.endsWith(error.remedy)
    ? error.message.slice(0, -error.remedy.length).trim()
    : error.message;
  return h(
    'div',
    { className: 'card error', role: 'alert', 'data-code': error.code },
    h('h2', {}, TITLES[error.code]),
    h('p', { className: 'what', dir: 'auto' }, message),
    h('p', { className: 'remedy', dir: 'auto' }, error.remedy),
    actions.length > 0 &&
      h('p', { className: 'actions' }, ...actions.map(({ label, run }) => h('button', { type: 'button', onclick: run }, label))),
  );
}
