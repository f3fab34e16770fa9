// The list of models to get, on the start view, loaded when it is opened.

import type { EngineOptions } from 'rullama';
import { h } from '../dom.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

interface Actions {
  load(address: string, name: string, options: EngineOptions): void;
  download(address: string): void;
  off(): boolean;
}

/** What opens to the list. */
export function curatedPlace({ load, download, off }: Actions): HTMLDetailsElement {
  const place = h('div', {}, h('p', { className: 'hint' }, t(ModelsText.googlesFilesOnHugging)));
  const details = h('details', { className: 'curated' }, h('summary', {}, t(ModelsText.getGemma4)), place);
  let list: HTMLElement | undefined;
  details.ontoggle = async () => {
    if (!details.open) return;
    const made = await import('./curated.ts').then(
      ({ curatedList }) => curatedList({
        load: ({ address, name }, streamed) => load(address, name, streamed ? { ple: 'streamed' } : {}),
        download: ({ address }) => download(address),
        off: off(),
      }),
      () => h('p', { role: 'alert' }, t(ModelsText.theListCannotBe)),
    );
    list?.remove();
    place.append((list = made));
  };
  return details;
}
