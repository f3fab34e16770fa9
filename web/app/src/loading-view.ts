// The second view: how far the load has come, and a way out.

import type { Progress } from 'rullama';
import { h } from './dom.ts';
import { bytes } from './format.ts';
import { CommonText } from './texts/en/common.ts';
import { ModelsText } from './texts/en/models.ts';
import { t } from './texts/text.ts';

const PHASES: Record<Progress['phase'], string> = {
  download: t(ModelsText.storingACopyIn),
  header: t(ModelsText.readingTheDescription),
  weights: t(ModelsText.movingWeightsToThe),
  'self-test': t(ModelsText.checkingThatThisGPU),
  ready: t(ModelsText.ready),
};

export class LoadingView {
  private readonly title = h('h1', { id: 'loading-title' });
  private readonly bar = h('progress', { max: 1, 'aria-labelledby': 'loading-title' });
  private readonly phase = h('p', { className: 'phase', role: 'status' });
  private readonly detail = h('p', { className: 'detail' });
  private readonly remark = h('p', { className: 'remark', role: 'status' });
  private readonly cancel: HTMLButtonElement;
  private latest: Progress | undefined;

  constructor(
    private readonly root: HTMLElement,
    cancel: () => void,
  ) {
    this.cancel = h('button', { type: 'button', id: 'cancel-load', onclick: cancel }, t(CommonText.cancel));
    root.append(h('div', { className: 'card' }, this.title, this.bar, this.phase, this.detail, this.remark, h('p', { className: 'actions' }, this.cancel)));
  }

  show(name: string): void {
    this.title.textContent = t(ModelsText.loadingName, { name });
    this.phase.textContent = t(ModelsText.startingTheEngine);
    this.detail.textContent = '';
    this.remark.textContent = '';
    this.bar.removeAttribute('value');
    this.root.hidden = false;
    this.cancel.focus();
  }

  hide(): void {
    this.root.hidden = true;
  }

  /** Something to know until the load has ended. */
  note(text: string): void {
    this.remark.textContent = text;
  }

  update(progress: Progress): void {
    this.latest = progress;
    const { phase, done, total, download } = progress;
    if (total > 0) this.bar.value = Math.min(done / total, 1);
    else this.bar.removeAttribute('value');
    if (download) return void this.tell(progress, download);
    this.write(PHASES[phase], total > 0 ? t(ModelsText.doneOfTotal, { done: bytes(done), total: bytes(total) }) : '');
  }

  /** How a download goes on; its words are loaded with the first. */
  private async tell(progress: Progress, download: NonNullable<Progress['download']>): Promise<void> {
    const words = await import('./downloads/words.ts').catch(() => undefined);
    if (this.latest !== progress) return;
    this.write(words?.happensOf(download) || PHASES.download, words ? words.loadingOf(download) : '');
  }

  private write(phase: string, detail: string): void {
    if (this.phase.textContent !== phase) this.phase.textContent = phase;
    this.detail.textContent = detail;
  }
}
