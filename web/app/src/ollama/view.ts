// The models of Ollama's folder on the start view. Loaded when the folder is opened.

import { h } from '../dom.ts';
import { folderOf, folderOfFiles, type Folder } from './folder.ts';
import { rememberedFolder, rememberFolder } from './remembered.ts';
import { readStore, type StoreModel } from './store.ts';

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
      else this.say('The browser was not allowed to read the folder. Pick it again, or allow it in the site’s settings.');
    };
    this.root.replaceChildren(
      h('h2', {}, 'From Ollama’s folder'),
      h('p', { className: 'actions' }, h('button', { type: 'button', id: 'ollama-again', onclick: ask }, `Open “${handle.name}” again`), this.forgetButton()));
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
    else this.say('The folder is empty. Pick the one with “manifests” and “blobs” in it.');
  }

  /** Lists a folder's models; whether it is a store. */
  private async open(folder: Folder): Promise<boolean> {
    const turn = ++this.turn;
    this.say('Reading the folder…');
    try {
      const listing = await readStore(folder);
      if (turn !== this.turn) return false;
      if (!listing) {
        this.say(`“${folder.name}” is not Ollama’s folder. Pick the one with “manifests” and “blobs” in it, usually .ollama/models in your home.`);
        return false;
      }
      this.list(folder.name, listing.models, listing.more);
      return true;
    } catch (thrown) {
      if (turn === this.turn) this.say(`“${folder.name}” cannot be read: ${(thrown as Error).message} Pick it again.`);
      return false;
    }
  }

  private list(name: string, models: StoreModel[], more: boolean): void {
    const nothing = models.length === 0 && h('p', { className: 'hint' }, 'There are no models in it yet: ollama pull gemma4:e2b brings one.');
    this.root.replaceChildren(
      h('div', { className: 'actions' }, h('h2', {}, 'From Ollama’s folder'), h('span', { className: 'hint' }, name), this.forgetButton()),
      h('ul', { className: 'served-list' }, ...models.map((model) => this.card(model))),
      ...(nothing ? [nothing] : []),
      ...(more ? [h('p', { className: 'hint' }, `The first ${models.length} models are shown; load others as files.`)] : []));
    this.root.hidden = false;
  }

  private card(model: StoreModel): HTMLElement {
    const { name, about, file, problem } = model;
    const load = h('button', { type: 'button', className: 'primary', disabled: !file || this.off(), 'aria-label': `Load ${name}` }, 'Load');
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
    return h('button', { type: 'button', className: 'quiet', onclick: forget }, 'Forget this folder');
  }

  private say(words: string): void {
    this.root.replaceChildren(h('h2', {}, 'From Ollama’s folder'), h('p', { role: 'status' }, words));
    this.root.hidden = false;
  }
}
