// The page: choose a model, load it, chat; beside it the conversations that are kept.

import './texts/begin.ts';
import { Rullama, RullamaError, type Engine, type EngineOptions } from 'rullama';
import { ChatAdapters } from './adapters/chat-adapters.ts';
import { AdapterList } from './adapters/list.ts';
import { AdapterPool } from './adapters/pool.ts';
import { tagOf } from './adapters/records.ts';
import { Shelf } from './adapters/shelf.ts';
import { AdapterFiles } from './adapters/files.ts';
import { fillBar } from './bar.ts';
import { ChatView } from './chat-view.ts';
import { Library } from './chats/library.ts';
import { learnRoom } from './curated/room.ts';
import { Deletion } from './deletion.ts';
import { byId, h } from './dom.ts';
import { acceptDrops, isModel } from './drop.ts';
import { errorCard, mayPass } from './error-card.ts';
import { usableExamples } from './examples.ts';
import { Files } from './files.ts';
import { askGpu, warnOfSoftware } from './gpu.ts';
import { addressOf as sourceOf, choiceOf, chosenBefore, remember } from './last-model.ts';
import { KeptKeys } from './kept-keys/keys.ts';
import { lighterFor } from './lighter.ts';
import { listenToKeys } from './keys/keys.ts';
import { LoadingView } from './loading-view.ts';
import { isProjector } from './media/projector.ts';
import { mediumOf } from './media/records.ts';
import { NotesPlace } from './notes/place.ts';
import { stayCurrent } from './offline/updates.ts';
import { addressOf, route } from './route.ts';
import { Settings } from './settings.ts';
import { SideList } from './side-list.ts';
import { partsIn } from './split.ts';
import { endStart } from './start-end.ts';
import { StartView, type Choice } from './start-view.ts';
import { toast } from './toast.ts';
import { Toolbox } from './tools/toolbox.ts';
import { watchTrouble } from './trouble.ts';
import { compareAddress, TUNE, Tuning } from './tuning.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { parts, t } from './texts/text.ts';

declare const __DEV__: boolean;

/** Development builds can run the page against the fake engine. */
const fake = __DEV__ && new URLSearchParams(location.search).has('fake');

let engine: Engine | undefined;
let choice: Choice | undefined;
let loading: AbortController | undefined;
/** What was loaded in this visit, by name. */
const choices = new Map<string, Choice>();
/** The file with the towers of a model that has none of its own. */
let projector: File | undefined;
/** Whether the engine is the one that trains, too. */
let trains = false;

/** The engine that trains, in place of the one that only answers. */
const TRAINING = { worker: './train-worker.js', wasm: './wasm/rullama_train_bg.wasm' };

const start = new StartView(byId('start'), (chosen) => void load(chosen));
const progress = new LoadingView(byId('loading'), () => loading?.abort());
const library = new Library();
const shelf = new Shelf();
const pool = new AdapterPool(shelf);
const chatAdapters = new ChatAdapters(library, shelf, pool, () => base()?.model);
const keys = new KeptKeys(library);
const settings = new Settings(library, keys, (values) => void chat.setSettings(values));
const tools = new Toolbox(library, () => chat.toolsChanged());
const chat = new ChatView(byId('chat'), library, settings, {
  newChat: () => go(undefined),
  reload: (options) => void reload(options),
  choices: () => [...choices.values()],
  loadOther,
  loadedWith: () => choice?.options ?? {},
  shown,
  offer,
}, chatAdapters, tools, keys);
const files = new Files(library);
const deletion = new Deletion(library, () => chat.openId, go);
const list = new SideList(library, {
  open: go,
  files: (record) => files.of(record),
  allFiles: () => files.all(),
  delete: (record) => void deletion.delete(record),
});
const adapterFiles = new AdapterFiles(shelf, pool, {
  base: () => base(),
  needsModel: (words) => {
    choose();
    toast(words, { ms: 12_000 });
  },
  taken: (adapter) => {
    if (!byId('chat').hidden) chatAdapters.attach(adapter);
  },
});
byId('side').querySelector('.side-end')?.before(new AdapterList(shelf, {
  entries: (adapter) => [
    chatAdapters.has(adapter.id) && !byId('chat').hidden ? { label: t(ChatText.detachFromThisChat), run: () => chatAdapters.detach(adapter.id) } : { label: t(ChatText.attachToThisChat), run: () => attach(adapter) },
    { label: t(CommonText.compareWithTheModel), run: () => goTo(compareAddress(adapter)) },
    ...adapterFiles.entries(adapter),
  ],
  delete: (adapter) => adapterFiles.remove(adapter),
  load: () => adapterFiles.choose(),
}).element);
const tuning = new Tuning({
  shelf,
  pool,
  toast,
  errorFrom: (thrown) => RullamaError.from(thrown),
  changed: () => undefined,
  toChat: (adapter) => {
    go(undefined);
    if (adapter) attach(adapter);
  },
  compare: (adapter) => goTo(compareAddress(adapter)),
  download: (adapter, form) => void adapterFiles.download(adapter, form),
  delete: (adapter) => adapterFiles.remove(adapter),
  reload: () => void reload(),
  load: ({ address, options }, name) => void leave().then(() => choiceOf(address, name, options)).then(load, (error) => choose(errorCard(RullamaError.from(error)))),
}, () => goTo(TUNE), (words) => chatAdapters.say(words));
const notes = new NotesPlace();
watchTrouble(library, () => void files.exportAll());

/** Loads a model, which goes on with the conversation of the page's address. */
async function load(chosen: Choice, instead?: (error: RullamaError) => Promise<void>): Promise<void> {
  choice = chosen;
  const training = tuning.trains;
  loading = new AbortController();
  start.hide();
  chat.hide();
  tuning.hide();
  await notes.leave();
  progress.show(chosen.name);
  let weights = 0;
  try {
    const loaded = await Rullama.load(chosen.source, {
      ...chosen.options,
      ...(training && TRAINING),
      ...(fake && { worker: './fake-worker.js' }),
      ...(projector && { projector }),
      early: !training && elsewhere(chosen.source),
      signal: loading.signal,
      onProgress: (p) => {
        if (p.phase === 'weights') weights = p.total;
        progress.update(p);
      },
    });
    remember(chosen);
    learnRoom(weights, true);
    if (loaded.info.embedding.length > 0) return await showNotes(loaded);
    choices.set(chosen.name, chosen);
    engine = loaded;
    trains = training;
    pool.use(engine);
    settings.recommend(chosen.recommended);
    const { description, examples = [] } = chosen.embedded ?? {};
    chat.use({ engine, name: chosen.name, examples: usableExamples(examples), ...(description && { caution: description }) });
    const { rest } = loaded;
    // Without the line it arrives all the same.
    if (rest) void import('./downloads/rest-line.ts').then(({ showRest }) => showRest(rest, (text) => toast(text, { ms: 12_000 })), () => undefined);
    loading = undefined;
    progress.hide();
    await show(route());
  } catch (thrown) {
    loading = undefined;
    progress.hide();
    const error = RullamaError.from(thrown);
    if (error.code === 'out-of-memory') learnRoom(weights, false);
    if (instead) return instead(error);
    const again = { label: t(CommonText.tryAgain), run: () => void load(chosen) };
    const without = { label: t(ChatText.loadItWithoutFine), run: () => (go(undefined), void load(chosen)) };
    if (/`context`/.test(error.message)) start.openAdvanced();
    const less = lighterFor(error, chosen.options, (options) => void load({ ...chosen, options }));
    choose(error.code === 'cancelled' ? undefined : errorCard(error, ...less, ...(mayPass(error) ? [again] : []), ...(training ? [without] : [])));
  }
}

/** Loads another model in place of this one, which comes back where that fails. */
async function loadOther(other: Choice): Promise<RullamaError | undefined> {
  const before = choice;
  let failed: RullamaError | undefined;
  await leave();
  await load(other, async (error) => {
    failed = error;
    if (before) await load(before);
  });
  return failed;
}

/** Whether a source must come over a network: what is served with the page is as a rule on this machine. */
const elsewhere = (source: Choice['source']) => typeof source === 'string' && source.startsWith('http') && !source.startsWith(`${location.origin}/`);

/** Shows what a model is for that makes vectors, and answers nothing. */
async function showNotes(loaded: Engine): Promise<void> {
  await notes.use(loaded);
  loading = undefined;
  progress.hide();
  if (route() || tuning.wanted) history.replaceState(null, '', addressOf(undefined));
  await show(undefined);
}

/** The model that is loaded. */
function base() {
  if (!engine || !choice) return undefined;
  const address = sourceOf(choice);
  return { engine, model: tagOf(engine.info, choice.name), ...(address !== undefined && { source: { address, options: choice.options } }) };
}

async function leave(): Promise<void> {
  await tuning.leave();
  chat.release();
  chat.hide();
  const old = engine;
  engine = undefined;
  pool.use(undefined);
  await Promise.all([old?.close(), notes.leave()]);
}

/** Loads the same model again, with other options where they are given, and goes on with the conversation. */
async function reload(options?: EngineOptions): Promise<void> {
  if (!choice) return;
  await leave();
  await load({ ...choice, ...(options && { options: { ...choice.options, ...options } }) });
}

/** Back to the choice of a model, which will go on with the conversation of the page's address. */
async function changeModel(): Promise<void> {
  projector = undefined;
  await leave();
  choose();
}

/** Shows the choice of a model. */
function choose(notice?: HTMLElement): void {
  notes.hide();
  chat.hide();
  tuning.hide();
  showHeader();
  const record = library.chats.get(route() ?? '');
  const goesOn = record && h('p', { className: 'card goes-on' }, ...parts(ChatText.theModelGoesOn, { chat: h('b', { dir: 'auto' }, record.title) }), ' ',
    h('button', { type: 'button', className: 'quiet', onclick: () => go(undefined) }, t(ChatText.beginANewChat)));
  if (tuning.wanted && !notice) {
    const last = loadLast();
    return start.show(h('div', { className: 'card goes-on' }, h('p', {}, t(ChatText.fineTuneNeedsA)),
      h('p', { className: 'actions' }, last, h('button', { type: 'button', className: 'quiet', onclick: () => go(undefined) }, t(ChatText.chatInstead)))));
  }
  const both = notice && goesOn ? h('div', {}, notice, goesOn) : (notice ?? goesOn);
  start.show(both);
}

/** Shows a conversation, or a new one, as the next step of the browser's history. */
function go(id: string | undefined): void {
  if (route() !== id || tuning.wanted) history.pushState(null, '', addressOf(id));
  void show(id);
}

/** Shows what another address of the page names. */
function goTo(hash: string): void {
  if (location.hash !== hash) history.pushState(null, '', hash);
  void show(undefined);
}

/** Shows Fine-tune, on the engine that trains, or a comparison, on any. */
async function showTuning(): Promise<void> {
  list.mark(undefined);
  const loaded = base();
  if (!loaded || !choice) return choose();
  if (tuning.trains && !trains) {
    await leave();
    return load(choice);
  }
  start.hide();
  chat.hide();
  try {
    await tuning.show(loaded);
  } catch (thrown) {
    toast(t(ChatText.fineTuneCannotBe, { message: RullamaError.from(thrown).message }), { ms: 12_000 });
    return go(undefined);
  }
  showHeader();
}

async function show(id: string | undefined): Promise<void> {
  // What is chosen while a model is loaded is shown with it.
  if (loading) return list.mark(id);
  if (tuning.wanted) return showTuning();
  tuning.hide();
  notes.hide();
  const found = id !== undefined && (await chat.open(id));
  if (id !== undefined && !found) {
    history.replaceState(null, '', addressOf(undefined));
    toast(t(ChatText.thisConversationIsNot), { ms: 6000 });
  }
  if (!found && engine) chat.newChat();
  if (found || engine) {
    start.hide();
    return showHeader();
  }
  list.mark(undefined);
  document.title = 'rullama';
  if (!notes.loaded) return choose();
  start.hide();
  chat.hide();
  notes.show();
  showHeader();
}

/** Attaches an adapter to the conversation that is shown, or to a new one. */
function attach(adapter: Parameters<ChatAdapters['attach']>[0]): void {
  if (byId('chat').hidden) go(undefined);
  const problem = chatAdapters.attach(adapter);
  if (problem) toast(problem, { ms: 12_000 });
}

/** The view shows another conversation, or the one that it shows is kept from now on. */
function shown(id: string | undefined): void {
  if (!tuning.wanted && route() !== id) history.replaceState(null, '', addressOf(id));
  list.mark(id);
}

/** Loads the model that was loaded last; nothing where it is not known. */
function loadLast(): HTMLElement | undefined {
  const last = chosenBefore();
  const run = () => void last?.().then(load, (error) => choose(errorCard(RullamaError.from(error))));
  return last && h('button', { type: 'button', className: 'primary', id: 'load-last', onclick: run }, t(ChatText.loadTitle, { title: last.title }));
}

/** What a conversation offers while no model is loaded. */
function offer(): HTMLElement {
  const again = loadLast();
  const other = h('button', { type: 'button', id: 'choose-model', className: again ? 'quiet' : 'primary', onclick: () => choose() }, again ? t(ChatText.anotherModel) : t(ChatText.chooseAModel));
  return h('div', { className: 'card' }, h('p', {}, t(ChatText.noModelIsLoaded)), h('p', { className: 'actions' }, again, other));
}

function showHeader(): void {
  const chatting = !byId('chat').hidden;
  byId('chat-actions').hidden = !chatting;
  const loaded = engine !== undefined || notes.loaded;
  byId('change-model').textContent = loaded ? t(ChatText.changeModel) : t(ChatText.chooseAModel);
  byId('model-name').hidden = !loaded;
  byId('model-name').textContent = loaded ? (choice?.name ?? '') : '';
}

async function drop(dropped: File[]): Promise<void> {
  const file = dropped[0] as File;
  if (loading) return progress.note(t(ChatText.fileWasNotTaken, { file: file.name }));
  if (await adapterFiles.take(dropped)) return;
  if (/\.jsonl$/i.test(file.name) || (tuning.visible && !(await isModel(file)))) {
    goTo(TUNE);
    return tuning.take(file);
  }
  const chatting = engine !== undefined && !byId('chat').hidden;
  if (await files.isExport(file, chatting)) return files.importFile(file);
  if (chatting && dropped.some((one) => mediumOf(one, one.name))) {
    return chat.addMedia(dropped.map((blob) => ({ blob, name: blob.name })));
  }
  if (await takeTowers(dropped)) return;
  const several = partsIn(dropped);
  const parts = several.length > 0 ? several : [file];
  if (!engine) {
    const model = await isModel(file);
    if (notes.visible && !model) return notes.take(file);
    if (model) await notes.leave();
    choose();
    return start.pickFiles(parts);
  }
  if (!(await isModel(file))) return chat.addMedia(dropped.map((blob) => ({ blob, name: blob.name })));
  await leave();
  projector = undefined;
  start.pickFiles(parts);
}

/** Takes a file of towers: beside a model that is loaded, or dropped with one. */
async function takeTowers(dropped: File[]): Promise<boolean> {
  const are = await Promise.all(dropped.map(isProjector));
  const towers = dropped[are.indexOf(true)];
  if (!towers) return false;
  const model = dropped[are.indexOf(false)];
  if (model && (await isModel(model))) {
    await leave();
    projector = towers;
    choose();
    start.pickFiles([model]);
    return true;
  }
  const { name } = towers;
  const beside = engine;
  if (!beside) {
    toast(t(ChatText.nameHasTheTowers, { name }), { ms: 12_000 });
    return true;
  }
  const use = () => void beside.setProjector(towers).then(() => {
    projector = towers;
    chat.towersChanged();
    toast(t(ChatText.theModelPerceivesThrough, { name }), { ms: 8000 });
  }, (thrown) => toast(RullamaError.from(thrown).message, { ms: 12_000 }));
  toast(t(ChatText.nameHasTowersThrough, { name }), { ms: 30_000, action: { label: t(ChatText.useItWithThis), run: use } });
  return true;
}

fillBar({
  newChat: () => go(undefined),
  settings: () => chat.openSettings(),
  changeModel: () => void changeModel(),
  home: () => {
    loading?.abort();
    void leave().then(() => go(undefined));
  },
  modelEntries: () => (notes.loaded ? [] : [
    tuning.visible ? { label: t(CommonText.chat), run: () => go(undefined) } : { label: t(ChatText.fineTune), run: () => goTo(TUNE) },
    { label: t(ChatText.loadAnAdapter), run: () => adapterFiles.choose() },
  ]),
});
listenToKeys({
  newChat: () => {
    list.close();
    go(undefined);
  },
  search: () => list.search(),
  deleteChat: () => {
    const record = library.chats.get(chat.openId ?? '');
    if (record) void deletion.delete(record);
  },
});
window.addEventListener('popstate', () => {
  files.takeLink(go);
  void show(route());
});
// What is kept outlasts the page. Only what cannot be is asked about.
window.addEventListener('beforeunload', (event) => {
  if (library.unsaved || shelf.unsaved || tuning.unsaved) event.preventDefault();
});
stayCurrent();
endStart();
acceptDrops((on) => start.highlight(on), (dropped) => void drop(dropped));

files.takeLink(go);
if (route() || tuning.wanted) void show(route());
else start.show(undefined, { focus: false });
void askGpu().then(({ error, software }) => {
  if (fake || loading || engine) return;
  if (software !== undefined) warnOfSoftware(software);
  if (!error) return;
  start.disable();
  if (byId('start').hidden) return chat.note(`${error.message} ${error.remedy}`);
  start.show(errorCard(error), { focus: false });
});
