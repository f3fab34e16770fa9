// Ollama's folder on the start view: the card that picks it. What reads and lists it is loaded when it is needed.

import { h } from '../dom.ts';
import type { StoreModel } from './store.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

type View = import('./view.ts').OllamaView;

/** Says that a folder is remembered, so that the first paint loads nothing to find out. */
const MARK = 'rullama.ollama-folder';

interface Picker {
  showDirectoryPicker?(options: { id: string; mode: 'read' }): Promise<FileSystemDirectoryHandle>;
}

export class OllamaFolder {
  readonly models = h('section', { className: 'served', hidden: true, id: 'ollama-models', 'aria-label': t(ModelsText.modelsFromOllamasFolder) });
  readonly card: HTMLElement;
  private readonly input = h('input', { type: 'file', id: 'ollama-files', className: 'visually-hidden', webkitdirectory: true, tabIndex: -1, ariaHidden: 'true' });
  private view: Promise<View> | undefined;

  /** `off` says that no model can run here. */
  constructor(
    private readonly choose: (model: StoreModel & { file: File | File[]; reopens: boolean }) => void,
    private readonly off: () => boolean,
  ) {
    const button = h('button', { type: 'button', id: 'pick-ollama', onclick: () => void this.pick() }, t(ModelsText.chooseTheFolder));
    this.input.onchange = () => {
      const files = [...(this.input.files ?? [])];
      this.input.value = '';
      if (files.length > 0) void this.show((view) => view.takeFiles(files));
    };
    this.card = h('article', { className: 'card choice' },
      h('h2', {}, t(ModelsText.ollamasModels)),
      h('p', {}, t(ModelsText.theFolderOllamaModels)),
      h('p', { className: 'actions' }, this.input, button));
    if (marked()) void this.show((view) => view.again());
  }

  private async pick(): Promise<void> {
    const { showDirectoryPicker } = window as Picker;
    if (!showDirectoryPicker) return this.input.click();
    let handle: FileSystemDirectoryHandle;
    try {
      handle = await showDirectoryPicker.call(window, { id: 'ollama', mode: 'read' });
    } catch (thrown) {
      // Closing the window is an answer; some systems refuse hidden folders or pickers at all, where the input still works.
      if ((thrown as DOMException).name !== 'AbortError') this.input.click();
      return;
    }
    mark();
    await this.show((view) => view.take(handle));
  }

  private async show(work: (view: View) => Promise<void>): Promise<void> {
    this.view ??= import('./view.ts').then(({ OllamaView }) => new OllamaView(this.models, this.choose, this.off));
    try {
      await work(await this.view);
    } catch {
      this.view = undefined;
      this.models.replaceChildren(h('p', { role: 'alert' }, t(ModelsText.theListOfOllamas)));
      this.models.hidden = false;
    }
  }
}

function marked(): boolean {
  try {
    return localStorage.getItem(MARK) !== null;
  } catch {
    return false;
  }
}

function mark(): void {
  try {
    localStorage.setItem(MARK, '1');
  } catch {
    // Then the folder is picked again.
  }
}
