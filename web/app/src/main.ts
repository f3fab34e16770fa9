// The page: choose a model, load it, chat.

import { Rullama, RullamaError, type Engine } from 'rullama';
import { ChatView } from './chat-view.ts';
import { byId } from './dom.ts';
import { acceptDrops, isModel } from './drop.ts';
import { errorCard, mayPass } from './error-card.ts';
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
const chat = new ChatView(byId('chat'), settings, (context) => void reload(context));

/** Loads a model; `goOn` takes the conversation along. */
async function load(chosen: Choice, goOn = false): Promise<void> {
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
    settings.recommend(chosen.recommended);
    const { description, examples = [] } = chosen.embedded ?? {};
    chat.show({ engine, name: chosen.name, examples: usableExamples(examples), ...(description && { caution: description }) }, { goOn });
  } catch (thrown) {
    progress.hide();
    const error = RullamaError.from(thrown);
    const again = { label: 'Try again', run: () => void load(chosen, goOn) };
    if (/`context`/.test(error.message)) start.openAdvanced();
    start.show(error.code === 'cancelled' ? undefined : errorCard(error, ...(mayPass(error) ? [again] : [])));
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

/** Loads the same model again, with a context of so many tokens where that is given, and goes on with the conversation. */
async function reload(context?: number): Promise<void> {
  if (!choice) return;
  await leave();
  await load({ ...choice, ...(context && { options: { ...choice.options, context } }) }, true);
}

/** Back to the choice of a model. The conversations stay and can be gone on with after the next load. */
async function changeModel(): Promise<void> {
  await leave();
  start.show();
}

function showHeader(name: string | undefined): void {
  byId('chat-actions').hidden = name === undefined;
  byId('model-name').hidden = name === undefined;
  byId('model-name').textContent = name ?? '';
}

async function drop(file: File): Promise<void> {
  if (loading) return progress.note(`“${file.name}” was not taken: cancel this load first.`);
  if (!engine) return start.pickFile(file);
  if (!(await isModel(file))) return chat.note(`“${file.name}” is not a model, and other files cannot be attached: paste its text.`);
  await leave();
  start.pickFile(file);
}

byId('new-chat').onclick = () => chat.newChat();
byId('open-settings').onclick = () => settings.open();
byId('change-model').onclick = () => void changeModel();
byId('home').onclick = (event) => {
  // Another tab or window is the browser's affair.
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (engine) void changeModel();
  else loading?.abort();
};
window.addEventListener('beforeunload', (event) => {
  if (chat.precious) event.preventDefault();
});
acceptDrops((on) => start.highlight(on), (file) => void drop(file));

start.show(undefined, { focus: false });
void whyNoWebGpu().then((reason) => {
  if (reason === '' || loading || engine) return;
  start.show(errorCard(new RullamaError('no-webgpu', reason)), { focus: false });
  start.disable();
});

/** Why no model can run here; nothing where one can. */
async function whyNoWebGpu(): Promise<string> {
  if (fake) return '';
  if (!navigator.gpu) {
    return window.isSecureContext
      ? 'This browser does not offer WebGPU, through which the model uses the graphics card.'
      : 'Browsers offer WebGPU only to pages served over https or from localhost.';
  }
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null);
  return adapter ? '' : 'This browser offers WebGPU, but no graphics adapter answers.';
}
