// The models that this browser keeps, and downloads of more: each with what can be done about it. Loaded when there are any.

import { removeStoredModel, storedModels, watchDownloads, type Downloaded, type DownloadOptions, type DownloadProgress, type RullamaError, type StoredModel } from 'rullama';
import { nameOf as lastPart } from '../address.ts';
import { h } from '../dom.ts';
import { bytes } from '../format.ts';
import { forgetAll, keptFiles, type KeptFile } from '../kept-keys/files.ts';
import { Card, type Button, type Shown } from './card.ts';
import { farOf, happensOf } from './words.ts';
import { CommonText } from '../texts/en/common.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

/** Milliseconds after which a download of another tab is looked at again: a tab that is killed tells nobody. */
const LOOK = 2000;

/** What the page gives: of the package what it has already. */
export interface Tools {
  download(address: string, options: DownloadOptions): Promise<Downloaded>;
  errorFrom(thrown: unknown): RullamaError;
  load(address: string, title: string): void;
  toast(text: string): void;
}

/** A download that this tab began. */
interface Job {
  /** As it was asked for. */
  address: string;
  controller: AbortController;
  progress?: DownloadProgress;
  error?: RullamaError;
  /** Ends when the worker has let go of the file. */
  ended: Promise<void>;
}

export class DownloadList {
  private readonly jobs = new Map<string, Job>();
  private readonly cards = new Map<string, Card>();
  private readonly amount = h('span', { className: 'hint' });
  private readonly list = h('ul', { className: 'served-list' });
  private readonly said = h('p', { className: 'hint', role: 'status' });
  private readonly read = h('p', { className: 'hint keys', hidden: true });
  private readonly lasting = h('p', { className: 'hint' });
  private models: StoredModel[] = [];
  /** What the model has read of recent chats. */
  private keys: KeptFile[] = [];
  /** What other tabs tell, by name. */
  private readonly elsewhere = new Map<string, DownloadProgress>();
  private disabled = false;
  private turn = 0;
  private look: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly element: HTMLElement,
    private readonly tools: Tools,
  ) {
    element.replaceChildren(h('div', { className: 'actions' }, h('h2', { id: 'kept-title' }, t(ModelsText.keptInThisBrowser)), this.amount), this.list, this.read, this.lasting, this.said);
    watchDownloads((name, progress) => this.hear(name, progress));
    // What failed for want of a network goes on with it.
    addEventListener('online', () => {
      for (const job of [...this.jobs.values()]) if (job.error?.code === 'network') this.download(job.address);
    });
  }

  /** Looks at what is stored, and shows it. */
  async show({ disabled = this.disabled, said }: { disabled?: boolean; said?: string } = {}): Promise<void> {
    const turn = ++this.turn;
    this.disabled = disabled;
    if (said !== undefined) this.said.textContent = said;
    const [models, free, persisted, keys] = await Promise.all([storedModels().catch((): StoredModel[] => []), freeBytes(), isPersisted(), keptFiles()]);
    if (turn !== this.turn) return;
    this.models = models;
    this.keys = keys;
    clearTimeout(this.look);
    const ours = new Set([...this.jobs.values()].map(fileOf));
    if (models.some(({ downloading, url }) => downloading && !ours.has(url ?? ''))) this.look = setTimeout(() => void this.show(), LOOK);
    for (const { name, downloading } of models) if (!downloading) this.elsewhere.delete(name);
    const total = [...models, ...keys].reduce((sum, one) => sum + one.bytes, 0);
    this.amount.textContent = free === undefined ? bytes(total) : t(ModelsText.totalRoomForAbout, { total: bytes(total), free: bytes(free) });
    this.lasting.textContent = models.length > 0 && !persisted ? t(ModelsText.theBrowserMayDelete) : '';
    this.draw();
  }

  /** Begins a download, or goes on with one. */
  download(address: string): void {
    const before = this.jobs.get(address);
    if (before && !before.error) return;
    const controller = new AbortController();
    const job: Job = { address, controller, ended: Promise.resolve() };
    this.jobs.set(address, job);
    this.said.textContent = '';
    const onProgress = (progress: DownloadProgress) => {
      job.progress = progress;
      this.draw();
    };
    job.ended = this.tools.download(address, { signal: controller.signal, onProgress }).then(
      (done) => this.finished(job, done),
      (thrown: unknown) => this.failed(job, this.tools.errorFrom(thrown)),
    );
    this.draw();
  }

  private async finished(job: Job, { url, verified, bytes: size }: Downloaded): Promise<void> {
    this.end(job);
    const name = nameOf(url);
    const said = verified ? t(ModelsText.nameIsHereAs, { name, size: bytes(size) }) : t(ModelsText.nameIsHereAsA, { name, size: bytes(size) });
    if (this.element.offsetParent === null) this.tools.toast(said);
    await this.show({ said });
  }

  private async failed(job: Job, error: RullamaError): Promise<void> {
    if (error.code === 'cancelled') this.end(job);
    else job.error = error;
    await this.show();
  }

  private end(job: Job): void {
    if (this.jobs.get(job.address) === job) this.jobs.delete(job.address);
  }

  private hear(name: string, progress: DownloadProgress | null): void {
    const own = [...this.jobs.values()].some((job) => fileOf(job) === progress?.url);
    if (own) return;
    const known = this.elsewhere.has(name);
    if (progress) this.elsewhere.set(name, progress);
    else this.elsewhere.delete(name);
    // A file that began or ended elsewhere.
    if (!progress || !known) void this.show();
    else this.draw();
  }

  private draw(): void {
    const jobs = new Map([...this.jobs.values()].map((job) => [fileOf(job), job]));
    const shown: [string, Shown][] = [];
    for (const model of this.models) {
      const job = model.url === undefined ? undefined : jobs.get(model.url);
      if (job && model.url !== undefined) jobs.delete(model.url);
      shown.push([model.url ?? model.name, job ? this.running(job, model) : this.stored(model)]);
    }
    for (const [file, job] of jobs) shown.unshift([file, this.running(job, undefined)]);
    const keys = new Set(shown.map(([key]) => key));
    for (const key of [...this.cards.keys()]) if (!keys.has(key)) this.cards.delete(key);
    const elements = shown.map(([key, what]) => {
      const card = this.cards.get(key) ?? new Card();
      this.cards.set(key, card);
      card.show(what);
      return card.element;
    });
    // What is moved in the document loses its focus.
    if (elements.length !== this.list.children.length || elements.some((element, i) => this.list.children[i] !== element)) this.list.replaceChildren(...elements);
    this.drawKeys();
    this.element.hidden = shown.length === 0 && this.keys.length === 0 && this.said.textContent === '';
  }

  /** A download of this tab. */
  private running(job: Job, model: StoredModel | undefined): Shown {
    const title = nameOf(fileOf(job));
    const { progress, error } = job;
    const amount = progress ? farOf(progress) : model ? amountOf(model) : '';
    const remove: Button = { label: progress?.state === 'elsewhere' ? t(ModelsText.doNotWaitFor) : t(CommonText.cancel), run: () => void this.cancel(job, model) };
    if (error) {
      const again = error.code === 'source-changed' ? t(ModelsText.startAgain) : t(CommonText.tryAgain);
      return {
        title, detail: model ? amountOf(model) : '', problem: sentence(error, fileOf(job)),
        buttons: [{ label: again, run: () => this.download(job.address), primary: true }, { label: model ? t(CommonText.deleteIt) : t(CommonText.close), run: () => void this.cancel(job, model) }],
      };
    }
    const share = progress?.total === undefined ? null : progress.done / progress.total;
    const note = progress ? happensOf(progress) : t(ModelsText.askingTheServer);
    const pause: Button = { label: t(CommonText.pause), run: () => job.controller.abort(), primary: true };
    // A load goes on with what is stored, and begins before the per-layer table is here.
    const chat: Button[] = progress?.first === undefined ? [] : [{ label: t(ModelsText.chatNow), run: () => void this.loadNow(job, title), primary: true, disabled: this.disabled }];
    return { title, detail: amount, note, progress: share, buttons: progress?.state === 'elsewhere' ? [remove] : [...chat, pause, remove] };
  }

  private async loadNow(job: Job, title: string): Promise<void> {
    job.controller.abort();
    await job.ended;
    this.tools.load(fileOf(job), title);
  }

  /** What is stored, and nobody of this tab works at. */
  private stored(model: StoredModel): Shown {
    const { name, url, complete, wrong, downloading } = model;
    const title = url === undefined ? name : nameOf(url);
    const told = this.elsewhere.get(name);
    if (downloading) {
      return { title, detail: told ? farOf(told) : amountOf(model), note: t(ModelsText.anotherTabDownloadsIt), progress: told?.total === undefined ? null : told.done / told.total, buttons: [] };
    }
    const remove: Button = { label: t(CommonText.deleteIt), run: () => void this.delete(model, title) };
    const go = (label: string, run: (url: string) => void, disabled = false): Button[] => (url === undefined ? [] : [{ label, run: () => run(url), primary: true, disabled }]);
    if (complete) return { title, detail: amountOf(model), buttons: [...go(t(ModelsText.load), (url) => this.tools.load(url, title), this.disabled), remove] };
    if (wrong === undefined) return { title, detail: amountOf(model), buttons: [...go(t(ModelsText.resume), (url) => this.download(url)), remove] };
    return { title, detail: amountOf(model), problem: t(ModelsText.theChecksumIsWrong, { got: wrong.got, expected: wrong.expected }), buttons: [...go(t(ModelsText.startAgain), (url) => this.download(url)), remove] };
  }

  /** A line, since it is nothing to load. */
  private drawKeys(): void {
    const { keys, read } = this;
    read.hidden = keys.length === 0;
    const size = keys.reduce((sum, one) => sum + one.bytes, 0);
    const remove = () => void forgetAll().then(() => this.show({ said: t(ModelsText.whatTheModelHasReadIs) }));
    if (keys.length > 0) read.replaceChildren(t(ModelsText.whatTheModelHasRead, { chats: keys.length, size: bytes(size) }), ' ',
      h('button', { type: 'button', className: 'quiet tool', 'aria-label': t(ModelsText.deleteWhatTheModel), onclick: remove }, t(CommonText.deleteIt)));
  }

  /** Ends a download and lets go of what it stored; one that only waits for another tab leaves that alone. */
  private async cancel(job: Job, model: StoredModel | undefined): Promise<void> {
    const waits = job.progress?.state === 'elsewhere';
    job.controller.abort();
    await job.ended;
    this.end(job);
    const stored = model ?? (await storedModels().catch((): StoredModel[] => [])).find(({ url }) => url === fileOf(job));
    if (waits || !stored) return this.show();
    await this.delete(stored, nameOf(fileOf(job)));
  }

  private async delete(model: StoredModel, title: string): Promise<void> {
    const said = await removeStoredModel(model.name).then(() => t(ModelsText.titleIsDeleted, { title }), (thrown: unknown) => sentence(this.tools.errorFrom(thrown), ''));
    await this.show({ said });
  }
}

/** The file that a download is of, as far as that is known. */
const fileOf = ({ address, progress }: Job): string => progress?.url ?? address;

/** What happened and what to do. The address stands in the card's title. */
function sentence({ message, remedy }: RullamaError, address: string): string {
  const text = address !== '' && message.startsWith(`${address}: `) ? message.slice(address.length + 2) : message;
  return `${text.charAt(0).toUpperCase()}${text.slice(1)} ${remedy}`;
}

/** What a file is called; blobs of stores have their digest as a name. */
const nameOf = (address: string): string => lastPart(address).replace(/^(sha256[-:][0-9a-f]{12})[0-9a-f]{52}$/i, '$1…');

function amountOf({ bytes: stored, total, complete, verified, wrong }: StoredModel): string {
  if (wrong !== undefined) return t(ModelsText.storedDamaged, { stored: bytes(stored) });
  if (complete) return verified ? t(ModelsText.storedChecksumVerified, { stored: bytes(stored) }) : bytes(stored);
  return total === undefined ? t(ModelsText.storedNotFinished, { stored: bytes(stored) }) : t(ModelsText.storedOfTotalNot, { stored: bytes(stored), total: bytes(total) });
}

/** What the browser would still store, which it rounds. */
async function freeBytes(): Promise<number | undefined> {
  const { quota, usage } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
  return quota === undefined || usage === undefined ? undefined : Math.max(0, quota - usage);
}

const isPersisted = async (): Promise<boolean> => (await navigator.storage?.persisted?.().catch(() => false)) ?? false;
