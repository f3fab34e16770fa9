// The page: choose a model, load it, chat.

import { Rullama, RullamaError, type Engine } from 'rullama';
import { ChatView } from './chat-view.ts';
import { byId } from './dom.ts';
import { errorCard } from './error-card.ts';
import { usableExamples } from './examples.ts';
import { LoadingView } from './loading-view.ts';
import { Settings } from './settings.ts';
import { StartView, type Choice } from './start-view.ts';

declare const __DEV__: boolean;

/** Development builds can run the page against the fake engine. */
const fake = __DEV__ && new URLSearchParams(location.search).has('fake');

let engine: Engine | undefined;
let choice: Choice | undefined;
let loading: AbortController | undefined;

const settings = new Settings(() => chat.settingsChanged());
const start = new StartView(byId('start'), (chosen) => void load(chosen));
const progress = new LoadingView(byId('loading'), () => loading?.abort());
const chat = new ChatView(byId('chat'), settings, () => void reload());

async function load(chosen: Choice): Promise<void> {
  choice = chosen;
  loading = new AbortController();
  start.hide();
  progress.show(chosen.name);
  try {
    engine = await Rullama.load(chosen.source, {
      ...chosen.options,
      ...(fake && { worker: './fake-worker.js' }),
      signal: loading.signal,
      onProgress: (p) => progress.update(p),
    });
    progress.hide();
    showHeader(chosen.name);
    const { description, examples = [] } = chosen.embedded ?? {};
    chat.show({ engine, name: chosen.name, examples: usableExamples(examples), ...(description && { caution: description }) });
  } catch (thrown) {
    progress.hide();
    const error = RullamaError.from(thrown);
    start.show(error.code === 'cancelled' ? undefined : errorCard(error, { label: 'Try again', run: () => void load(chosen) }));
  } finally {
    loading = undefined;
  }
}

async function leave(): Promise<void> {
  chat.hide();
  showHeader(undefined);
  const old = engine;
  engine = undefined;
  await old?.close();
}

async function reload(): Promise<void> {
  await leave();
  if (choice) await load(choice);
}

function showHeader(name: string | undefined): void {
  byId('chat-actions').hidden = name === undefined;
  byId('model-name').hidden = name === undefined;
  byId('model-name').textContent = name ?? '';
}

byId('new-chat').onclick = () => chat.newChat();
byId('open-settings').onclick = () => settings.open();
byId('change-model').onclick = async () => {
  await leave();
  start.show();
};

if (fake || navigator.gpu) {
  start.show();
} else {
  start.show(errorCard(new RullamaError('no-webgpu', noWebGpuReason())));
  start.disable();
}

function noWebGpuReason(): string {
  return window.isSecureContext
    ? 'This browser does not offer WebGPU, through which the model uses the graphics card.'
    : 'Browsers offer WebGPU only to pages served over https or from localhost.';
}
