// The third view: a conversation, with the model that goes on with it where one is loaded.

import { RullamaError, type ChatOptions, type Engine, type Example, type Prefill } from 'rullama';
import type { ChatAdapters } from './adapters/chat-adapters.ts';
import { Answering, tooLong, type Stage } from './answering.ts';
import type { Frame } from './chat-frame.ts';
import type { Library, News } from './chats/library.ts';
import type { MessageRecord, Values } from './chats/records.ts';
import { Comparing } from './compare/comparing.ts';
import { Composer } from './composer.ts';
import { Conversation } from './conversation.ts';
import { Drafts } from './drafts.ts';
import { h } from './dom.ts';
import { droppedMark, markDropped } from './dropped-mark.ts';
import { errorCard } from './error-card.ts';
import { emptyState, memoryText, type Loaded } from './empty-state.ts';
import type { KeptKeys } from './kept-keys/keys.ts';
import { lighterFor } from './lighter.ts';
import { LogView } from './log-view.ts';
import { Attachments } from './media/attachments.ts';
import type { Named } from './media/add-menu.ts';
import { questionOf, type Attachment } from './media/documents.ts';
import { isAtEnd, toEnd } from './page-end.ts';
import { PrefillLine } from './prefill-line.ts';
import { Recovery } from './recovery.ts';
import { offerResume } from './resume.ts';
import type { Settings } from './settings.ts';
import type { Toolbox } from './tools/toolbox.ts';
import { stop as stopReading } from './voice.ts';
import { Watching } from './watching.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

export class ChatView implements Stage {
  private readonly title = h('h1', { className: 'visually-hidden', id: 'chat-title' });
  private readonly composer: Composer;
  private readonly offer = h('div', { className: 'offer', hidden: true });
  private readonly answering: Answering;
  private readonly drafts: Drafts;
  private readonly attachments: Attachments;
  private loaded: Loaded | undefined;
  private current: Conversation | undefined;
  private log: LogView | undefined;
  /** A message that was sent while the answer before it was being stopped. */
  private waiting: string | undefined;
  /** The latest conversation that was asked for. */
  private opening = {};
  private readonly watching: Watching;
  private readonly recovery: Recovery;
  private readonly prefill = new PrefillLine();
  private readonly comparing: Comparing;

  constructor(
    private readonly root: HTMLElement,
    private readonly library: Library,
    private readonly settings: Settings,
    private readonly frame: Frame,
    private readonly adapters: ChatAdapters,
    private readonly tools: Toolbox,
    private readonly keys: KeptKeys,
  ) {
    this.answering = new Answering(this, library, settings, tools, keys);
    this.comparing = new Comparing({ answering: this.answering, library, settings, adapters, frame, shown: () => this.current, modelName: () => this.modelName, tell: (which, text) => this.tell(which, text) });
    this.watching = new Watching(library, (conversation, messages) => this.refresh(conversation, messages));
    const { answering } = this;
    this.recovery = new Recovery({ answering, tell: (which, text) => this.tell(which, text), reload: () => frame.reload(), act: (run) => this.act(run) });
    this.attachments = new Attachments(() => this.engine, () => this.current && this.told(this.current).pictureTokens, (text) => this.composer.complain(text));
    this.composer = new Composer((text) => this.submit(text), () => this.current?.running?.abort(), (text) => this.problemWith(text), () => this.drafts.changed(), (media) => this.addMedia(media), this.attachments.element, () => void tools.open(), { engine: () => this.engine, busy: () => answering.running.size > 0 });
    this.composer.element.prepend(adapters.element, tools.button, this.attachments.reads);
    this.drafts = new Drafts(library, () => this.composer.text);
    this.root.append(this.title, this.offer, this.composer.element);
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.defaultPrevented && !document.querySelector('dialog[open]') && !this.root.hidden) this.current?.running?.abort();
    });
    library.listen((news) => void this.heard(news));
  }

  get engine(): Engine | undefined {
    return this.loaded?.engine;
  }

  get modelName(): string {
    return this.loaded?.name ?? '';
  }

  /** The conversation that is shown, when it is kept. */
  get openId(): string | undefined {
    return this.current?.kept ? this.current.id : undefined;
  }

  /** Takes a model that is loaded; the view shows it with the next conversation. */
  use(loaded: Loaded): void {
    this.loaded = loaded;
    this.towersChanged();
    void this.showMemory();
    void loaded.engine.lost.then((error) => {
      if (this.loaded === loaded) this.onLost(error);
    });
  }

  /** Leaves the model; the conversations stay. */
  release(): void {
    this.leave();
    this.loaded = undefined;
  }

  hide(): void {
    this.leave();
    this.root.hidden = true;
  }

  /** Shows a new conversation. */
  newChat(): void {
    this.start(this.settings.initial, this.tools.initial);
    this.composer.focus();
  }

  /** Shows a conversation that is kept; gives whether there is such a one. */
  async open(id: string): Promise<boolean> {
    const opening = (this.opening = {});
    await this.library.ready;
    const record = this.library.chats.get(id);
    if (!record) return false;
    const messages = await this.library.messages(id);
    // Another one was asked for meanwhile.
    if (this.opening !== opening) return true;
    const running = this.answering.running.get(id);
    const conversation: Conversation = running ?? new Conversation(record, () => this.told(conversation), messages, this.engine, () => this.adapters.of(conversation.asked), this.keys);
    conversation.kept = true;
    this.attach(conversation);
    if (this.loaded) this.composer.focus();
    return true;
  }

  /** Attaches files to the message that is being written. */
  addMedia(media: Named[]): void {
    this.attachments.add(media);
    this.composer.focus();
  }

  /** The model has other towers now. */
  towersChanged(): void {
    this.composer.complain('');
    this.attachments.recount();
    void this.composer.dictation.look();
  }

  openSettings(): void {
    if (this.current) void this.settings.open(this.current.record.settings);
  }

  /** Takes the settings that the dialog was closed with. */
  async setSettings(settings: Values): Promise<void> {
    const { current } = this;
    if (!current) return;
    const before = JSON.stringify(this.settings.chat(current.record.settings));
    current.record.settings = settings;
    this.attachments.recount();
    if (!current.kept) return;
    if (JSON.stringify(this.settings.chat(settings)) !== before) this.tell(current, t(ChatText.theNewSystemPrompt));
    await this.library.patch(current.id, { settings });
  }

  /** A note at the end of the conversation. */
  note(text: string): void {
    if (this.current) this.tell(this.current, text);
  }

  tell(conversation: Conversation, text: string): void {
    if (conversation !== this.current) return;
    this.log?.element.append(h('p', { className: 'note' }, text));
    toEnd();
  }

  changed(conversation: Conversation): void {
    if (conversation !== this.current) return this.left(conversation);
    this.recovery.changed(conversation);
    if (!conversation.running) this.prefill.end();
    const following = isAtEnd() || conversation.path.length < 3;
    if (conversation.path.length > 0) this.log?.element.querySelector('.empty')?.remove();
    this.log?.sync(this.loaded !== undefined);
    if (conversation.firstRead === undefined && !conversation.running) this.log?.element.querySelector('.dropped')?.remove();
    if (this.log) offerResume(this.log, conversation, this.loaded && this.answering, (run) => this.act(run));
    this.showState();
    if (conversation.running && following) toEnd();
    if (conversation.running) return;
    const { waiting } = this;
    this.waiting = undefined;
    // After everything that the end of this answer leads to, and only if nothing else was written since.
    if (waiting !== undefined) setTimeout(() => this.current === conversation && waiting === this.composer.text && this.submit(waiting));
  }

  grown(conversation: Conversation, message: MessageRecord): void {
    if (conversation !== this.current) return;
    this.prefill.end();
    this.log?.grow(message);
    this.comparing.view?.update(message);
  }

  reading(conversation: Conversation, message: MessageRecord, at: Prefill): void {
    const turn = conversation === this.current && this.log?.elementOf(message.id);
    if (turn) this.prefill.show(turn, at);
  }

  placeOf(conversation: Conversation): HTMLElement | undefined {
    return conversation === this.current ? this.log?.element : undefined;
  }

  /** Other tools belong to the conversation. */
  toolsChanged(): void {
    if (this.current) this.changed(this.current);
  }

  /** Marks in the log from where on the model reads. */
  dropped(conversation: Conversation): void {
    const { engine } = this;
    if (conversation !== this.current || !this.log || !engine) return;
    markDropped(this.log, conversation.firstRead, droppedMark(engine.info, (context) => this.frame.reload({ context })));
  }

  /** Says what failed, unless nobody needs to hear it. */
  failed(conversation: Conversation, error: RullamaError, again: () => void): void {
    if (conversation !== this.current || error.code === 'cancelled' || error.code === 'device-lost' || error.code === 'closed') return;
    const does = (run: () => void) => () => (card.remove(), run());
    const less = lighterFor(error, this.frame.loadedWith(), (options) => this.frame.reload(options), this.engine?.info);
    const card = errorCard(error, ...less, { label: t(CommonText.tryAgain), run: does(again) }, { label: t(ChatText.newChat), run: does(() => this.frame.newChat()) });
    this.log?.element.append(card);
    toEnd();
  }

  private start(settings: Values, tools: string[]): void {
    const record = this.library.newChat(settings, tools);
    const conversation: Conversation = new Conversation(record, () => this.told(conversation), [], this.engine, () => this.adapters.of(conversation.asked), this.keys);
    this.attach(conversation);
  }

  /** What a conversation tells the model apart from its messages. */
  private told({ asked }: Conversation): ChatOptions {
    const tools = this.tools.named(asked.tools);
    return { ...this.settings.chat(asked.settings), ...(tools.length > 0 && { tools }) };
  }

  private leave(): void {
    const { current } = this;
    this.opening = {};
    if (!current) return;
    void this.drafts.flush();
    stopReading();
    this.composer.dictation.leave();
    this.prefill.end();
    this.waiting = undefined;
    this.log?.closeEditor();
    this.log?.element.remove();
    this.current = undefined;
    this.log = undefined;
    current.close();
  }

  /** An answer of a conversation that was left has ended. */
  private left(conversation: Conversation): void {
    if (!conversation.running) conversation.close();
    this.composer.dictation.show();
  }

  private attach(conversation: Conversation): void {
    if (this.current !== conversation) this.leave();
    this.root.hidden = false;
    conversation.resume(this.engine);
    this.current = conversation;
    this.adapters.show(conversation.record);
    this.tools.show(conversation.record);
    const actions = {
      regenerate: (message: MessageRecord) => this.act(() => this.answering.regenerate(conversation, message.parent)),
      compare: (message: MessageRecord) => void this.comparing.ask(conversation, message),
      goOn: (message: MessageRecord) => this.act(() => this.answering.goOn(conversation, message)),
      edit: (message: MessageRecord, text: string) => void this.edit(conversation, message, text),
      show: (message: MessageRecord) => this.showVersion(conversation, message),
      draft: ({ id }: MessageRecord) => this.library.draft(id),
      keepDraft: ({ id }: MessageRecord, text: string) => void this.library.saveDraft({ id, text }),
    };
    this.log?.element.remove();
    this.log = new LogView(conversation, actions, () => isAtEnd(160) && conversation.running && toEnd());
    this.title.after(this.log.element);
    if (conversation.path.length === 0) this.log.element.append(emptyState(this.loaded, (example) => this.askExample(example), (prompt) => this.composer.begin(prompt)));
    this.composer.element.hidden = !this.loaded;
    this.offer.hidden = this.loaded !== undefined;
    this.offer.replaceChildren(...(this.loaded ? [] : [this.frame.offer()]));
    this.composer.setUsable(this.loaded !== undefined);
    this.composer.complain('');
    this.attachments.switch(conversation.kept ? conversation.id : '');
    void this.drafts.open(conversation.kept ? conversation.id : '', (text) => this.current === conversation && (this.composer.text = text));
    this.changed(conversation);
    this.watchAnswers(conversation);
    this.showTitle();
    this.frame.shown(conversation.kept ? conversation.id : undefined);
    toEnd();
    if (this.loaded) this.recovery.shown(conversation);
  }

  /** Something that a tool under a message does: what stops it has the focus. */
  private act(run: () => Promise<void>): void {
    const card = this.log?.element.querySelector('.error');
    card?.remove();
    void run();
    this.composer.focusStop();
  }

  private async edit(conversation: Conversation, message: MessageRecord, text: string): Promise<void> {
    const again = () => void this.edit(conversation, message, text);
    const problem = await this.answering.edit(conversation, message, text, again);
    if (problem) this.tell(conversation, problem);
  }

  private showVersion(conversation: Conversation, message: MessageRecord): void {
    const tool = (document.activeElement as HTMLElement | null)?.dataset['tool'] ?? 'next';
    conversation.show(conversation.tree.leafBelow(message.id));
    this.changed(conversation);
    const element = this.log?.elementOf(message.id);
    const step = element?.querySelector<HTMLElement>(`[data-tool=${tool}]:enabled`) ?? element?.querySelector<HTMLElement>('.step:enabled');
    step?.focus({ preventScroll: true });
    void this.library.patch(conversation.id, { leaf: conversation.leaf });
  }

  /** An example that needs thinking or tools gets a conversation that has them. */
  private askExample({ text, thinking, tools = [] }: Example): void {
    const { current } = this;
    if (!this.loaded || !current || current.running) return;
    if (thinking || tools.length > 0) this.start({ ...current.record.settings, ...(thinking && { thinking: 'on' }) }, tools);
    if (this.current) void this.ask(this.current, text);
    this.composer.focusStop();
  }

  private submit(text: string): void {
    const { current } = this;
    if (!current || !this.loaded || (text.trim() === '' && this.attachments.list.length === 0)) return;
    if (this.attachments.keepsWaiting(() => this.current === current && text === this.composer.text && this.submit(text))) return;
    // After a stop the message waits for the end of the answer, unless it is changed until then.
    if (current.running) {
      if (current.running.signal.aborted) this.waiting = text;
      return;
    }
    if (current.path.at(-1)?.state === 'writing') {
      return this.composer.complain(t(ChatText.anotherTabIsWriting));
    }
    this.composer.text = '';
    void this.ask(current, text.trim(), this.attachments.take());
  }

  /** Sends a message that was written; it comes back into the field when the model does not get it. */
  private async ask(conversation: Conversation, text: string, media: Attachment[] = []): Promise<void> {
    conversation.rounds = 0;
    toEnd();
    const problem = await this.answering.say(conversation, [questionOf(text, media)], () => this.submit(this.composer.text));
    if (problem === undefined || conversation !== this.current) return;
    if (!conversation.kept) this.neverKept();
    this.composer.text = [text, this.composer.text].filter((part) => part !== '').join('\n');
    this.attachments.put(media);
    this.composer.complain(problem);
  }

  private neverKept(): void {
    this.drafts.move('');
    this.attachments.move('');
    this.showTitle();
    this.frame.shown(undefined);
  }

  private async problemWith(draft: string): Promise<string> {
    const { current, loaded } = this;
    // A token is at least a byte, so that only long drafts need counting.
    const media = this.attachments.list;
    if (!current || !loaded || (media.length === 0 && draft.length * 3 < loaded.engine.info.context)) return '';
    return tooLong(await current.tooLong([questionOf(draft.trim(), media)]), loaded.engine);
  }

  /** Something has changed in the library, here or in another tab. */
  private async heard(news: News): Promise<void> {
    const { current } = this;
    if (!current?.kept) return;
    if (news.of === 'lost' && news.chats.includes(current.id)) {
      await this.library.addAll([{ chat: current.record, messages: current.tree.all() }]);
      return this.tell(current, t(ChatText.theBrowserHasRemoved));
    }
    if ((news.of !== 'chat' && news.of !== 'messages') || news.chat !== current.id) return;
    if (!this.library.chats.has(current.id)) return this.gone(news.here);
    if (news.of === 'chat') this.nowKept(current);
    if (news.here && !this.watching.any) return;
    this.refresh(current, await this.library.messages(current.id));
    if (this.current === current) this.watchAnswers(current);
  }

  /** From the first question on a conversation has a place and a title. */
  private nowKept(conversation: Conversation): void {
    this.drafts.move(conversation.id);
    this.attachments.move(conversation.id);
    this.showTitle();
    this.frame.shown(conversation.id);
  }

  /** The conversation was deleted. */
  private gone(here: boolean): void {
    this.frame.newChat();
    if (!here) this.note(t(ChatText.theConversationThatWas));
  }

  private watchAnswers(conversation: Conversation): void {
    this.watching.of(conversation, this.answering.running.get(conversation.id)?.leaf);
  }

  /** Takes what is kept of a conversation now. */
  private refresh(conversation: Conversation, messages: MessageRecord[]): void {
    if (this.current !== conversation) return;
    conversation.refresh(messages);
    this.changed(conversation);
  }

  private onLost(error: RullamaError): void {
    if (!this.current) return;
    this.composer.setUsable(false);
    // Another file than it should be is no matter of the graphics card.
    if (error.code !== 'source-changed' && this.recovery.lost(this.current)) return;
    const card = errorCard(error, { label: t(ChatText.reloadModel), run: () => this.frame.reload() });
    this.log?.element.append(card);
    card.querySelector('button')?.focus();
    toEnd();
  }

  private showTitle(): void {
    const { current } = this;
    const title = current?.record.title || t(ChatText.newChat);
    this.title.textContent = this.loaded ? t(ChatText.titleWithLoaded, { title, loaded: this.loaded.name }) : title;
    document.title = current?.kept ? `${title} · rullama` : 'rullama';
  }

  private showState(): void {
    const { current, loaded } = this;
    if (!current || !loaded) return;
    this.composer.setRunning(current.running !== undefined);
    this.composer.showContext(current.tokens, loaded.engine.info.context);
    if (!current.running) void this.showMemory();
  }

  private async showMemory(): Promise<void> {
    const { engine } = this.loaded ?? {};
    const memory = await engine?.memory().catch(() => undefined);
    if (!engine || !memory || this.loaded?.engine !== engine) return;
    this.composer.showStatus(memoryText(engine, memory));
  }
}
