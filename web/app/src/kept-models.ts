// The downloads that this browser keeps: load one, or delete it to make room.

import { removeStoredModel, RullamaError, storedModels, type StoredModel } from 'rullama';
import { nameOf } from './address.ts';
import { h } from './dom.ts';
import { bytes } from './format.ts';

export class KeptModels {
  readonly element = h('section', { className: 'served', id: 'kept-models', hidden: true, 'aria-labelledby': 'kept-title' });
  private readonly said = h('p', { className: 'hint', role: 'status' });
  private turn = 0;

  constructor(private readonly load: (address: string, name: string) => void) {}

  async show({ disabled = false, said = '' } = {}): Promise<void> {
    const turn = ++this.turn;
    const [models, free] = await Promise.all([storedModels().catch((): StoredModel[] => []), freeBytes()]);
    if (turn !== this.turn) return;
    this.element.hidden = models.length === 0 && said === '';
    this.said.textContent = said;
    const total = models.reduce((sum, model) => sum + model.bytes, 0);
    const room = free === undefined ? '' : `, room for about ${bytes(free)} more`;
    this.element.replaceChildren(
      h('div', { className: 'actions' }, h('h2', { id: 'kept-title' }, 'Kept in this browser'), h('span', { className: 'hint' }, `${bytes(total)}${room}`)),
      h('ul', { className: 'served-list' }, ...models.map((model) => this.card(model, disabled))), this.said);
  }

  private card(model: StoredModel, disabled: boolean): HTMLElement {
    const { url, complete, total } = model;
    const title = url === undefined ? model.name : nameOf(url);
    const size = complete ? bytes(model.bytes) : `${bytes(model.bytes)}${total === undefined ? '' : ` of ${bytes(total)}`}, not finished`;
    const load = url !== undefined && h('button', { type: 'button', className: 'primary', disabled, onclick: () => this.load(url, title), 'aria-label': `${complete ? 'Load' : 'Continue'} ${title}` }, complete ? 'Load' : 'Continue');
    const remove = h('button', { type: 'button', className: 'quiet', 'aria-label': `Delete ${title}` }, 'Delete');
    remove.onclick = async () => {
      remove.disabled = true;
      const said = await removeStoredModel(model.name).then(() => `${title} is deleted.`, (thrown) => sentence(RullamaError.from(thrown)));
      await this.show({ disabled, said });
    };
    return h('li', { className: 'card served-model' },
      h('div', {}, h('h3', {}, title), h('p', { className: 'hint' }, size)), h('div', { className: 'kept-actions' }, load, remove));
  }
}

const sentence = ({ message, remedy }: RullamaError) => `${message} ${remedy}`;

/** What the browser would still store, which it rounds. */
async function freeBytes(): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
}
