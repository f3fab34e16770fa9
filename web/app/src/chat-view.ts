// The third view: the conversation, and those before it.

import { RullamaError, type ChatEvent, type Engine, type Example, type Message, type Summary } from 'rullama';
import { AnswerView, questionElement, resultElement } from './answer-view.ts';
import { Composer } from './composer.ts';
import { Conversation } from './conversation.ts';
import { copyButton, h } from './dom.ts';
import { errorCard } from './error-card.ts';
import { markOf, optionsFor, runCalls } from './examples.ts';
import { bytes, count } from './format.ts';
import type { Settings } from './settings.ts';

export interface Loaded {
  engine: Engine;
  name: string;
  /** What to know about the model before believing it. */
  caution?: string;
  examples: Example[];
}

/** Most rounds of tool calls that the page answers after a question. */
const TOOL_ROUNDS = 4;

export class ChatView {
  private readonly title = h('h1', { className: 'visually-hidden', id: 'chat-title' });
  private readonly composer: Composer;
  private loaded: Loaded | undefined;
  private current: Conversation | undefined;
  /** Conversations that were left; all of them last as long as the page. */
  private readonly earlier: Conversation[] = [];
  /** A message that was sent while the answer before it was being stopped. */
  private waiting: string | undefined;

  /** `reload` loads the model anew, with a context of so many tokens where that is given. */
  constructor(
    private readonly root: HTMLElement,
    private readonly settings: Settings,
    private readonly reload: (context?: number) => void,
  ) {
    this.composer = new Composer((text) => this.submit(text), () => this.current?.running?.abort(), (text) => this.problemWith(text));
    this.root.append(this.title, this.composer.element);
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !this.settings.dialog.open && !this.root.hidden) this.current?.running?.abort();
    });
  }

  /** Whether the page holds something that would be lost with it. */
  get precious(): boolean {
    return Boolean(this.current?.asked) || this.earlier.length > 0 || this.composer.text.trim() !== '';
  }

  /** Shows the view for a model, with a new conversation, or going on with the current one. */
  show(loaded: Loaded, { goOn = false } = {}): void {
    this.loaded = loaded;
    this.root.hidden = false;
    this.title.textContent = `Chat with ${loaded.name}`;
    if (goOn && this.current?.asked) this.resume(this.current);
    else this.newChat();
    void this.showMemory();
    void loaded.engine.lost.then((error) => {
      if (this.loaded === loaded) this.onLost(error);
    });
  }

  /** Leaves the model; the conversations stay. */
  hide(): void {
    this.current?.close();
    this.loaded = undefined;
    this.root.hidden = true;
  }

  newChat(): void {
    const { current, loaded } = this;
    if (!loaded) return;
    current?.close();
    if (current?.asked || current?.running) this.earlier.push(current);
    this.waiting = undefined;
    const conversation = new Conversation(loaded.engine, this.settings.chat());
    conversation.log.append(this.emptyState());
    this.attach(conversation);
    this.composer.focus();
  }

  /** Chat settings changed: an empty chat takes them at once, a longer one says when they apply. */
  settingsChanged(): void {
    if (!this.current || !this.loaded) return;
    if (!this.current.asked) this.newChat();
    else this.tell(this.current, 'The new system prompt and thinking setting apply from the next new chat.');
  }

  /** A note at the end of the conversation. */
  note(text: string): void {
    if (this.current) this.tell(this.current, text);
  }

  private tell(conversation: Conversation, text: string): void {
    conversation.log.append(h('p', { className: 'note' }, text));
    this.toEnd(conversation);
  }

  private attach(conversation: Conversation): void {
    this.current?.log.remove();
    this.current = conversation;
    this.title.after(conversation.log);
    this.composer.setUsable(true);
    this.composer.complain('');
    this.showState(conversation);
  }

  /** Goes on with a conversation that was left, or whose engine was lost. */
  private resume(conversation: Conversation): void {
    if (!this.loaded) return;
    conversation.resume(this.loaded.engine);
    for (const card of conversation.log.querySelectorAll('.error, .resume')) card.remove();
    this.attach(conversation);
    if (conversation.unanswered && !conversation.running) {
      const button = h('button', { type: 'button', onclick: () => (row.remove(), this.retry(conversation)) }, 'Answer this');
      const row = h('p', { className: 'note resume' }, button);
      conversation.log.append(row);
    }
    this.toEnd(conversation);
    this.composer.focus();
  }

  private goBack(): void {
    const conversation = this.earlier.pop();
    if (conversation) this.resume(conversation);
  }

  private emptyState(): HTMLElement {
    const { caution, examples = [], name = '' } = this.loaded ?? {};
    const example = (shown: Example) => {
      const mark = markOf(shown);
      return h('button', { type: 'button', className: 'example', dir: 'auto', onclick: () => this.askExample(shown) }, shown.text, mark !== '' && h('small', {}, mark));
    };
    return h('div', { className: 'empty' },
      h('h2', {}, name),
      caution ? h('p', { className: 'caution' }, caution) : null,
      examples.length > 0 && h('div', { className: 'examples' }, ...examples.map(example)),
      this.earlier.length > 0 && h('button', { type: 'button', className: 'quiet', id: 'previous-chat', onclick: () => this.goBack() }, 'Back to the previous chat'));
  }

  /** An example that needs thinking or tools gets a conversation that has them. */
  private askExample(example: Example): void {
    const options = optionsFor(example);
    if (!this.loaded || !this.current || this.current.running) return;
    if (options) {
      this.current.close();
      const conversation = new Conversation(this.loaded.engine, { ...this.settings.chat(), ...options });
      conversation.log.append(this.emptyState());
      this.attach(conversation);
    }
    void this.ask(this.current, example.text);
    this.composer.focusStop();
  }

  private submit(text: string): void {
    const { current } = this;
    if (!current || !this.loaded || text.trim() === '') return;
    // After a stop the message waits for the end of the answer, unless it is changed until then.
    if (current.running) {
      if (current.running.signal.aborted) this.waiting = text;
      return;
    }
    this.composer.text = '';
    void this.ask(current, text.trim());
  }

  /** Sends a message that was written; it comes back into the field when the model does not get it. */
  private async ask(conversation: Conversation, text: string): Promise<void> {
    conversation.rounds = 0;
    const problem = await this.say(conversation, [{ role: 'user', content: text }]);
    if (problem === undefined) return;
    this.composer.text = [text, this.composer.text].filter((part) => part !== '').join('\n');
    this.composer.complain(problem);
  }

  private async problemWith(draft: string): Promise<string> {
    const { current, loaded } = this;
    // A token is at least a byte, so that only long drafts need counting.
    if (!current || !loaded || draft.length * 3 < loaded.engine.info.context) return '';
    return tooLong(await current.tooLong([{ role: 'user', content: draft.trim() }]), loaded.engine);
  }

  /** Sends messages and shows the answer. Gives why the model did not get them, empty where a card says so. */
  private async say(conversation: Conversation, question: Message[]): Promise<string | undefined> {
    const { loaded } = this;
    if (!loaded) return '';
    const options = this.settings.generate();
    // What a person wrote is in the field again; a tool's results are not.
    const again = () => (question[0]?.role === 'user' ? this.submit(this.composer.text) : void this.say(conversation, question));
    const controller = this.begin(conversation);
    try {
      const fit = await conversation.makeRoom(question, options.maxTokens);
      if (fit.over > 0) {
        this.end(conversation, controller);
        return tooLong(fit.over, loaded.engine);
      }
      if (fit.dropped) this.tellDropped(conversation, loaded.engine);
    } catch (thrown) {
      this.end(conversation, controller);
      this.failed(conversation, RullamaError.from(thrown), again);
      return '';
    }
    conversation.log.querySelector('.empty')?.remove();
    conversation.asked = true;
    const shown = question.map((message) => (message.role === 'tool' ? resultElement(message) : questionElement(message.content)));
    conversation.log.append(...shown);
    const events = (signal: AbortSignal) => conversation.chat.send(question, { ...options, signal });
    const { view, reply, summary, error } = await this.answer(conversation, controller, events);
    if (!error || interrupts(error)) {
      conversation.record(question, reply, summary);
      // Without a word of an answer the question waits for one.
      if (error && view.text === '') {
        conversation.takeBack();
        view.element.remove();
      }
      this.showState(conversation);
      if (!error) this.goOn(conversation, view, summary);
      return undefined;
    }
    for (const element of [...shown, view.element]) element.remove();
    conversation.asked = conversation.messages.length > 0;
    this.failed(conversation, error, again);
    return '';
  }

  private retry(conversation: Conversation): void {
    if (conversation.running || !this.loaded) return;
    const old = [...conversation.log.querySelectorAll<HTMLElement>('.message.model')].at(-1);
    const replaced = conversation.unanswered ? undefined : old;
    replaced?.remove();
    const taken = conversation.takeBack();
    conversation.rounds = 0;
    const controller = this.begin(conversation);
    const events = (signal: AbortSignal) => conversation.chat.retry({ ...this.settings.generate(), signal });
    void this.answer(conversation, controller, events).then(({ view, reply, summary, error }) => {
      if (error) {
        // The engine's conversation is as before, and so is the page's.
        conversation.messages.push(...taken);
        if (replaced) view.element.replaceWith(replaced);
        else view.element.remove();
        this.failed(conversation, error, () => this.retry(conversation));
      } else {
        conversation.record([], reply, summary);
      }
      this.showState(conversation);
      if (!error) this.goOn(conversation, view, summary);
    });
  }

  /** Shows an answer as it is written, to its end. */
  private async answer(conversation: Conversation, controller: AbortController, events: (signal: AbortSignal) => AsyncIterable<ChatEvent>) {
    const following = this.isAtEnd() || !conversation.log.querySelector('.message.model');
    const view = new AnswerView(() => following && this.isAtEnd(160) && this.toEnd(conversation));
    // Only the latest answer can be regenerated.
    for (const tool of conversation.log.querySelectorAll('.regenerate')) tool.remove();
    conversation.log.append(view.element);
    this.toEnd(conversation);
    let summary: Summary | undefined;
    let error: RullamaError | undefined;
    try {
      for await (const event of events(controller.signal)) {
        if (event.type === 'done') summary = event.summary;
        else view.add(event);
      }
    } catch (thrown) {
      error = RullamaError.from(thrown);
    }
    view.finish(summary, ...(error && view.text === '' ? [] : this.toolsFor(conversation, view)));
    this.end(conversation, controller);
    if (this.current === conversation) void this.showMemory();
    return { view, reply: view.message(), summary, error };
  }

  private begin(conversation: Conversation): AbortController {
    const controller = new AbortController();
    conversation.running = controller;
    this.showState(conversation);
    return controller;
  }

  private end(conversation: Conversation, controller: AbortController): void {
    if (conversation.running !== controller) return;
    conversation.running = undefined;
    if (this.current !== conversation) return conversation.close();
    this.showState(conversation);
    const { waiting } = this;
    this.waiting = undefined;
    // After everything that the end of this answer leads to, and only if nothing else was written since.
    if (waiting !== undefined) setTimeout(() => this.current === conversation && waiting === this.composer.text && this.submit(waiting));
  }

  /** Runs the tools that an answer calls, and lets the model go on from what they give. */
  private goOn(conversation: Conversation, view: AnswerView, summary: Summary | undefined): void {
    if (summary?.finish !== 'tool-call' || conversation !== this.current || conversation.rounds >= TOOL_ROUNDS) return;
    const results = runCalls(view.calls, conversation.tools);
    if (!results || conversation.running) return;
    conversation.rounds += 1;
    void this.say(conversation, results).then((problem) => problem && this.tell(conversation, problem));
  }

  /** Says what failed, unless nobody needs to hear it. */
  private failed(conversation: Conversation, error: RullamaError, again: () => void): void {
    if (error.code === 'cancelled' || interrupts(error)) return;
    const does = (run: () => void) => () => (card.remove(), run());
    const card = errorCard(error, { label: 'Try again', run: does(again) }, { label: 'New chat', run: does(() => this.newChat()) });
    conversation.log.append(card);
    this.toEnd(conversation);
  }

  private onLost(error: RullamaError): void {
    const { current } = this;
    if (!current) return;
    this.composer.setUsable(false);
    const card = errorCard(error, { label: 'Reload model', run: () => this.reload() });
    current.log.append(card);
    card.querySelector('button')?.focus();
    this.toEnd(current);
  }

  /** Marks in the log from where on the model reads. */
  private tellDropped(conversation: Conversation, engine: Engine): void {
    const { context, trainedContext } = engine.info;
    conversation.log.querySelector('.dropped')?.remove();
    const larger = Math.min(trainedContext, 2 * context);
    const mark = h('p', { className: 'note dropped', role: 'status' },
      `The context of ${count(context, 'token', 'tokens')} is full: from here on the model reads only what is below this line. `,
      larger > context && h('button', { type: 'button', className: 'quiet', onclick: () => this.reload(larger) }, `Reload with ${larger.toLocaleString('en')}`));
    const first = conversation.log.querySelectorAll('.message.user')[conversation.firstTurn];
    if (first) first.before(mark);
    else conversation.log.append(mark);
  }

  private toolsFor(conversation: Conversation, view: AnswerView): HTMLElement[] {
    const again = h('button', { type: 'button', className: 'quiet tool regenerate' }, 'Regenerate');
    again.onclick = () => {
      this.retry(conversation);
      this.composer.focusStop();
    };
    return [copyButton(() => view.text), again];
  }

  private showState(conversation: Conversation): void {
    if (conversation !== this.current || !this.loaded) return;
    this.composer.setRunning(conversation.running !== undefined);
    this.composer.showContext(conversation.tokens, this.loaded.engine.info.context);
  }

  private async showMemory(): Promise<void> {
    const { engine } = this.loaded ?? {};
    const memory = await engine?.memory().catch(() => undefined);
    if (!engine || !memory || this.loaded?.engine !== engine) return;
    const { device, ple } = engine.info;
    const parts = [`GPU ${bytes(memory.gpuBytes)}`, `wasm ${bytes(memory.wasmBytes)}`];
    // Browsers often keep the GPU's name to themselves.
    if (device) parts.push(device);
    if (ple !== 'none') parts.push(`per-layer embeddings ${ple}`);
    this.composer.showStatus(parts.join(' · '));
  }

  private isAtEnd(slack = 80): boolean {
    const page = document.documentElement;
    return page.scrollHeight - page.clientHeight - page.scrollTop <= slack;
  }

  private toEnd(conversation: Conversation): void {
    if (conversation === this.current) window.scrollTo({ top: document.documentElement.scrollHeight });
  }
}

/** Whether the engine went away under an answer: what there is of it stays, and can be asked for again. */
const interrupts = ({ code }: RullamaError) => code === 'device-lost' || code === 'closed';

function tooLong(over: number, engine: Engine): string {
  if (over === 0) return '';
  const context = count(engine.info.context, 'token', 'tokens');
  return `This message is too long by ${count(over, 'token', 'tokens')}: the model reads ${context} at a time. Shorten it, or load the model with a larger context.`;
}
