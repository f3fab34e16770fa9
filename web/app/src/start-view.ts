// The first view: choose a model and how to load it.

import { clearStoredModels, Rullama, storedModels, type EmbeddedModel, type EngineOptions, type Source } from 'rullama';
import { h } from './dom.ts';
import { bytes, count } from './format.ts';

export interface Choice {
  source: Source;
  name: string;
  options: EngineOptions;
  /** The embedded model's description, when it is the one. */
  embedded?: EmbeddedModel;
}

export class StartView {
  private readonly notice = h('div', { className: 'notice' });
  private readonly embeddedButton = h('button', { type: 'button', className: 'primary', id: 'load-embedded', disabled: true }, 'Load');
  private readonly embeddedTitle = h('h3', {}, 'Embedded model');
  private readonly embeddedText = h('p', {}, 'Looking for it…');
  private readonly file = h('input', { type: 'file', id: 'file', accept: '.gguf', className: 'visually-hidden' });
  private readonly address = h('input', { type: 'url', id: 'url', required: true, placeholder: 'https://…', autocomplete: 'url', 'aria-label': 'Address of a GGUF file' });
  private readonly advanced = h('form', { className: 'advanced-form', onsubmit: (e: Event) => e.preventDefault() });
  private readonly stored = h('p', { className: 'stored', hidden: true });
  private embedded: EmbeddedModel | undefined;

  constructor(
    private readonly root: HTMLElement,
    private readonly choose: (choice: Choice) => void,
  ) {
    this.build();
    this.acceptDrops();
    void this.describeEmbedded();
  }

  /** Shows the view, with an error or an explanation on top of it. */
  show(notice?: HTMLElement): void {
    this.notice.replaceChildren(...(notice ? [notice] : []));
    this.root.hidden = false;
    this.showStored();
    if (notice) notice.scrollIntoView({ block: 'nearest' });
  }

  hide(): void {
    this.root.hidden = true;
  }

  /** Without WebGPU there is nothing to choose. */
  disable(): void {
    for (const element of this.root.querySelectorAll<HTMLInputElement | HTMLButtonElement>('.choices button, .choices input')) {
      element.disabled = true;
    }
    this.embeddedButton.dataset['off'] = 'true';
  }

  private build(): void {
    this.embeddedButton.onclick = () => {
      if (this.embedded) this.pick('embedded', this.embedded.name, this.embedded);
    };
    this.file.onchange = () => {
      const file = this.file.files?.[0];
      this.file.value = '';
      if (file) this.pick(file, file.name);
    };
    const fromUrl = h('form', { className: 'url-form', onsubmit: (event: Event) => this.submitUrl(event) },
      this.address, h('button', { type: 'submit', id: 'load-url' }, 'Load'));
    this.root.append(
      h('div', { className: 'hero' },
        h('h1', { id: 'start-title' }, 'Chat with Gemma\u00a04, in this tab'),
        h('p', {}, 'The model runs on your own graphics card through WebGPU. What you write stays on this machine.')),
      this.notice,
      h('div', { className: 'choices' },
        h('article', { className: 'card choice featured' }, this.embeddedTitle, this.embeddedText, h('p', { className: 'actions' }, this.embeddedButton)),
        h('article', { className: 'card choice drop', id: 'drop' },
          h('h3', {}, 'A file of yours'),
          h('p', {}, 'Any Gemma 4 text model in GGUF format, also a blob from Ollama’s store. It is read in place, not uploaded.'),
          h('p', { className: 'actions' }, this.file, h('label', { for: 'file', className: 'button' }, 'Choose a file'), h('span', { className: 'hint' }, 'or drop it here'))),
        h('article', { className: 'card choice' },
          h('h3', {}, 'An address'),
          h('p', {}, 'A GGUF file on a web server that this page may read.'),
          fromUrl)),
      this.buildAdvanced(),
    );
  }

  private buildAdvanced(): HTMLElement {
    const select = (name: string, label: string, options: [string, string][]) =>
      h('label', { className: 'field' }, h('span', {}, label),
        h('select', { name, id: name }, ...options.map(([value, text]) => h('option', { value }, text))));
    this.advanced.append(
      select('ple', 'Per-layer embeddings', [['auto', 'Automatic'], ['resident', 'On the GPU'], ['streamed', 'Streamed from the file']]),
      select('kv', 'KV cache', [['f16', 'F16'], ['f32', 'F32 (twice the memory)']]),
      h('label', { className: 'field' }, h('span', {}, 'Context, tokens'),
        h('input', { type: 'number', name: 'context', min: '256', step: '1', inputMode: 'numeric', placeholder: 'the model’s own' })),
      select('store', 'Copy of downloads', [['auto', 'Only where needed'], ['always', 'Keep in this browser'], ['never', 'Never']]),
      this.stored,
    );
    return h('details', { className: 'advanced' }, h('summary', {}, 'Advanced'), this.advanced);
  }

  private submitUrl(event: Event): void {
    event.preventDefault();
    const address = this.address.value.trim();
    this.pick(address, fileName(address));
  }

  private pick(source: Source, name: string, embedded?: EmbeddedModel): void {
    const values = new FormData(this.advanced);
    const options: EngineOptions = {
      ple: values.get('ple') as NonNullable<EngineOptions['ple']>,
      kv: values.get('kv') as NonNullable<EngineOptions['kv']>,
      store: values.get('store') as NonNullable<EngineOptions['store']>,
    };
    const context = Number(values.get('context'));
    if (context > 0) options.context = context;
    this.choose({ source, name, options, ...(embedded && { embedded }) });
  }

  private acceptDrops(): void {
    const over = (on: boolean) => this.root.classList.toggle('dropping', on);
    // The whole window takes the file, so that a near miss does not navigate away from the page.
    window.addEventListener('dragover', (event) => {
      event.preventDefault();
      over(!this.root.hidden);
    });
    window.addEventListener('dragleave', (event) => {
      if (!event.relatedTarget) over(false);
    });
    window.addEventListener('drop', (event) => {
      event.preventDefault();
      over(false);
      const file = event.dataTransfer?.files[0];
      if (file && !this.root.hidden && !this.file.disabled) this.pick(file, file.name);
    });
  }

  private async describeEmbedded(): Promise<void> {
    try {
      this.embedded = await Rullama.embedded();
    } catch {
      this.embeddedText.textContent = 'This copy of the page is served without one.';
      return;
    }
    const { name, description, bytes: size } = this.embedded;
    this.embeddedTitle.textContent = name;
    this.embeddedText.textContent = description;
    this.embeddedButton.textContent = `Load (${bytes(size)})`;
    this.embeddedButton.disabled = this.embeddedButton.dataset['off'] === 'true';
  }

  private async showStored(): Promise<void> {
    const models = await storedModels();
    this.stored.hidden = models.length === 0;
    const total = models.reduce((sum, model) => sum + model.bytes, 0);
    const remove = async () => {
      await clearStoredModels().catch(() => undefined);
      await this.showStored();
    };
    this.stored.replaceChildren(
      `${count(models.length, 'model', 'models')} stored in this browser, ${bytes(total)}. `,
      h('button', { type: 'button', className: 'quiet', onclick: remove }, 'Remove'),
    );
  }
}

/** The last part of an address, as people write it. */
function fileName(address: string): string {
  const name = new URL(address).pathname.split('/').pop() || address;
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // a percent sign that encodes nothing
  }
}
