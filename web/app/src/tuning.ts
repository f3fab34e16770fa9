// Fine-tune's place in the page: its addresses, loading it when it is first opened, and what is shown of it elsewhere.

import type { AdapterRecord } from './adapters/records.ts';
import { byId } from './dom.ts';
import type { Base, TuneFrame } from './fine-tune/frame.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

type FineTune = import('./fine-tune/fine-tune.ts').FineTune;

/** The page's addresses for it. */
export const TUNE = '#fine-tune';
export const compareAddress = ({ id }: AdapterRecord) => `#compare=${id}`;

export class Tuning {
  private readonly root = byId('tune');
  private readonly badge = byId<HTMLButtonElement>('training');
  private view: FineTune | undefined;
  private opening: Promise<FineTune> | undefined;
  private readonly frame: TuneFrame;

  /** `said` gets what to tell in a chat of a training that goes on; nothing where none does. */
  constructor(
    frame: TuneFrame,
    open: () => void,
    private readonly said: (words: string) => void,
  ) {
    this.frame = { ...frame, changed: () => this.changed() };
    this.badge.onclick = open;
  }

  /** Whether the page's address is one of these. */
  get wanted(): boolean {
    return location.hash === TUNE || this.compared !== undefined;
  }

  /** Whether the engine that trains is needed for it. */
  get trains(): boolean {
    return location.hash === TUNE;
  }

  /** Whether something of a training would go with the page. */
  get unsaved(): boolean {
    return this.view?.training?.unsaved ?? false;
  }

  /** Whether a training holds the model. */
  get active(): boolean {
    return this.view?.training?.active ?? false;
  }

  get visible(): boolean {
    return !this.root.hidden;
  }

  async show(base: Base): Promise<void> {
    const view = await this.load();
    // Something else was asked for meanwhile.
    if (!this.wanted) return;
    const { compared } = this;
    await this.frame.shelf.ready;
    const adapter = this.frame.shelf.adapters.get(compared ?? '');
    if (adapter) view.showCompare(base, adapter);
    else {
      if (compared !== undefined) history.replaceState(null, '', TUNE);
      view.show(base);
    }
    this.changed();
  }

  /** Takes examples from a file that was dropped. */
  async take(file: File): Promise<void> {
    (await this.load()).take(file);
  }

  hide(): void {
    this.view?.hide();
    this.root.hidden = true;
    this.changed();
  }

  /** Before the model is closed. */
  async leave(): Promise<void> {
    await this.view?.leave();
  }

  /** The adapter that the address compares. */
  private get compared(): string | undefined {
    return new URLSearchParams(location.hash.slice(1)).get('compare') ?? undefined;
  }

  private load(): Promise<FineTune> {
    this.opening ??= import('./fine-tune/fine-tune.ts').then(
      ({ FineTune }) => (this.view = new FineTune(this.root, this.frame)),
      (error: unknown) => {
        // The next time tries again.
        this.opening = undefined;
        throw error;
      },
    );
    return this.opening;
  }

  private changed(): void {
    const training = this.view?.training;
    const active = training?.active ?? false;
    const share = training && training.steps > 0 ? Math.floor((100 * training.step) / training.steps) : 0;
    this.badge.hidden = !active || this.visible;
    const text = training?.phase === 'paused' ? t(ChatText.trainingPausedShare, { share }) : t(ChatText.trainingShare, { share });
    if (this.badge.textContent !== text) this.badge.textContent = text;
    if (active && this.visible) document.title = t(ChatText.shareFineTuneRullama, { share });
    this.said(active && training?.phase !== 'paused' ? t(ChatText.aTrainingIsGoing) : '');
  }
}
