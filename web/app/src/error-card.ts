// An error as a card: what happened, what to do, and a button that does it.

import type { ErrorCode, RullamaError } from 'rullama';
import { h } from './dom.ts';

const TITLES: Record<ErrorCode, string> = {
  'model-format': 'This is not a model file that rullama can read',
  'model-truncated': 'The model file is incomplete',
  'model-unsupported': 'This model is not supported',
  'tensor-missing': 'The model file lacks a part',
  'out-of-memory': 'Not enough memory',
  'device-lost': 'The graphics card was lost',
  'no-webgpu': 'WebGPU is not available',
  adapter: 'The adapter cannot be used with this model',
  limits: 'The model is too large for this graphics card',
  network: 'The model could not be downloaded',
  'source-changed': 'The model file changed',
  cancelled: 'Stopped',
  closed: 'The model was closed',
  nan: 'The model produced invalid numbers',
  'invalid-argument': 'A setting is not valid',
  'context-full': 'The conversation is full',
  'self-test': 'The graphics card computes wrong results',
  quota: 'Not enough storage',
  internal: 'Something went wrong',
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
    h('p', { className: 'what' }, message),
    h('p', { className: 'remedy' }, error.remedy),
    actions.length > 0 &&
      h('p', { className: 'actions' }, ...actions.map(({ label, run }) => h('button', { type: 'button', onclick: run }, label))),
  );
}
