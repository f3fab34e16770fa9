// The first view: choose a model and how to load it.

import { Rullama, type EmbeddedModel, type EngineOptions, type Source } from 'rullama';
import { completeAddress, nameOf } from './address.ts';
import { curatedPlace } from './curated/place.ts';
import { h } from './dom.ts';
import { bytes } from './format.ts';
import { KeptModels } from './kept-models.ts';
import { OllamaFolder } from './ollama/ollama.ts';
import { servedModels, type Served } from './served.ts';
import type { Recommended } from './settings.ts';
import { wholeName } from './split.ts';
import { CommonText } from './texts/en/common.ts';
import { ModelsText } from './texts/en/models.ts';
import { t, translated } from './texts/text.ts';

/** The context is as long as a model's own at most; the longest that Gemma 4 has been trained for. */
const CONTEXT = { least: 256, most: 262_144 };

export interface Choice {
  source: Source;
  name: string;
  options: EngineOptions;
  /** The embedded model's description, when it is the one. */
  embedded?: EmbeddedModel;
  /** Its name in Ollama's folder, where that is remembered. */
  folder?: string;
  /** What its store says of it. */
  recommended?: Recommended;
}

export class StartView {
  private readonly notice = h('div', { className: 'notice' });
  private readonly embeddedButton = h('button', { type: 'button', className: 'primary', id: 'load-embedded', disabled: true }, t(ModelsText.load));
  private readonly embeddedTitle = h('h2', {}, t(ModelsText.embeddedModel));
  private readonly embeddedText = h('p', {}, t(ModelsText.lookingForIt));
  private readonly file = h('input', { type: 'file', id: 'file', className: 'visually-hidden', multiple: true });
  private readonly address = h('input', { type: 'text', inputMode: 'url', dir: 'ltr', id: 'url', required: true, placeholder: t(ModelsText.httpsOrHfCo), autocomplete: 'url', spellcheck: false, 'aria-label': t(ModelsText.addressOfAGGUF) });
  private readonly served = h('section', { className: 'served', hidden: true, 'aria-labelledby': 'served-title' });
  private readonly ollama = new OllamaFolder(({ file, name, recommended, reopens }) => this.pick(file, name, { recommended, ...(reopens && { folder: name }) }), () => this.off);
  private readonly advanced = h('form', { className: 'advanced-form', onsubmit: (e: Event) => e.preventDefault() });
  /** The copy is read, also where Advanced says that none is to be made. */
  private readonly kept = new KeptModels((address, name) => this.pick(address, name, {}, { store: 'always' }));
  private embedded: EmbeddedModel | undefined;
  private readonly described: Promise<unknown>;

  constructor(
    private readonly root: HTMLElement,
    private readonly choose: (choice: Choice) => void,
  ) {
    this.build();
    this.described = Promise.all([this.describeEmbedded(), this.listServed()]);
  }

  /** Shows the view, with an error or an explanation on top of it, and moves the focus there unless the page was just opened. */
  show(notice?: HTMLElement, { focus = true } = {}): void {
    this.notice.replaceChildren(...(notice ? [notice] : []));
    this.root.hidden = false;
    void this.kept.show({ disabled: this.off });
    if (notice) notice.scrollIntoView({ block: 'nearest' });
    if (!focus) return;
    const first = this.notice.querySelector<HTMLElement>('.error button');
    if (first) return first.focus();
    // Before the cards are described the first button that works is not the first that will.
    const focused = document.activeElement;
    void this.described.then(() => {
      if (this.root.hidden || document.activeElement !== focused) return;
      this.root.querySelector<HTMLElement>('.served button:enabled:not(.quiet), .choices button:enabled, summary')?.focus();
    });
  }

  /** While a file is held over the window. */
  highlight(on: boolean): void {
    this.root.classList.toggle('dropping', on && !this.root.hidden);
  }

  /** Loads a file, or several that are to be one model, as if they had been chosen. */
  pickFiles(files: File[]): void {
    const [file, ...others] = files;
    if (file && !this.file.disabled) this.pick(others.length > 0 ? files : file, others.length > 0 ? wholeName(file.name) : file.name);
  }

  hide(): void {
    this.root.hidden = true;
  }

  /** Without WebGPU there is nothing to choose. */
  disable(): void {
    for (const element of this.root.querySelectorAll<HTMLInputElement | HTMLButtonElement>('.choices button, .choices input, .served button.primary, .served button[id]')) {
      element.disabled = true;
    }
    this.root.dataset['off'] = 'true';
  }

  private get off(): boolean {
    return this.root.dataset['off'] === 'true';
  }

  private build(): void {
    this.embeddedButton.onclick = () => {
      if (this.embedded) this.pick('embedded', this.embedded.name, { embedded: this.embedded });
    };
    this.file.onchange = () => {
      const files = [...(this.file.files ?? [])];
      this.file.value = '';
      if (files.length > 0) this.pickFiles(files);
    };
    const fromUrl = h('form', { className: 'url-form', onsubmit: (event: SubmitEvent) => this.submitUrl(event) },
      this.address, h('button', { type: 'submit', id: 'load-url' }, t(ModelsText.load)), h('button', { type: 'submit', id: 'download-url' }, t(ModelsText.download)));
    this.root.append(
      h('div', { className: 'hero' },
        h('h1', { id: 'start-title' }, t(ModelsText.chatWithGemma4)),
        h('p', {}, t(ModelsText.theModelRunsOn))),
      this.notice,
      this.served,
      this.ollama.models,
      this.kept.element,
      h('div', { className: 'choices' },
        h('article', { className: 'card choice featured' }, this.embeddedTitle, this.embeddedText, h('p', { className: 'actions' }, this.embeddedButton)),
        h('article', { className: 'card choice drop', id: 'drop' },
          h('h2', {}, t(ModelsText.aFileOfYours)),
          h('p', {}, t(ModelsText.anyGemma4Model)),
          h('p', { className: 'actions' }, this.file, h('label', { for: 'file', className: 'button' }, t(CommonText.chooseAFile)), h('span', { className: 'hint' }, t(ModelsText.orDropItHere)))),
        this.ollama.card,
        h('article', { className: 'card choice' },
          h('h2', {}, t(ModelsText.anAddress)),
          h('p', {}, t(ModelsText.aGGUFFileOn)),
          fromUrl)),
      curatedPlace({
        load: (address, name, options) => this.pick(address, name, {}, { ...options, store: 'always' }),
        download: (address) => void this.kept.download(address),
        off: () => this.off,
      }),
      this.buildAdvanced(),
    );
  }

  private buildAdvanced(): HTMLElement {
    const select = (name: string, label: string, options: [string, string][]) =>
      h('label', { className: 'field' }, h('span', {}, label),
        h('select', { name, id: name }, ...options.map(([value, text]) => h('option', { value }, text))));
    this.advanced.append(
      select('ple', t(ModelsText.perLayerEmbeddings), [['auto', t(ModelsText.automatic)], ['resident', t(ModelsText.onTheGPU)], ['streamed', t(ModelsText.streamedFromTheFile)]]),
      select('experts', t(ModelsText.experts26BA4B), [['auto', t(ModelsText.automatic)], ['resident', t(ModelsText.onTheGPU)], ['streamed', t(ModelsText.streamedFromTheFile)]]),
      select('kv', t(ModelsText.kVCache), [['f16', 'F16'], ['f32', t(ModelsText.f32TwiceTheMemory)], ['q8', t(ModelsText.q8HalfTheMemory)]]),
      h('label', { className: 'field' }, h('span', {}, t(ModelsText.contextTokens)),
        h('input', { type: 'number', name: 'context', min: String(CONTEXT.least), max: String(CONTEXT.most), step: '1', inputMode: 'numeric', placeholder: t(ModelsText.theModelsOwn) })),
      select('store', t(ModelsText.copyOfDownloads), [['auto', t(ModelsText.onlyWhereNeeded)], ['always', t(ModelsText.keepInThisBrowser)], ['never', t(ModelsText.never)]]),
    );
    return h('details', { className: 'advanced' }, h('summary', {}, t(ModelsText.advanced)), this.advanced);
  }

  private submitUrl(event: SubmitEvent): void {
    event.preventDefault();
    const address = completeAddress(this.address.value);
    if (event.submitter?.id === 'download-url') return void this.kept.download(address);
    if (address !== '') this.pick(address, nameOf(address));
  }

  private pick(source: Source, name: string, more: Partial<Choice> = {}, wanted: EngineOptions = {}): void {
    const options = this.options();
    if (options) this.choose({ source, name, options: { ...options, ...wanted }, ...more });
  }

  openAdvanced(): void {
    this.advanced.closest('details')?.setAttribute('open', '');
  }

  /** What Advanced says; nothing where it says something wrong, which it then shows. */
  private options(): EngineOptions | undefined {
    if (!this.advanced.checkValidity()) {
      this.openAdvanced();
      this.advanced.reportValidity();
      return undefined;
    }
    const values = new FormData(this.advanced);
    const options: EngineOptions = {
      ple: values.get('ple') as NonNullable<EngineOptions['ple']>,
      experts: values.get('experts') as NonNullable<EngineOptions['experts']>,
      kv: values.get('kv') as NonNullable<EngineOptions['kv']>,
      store: values.get('store') as NonNullable<EngineOptions['store']>,
    };
    const context = Number(values.get('context'));
    return context > 0 ? { ...options, context } : options;
  }

  /** A card for each model that the server offers. */
  private async listServed(): Promise<void> {
    const models = await servedModels();
    this.served.hidden = models.length === 0;
    const card = ({ name, address, about, recommended }: Served) => {
      const load = h('button', { type: 'button', className: 'primary', disabled: this.off, 'aria-label': t(ModelsText.loadName, { name }) }, t(ModelsText.load));
      load.onclick = () => this.pick(address, name, { recommended });
      return h('li', { className: 'card served-model' }, h('div', {}, h('h3', {}, name), h('p', { className: 'hint' }, about)), load);
    };
    const here = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
    this.served.replaceChildren(h('h2', { id: 'served-title' }, here ? t(ModelsText.modelsOnThisMachine) : t(ModelsText.modelsOnThisServer)), h('ul', { className: 'served-list' }, ...models.map(card)));
  }

  private async describeEmbedded(): Promise<void> {
    try {
      this.embedded = await Rullama.embedded();
    } catch {
      this.embeddedText.textContent = t(ModelsText.thisCopyOfThe);
      return;
    }
    const { name, description, bytes: size } = this.embedded;
    this.embeddedTitle.textContent = name;
    this.embeddedText.textContent = translated(description);
    this.embeddedButton.textContent = t(ModelsText.loadSize, { size: bytes(size) });
    this.embeddedButton.disabled = this.off;
  }
}
