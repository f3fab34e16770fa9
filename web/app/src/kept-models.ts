// The models that this browser keeps, and downloads of more. What lists them is loaded when there are any.

import { Rullama, RullamaError } from 'rullama';
import { h } from './dom.ts';
import { toast } from './toast.ts';
import { ModelsText } from './texts/en/models.ts';
import { t } from './texts/text.ts';

declare const __DEV__: boolean;

type List = import('./downloads/downloads.ts').DownloadList;

/** Against the fake engine, downloads are real. */
const options = __DEV__ && new URLSearchParams(location.search).has('fake') ? { worker: './fake-worker.js' } : {};

export class KeptModels {
  readonly element = h('section', { className: 'served', id: 'kept-models', hidden: true, 'aria-labelledby': 'kept-title' });
  private list: Promise<List> | undefined;

  constructor(private readonly load: (address: string, name: string) => void) {}

  async show({ disabled }: { disabled: boolean }): Promise<void> {
    if (!this.list && !(await anything())) return;
    await this.open((list) => list.show({ disabled }));
  }

  /** Begins a download, or goes on with one. */
  async download(address: string): Promise<void> {
    await this.open(async (list) => {
      list.download(address);
      await list.show();
      this.element.scrollIntoView({ block: 'nearest' });
    });
  }

  private async open(work: (list: List) => Promise<void>): Promise<void> {
    this.list ??= import('./downloads/downloads.ts').then(({ DownloadList }) => new DownloadList(this.element, {
      download: (address, wanted) => Rullama.download(address, { ...wanted, ...options }),
      errorFrom: RullamaError.from,
      load: this.load,
      toast: (text) => toast(text, { ms: 12_000 }),
    }));
    try {
      await work(await this.list);
    } catch {
      this.list = undefined;
      this.element.replaceChildren(h('p', { role: 'alert' }, t(ModelsText.theListOfKept)));
      this.element.hidden = false;
    }
  }
}

/** Whether anything is stored: models, as the package would list them, or what they have read of chats. */
async function anything(): Promise<boolean> {
  const holds = async (name: string) => {
    try {
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(name);
      return (await folder.keys().next()).done === false;
    } catch {
      return false;
    }
  };
  return (await holds('rullama-models')) || holds('rullama-keys');
}
