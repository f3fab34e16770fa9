// The models of Ollama's folder on the start view. Loaded when the folder is opened.

import { h } from '../dom.ts';
import { folderOf, folderOfFiles, type Folder } from './folder.ts';
import { rememberedFolder, rememberFolder } from './remembered.ts';
import { readStore, type StoreModel } from './store.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

/** `reopens` says that the folder is remembered. */
type Choose = (model: StoreModel & { file: File | File[]; reopens: boolean }) => void;

export class OllamaView {
  /** Counts what was begun, so that only the latest is shown. */
  private turn = 0;
  /** Whether the folder that is shown is remembered. */
  private reopens = false;

  constructor(
    private readonly root: HTMLElement,
    private readonly choose: Choose,
    private readonly off: () => boolean,
  ) {}

  /** Shows the folder picked before; where the browser wants to be asked, a button that asks. */
  async again(): Promise<void> {
    this.reopens = true;
    const turn = ++this.turn;
    const handle = await rememberedFolder();
    if (!handle || turn !== this.turn) return;
    const state = (await handle.queryPermission?.({ mode: 'read' }).catch(() => 'prompt')) ?? 'granted';
    if (state === 'granted') return void (await this.open(folderOf(handle)));
    const ask = async () => {
      const answer = await handle.requestPermission?.({ mode: 'read' }).catch(() => 'denied');
      if (answer === 'granted') await this.open(folderOf(handle));
      else this.say(t(ModelsText.theBrowserWasNotAllowed));
    };
    this.root.replaceChildren(
      h('h2', {}, t(ModelsText.fromOllamasFolder)),
      h('p', { className: 'actions' }, h('button', { type: 'button', id: 'ollama-again', onclick: ask }, t(ModelsText.openHandleAgain, { handle: handle.name })), this.forgetButton()));
    this.root.hidden = false;
  }

  async take(handle: FileSystemDirectoryHandle): Promise<void> {
    this.reopens = true;
    if (await this.open(folderOf(handle))) await rememberFolder(handle);
  }

  async takeFiles(files: Iterable<File>): Promise<void> {
    this.reopens = false;
    const folder = folderOfFiles(files);
    if (folder) await this.open(folder);
    else this.say(t(ModelsText.theFolderIsEmpty));
  }

  /** Lists a folder's models; whether it is a store. */
  private async open(folder: Folder): Promise<boolean> {
    const turn = ++this.turn;
    this.say(t(ModelsText.readingTheFolder));
    try {
      const listing = await readStore(folder);
      if (turn !== this.turn) return false;
      if (!listing) {
        this.say(t(ModelsText.folderIsNotOllamas, { folder: folder.name }));
        return false;
      }
      this.list(folder.name, listing.models, listing.more);
      return true;
    } catch (thrown) {
      if (turn === this.turn) this.say(t(ModelsText.folderCannotBeRead, { folder: folder.name, message: (thrown as Error).message }));
      return false;
    }
  }

  private list(name: string, models: StoreModel[], more: boolean): void {
    const nothing = models.length === 0 && h('p', { className: 'hint' }, t(ModelsText.thereAreNoModels));
    this.root.replaceChildren(
      h('div', { className: 'actions' }, h('h2', {}, t(ModelsText.fromOllamasFolder)), h('span', { className: 'hint' }, name), this.forgetButton()),
      h('ul', { className: 'served-list' }, ...models.map((model) => this.card(model))),
      ...(nothing ? [nothing] : []),
      ...(more ? [h('p', { className: 'hint' }, t(ModelsText.theFirstModelsModels, { models: models.length }))] : []));
    this.root.hidden = false;
  }

  private card(model: StoreModel): HTMLElement {
    const { name, about, file, problem } = model;
    const load = h('button', { type: 'button', className: 'primary', disabled: !file || this.off(), 'aria-label': t(ModelsText.loadName, { name }) }, t(ModelsText.load));
    load.onclick = () => file && this.choose({ ...model, file, reopens: this.reopens });
    return h('li', { className: 'card served-model' },
      h('div', {}, h('h3', {}, name), h('p', { className: 'hint' }, about), problem && h('p', { className: 'hint problem' }, problem)), load);
  }

  private forgetButton(): HTMLElement {
    const forget = () => {
      this.turn++;
      this.reopens = false;
      this.root.hidden = true;
      void rememberFolder(undefined);
    };
    return h('button', { type: 'button', className: 'quiet', onclick: forget }, t(ModelsText.forgetThisFolder));
  }

  private say(words: string): void {
    this.root.replaceChildren(h('h2', {}, t(ModelsText.fromOllamasFolder)), h('p', { role: 'status' }, words));
    this.root.hidden = false;
  }
}
