// The third view: the conversation.

import { RullamaError, type Chat, type ChatEvent, type Engine, type Example, type Summary, type Tool } from 'rullama';
import { AnswerView, questionElement, resultElement } from './answer-view.ts';
import { h } from './dom.ts';
import { errorCard } from './error-card.ts';
import { markOf, optionsFor, runCalls } from './examples.ts';
import { bytes } from './format.ts';
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
  private readonly log = h('div', { className: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': 'Conversation' });
  private readonly input = h('textarea', { id: 'prompt', rows: 1, placeholder: 'Write a message', 'aria-label': 'Message', enterKeyHint: 'send' });
  private readonly send = h('button', { type: 'submit', className: 'primary', id: 'send' }, 'Send');
  private readonly stop = h('button', { type: 'button', id: 'stop', hidden: true }, 'Stop');
  private readonly status = h('p', { className: 'status', id: 'status' });
  private loaded: Loaded | undefined;
  private chat: Chat | undefined;
  private running: AbortController | undefined;
  private latest: AnswerView | undefined;
  /** Tools of this conversation that the page runs, and the rounds of calls since the question. */
  private tools: Tool[] = [];
  private rounds = 0;

  constructor(
    private readonly root: HTMLElement,
    private readonly settings: Settings,
    private readonly reload: () => void,
  ) {
    const form = h('form', { className: 'composer', onsubmit: (event: Event) => this.submit(event) },
      h('div', { className: 'composer-row' }, this.input, this.send, this.stop), this.status);
    this.root.append(this.log, form);
    this.input.addEventListener('keydown', (event) => this.onKey(event));
    this.input.addEventListener('input', () => this.fitInput());
    this.stop.onclick = () => this.running?.abort();
    document.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.running && !this.settings.dialog.open) this.running.abort();
    });
  }

  show(loaded: Loaded): void {
    this.loaded = loaded;
    this.root.hidden = false;
    this.newChat();
    void this.showMemory();
    void loaded.engine.lost.then((error) => {
      if (this.loaded === loaded) this.onLost(error);
    });
  }

  hide(): void {
    this.running?.abort();
    this.loaded = undefined;
    this.root.hidden = true;
  }

  newChat(): void {
    this.running?.abort();
    void this.chat?.close().catch(() => undefined);
    this.chat = this.loaded?.engine.chat(this.settings.chat());
    this.latest = undefined;
    this.tools = [];
    this.log.replaceChildren(this.emptyState());
    this.setUsable(true);
    this.input.focus();
  }

  /** Chat settings changed: an empty chat takes them at once, a longer one says when they apply. */
  settingsChanged(): void {
    if (!this.loaded) return;
    if (!this.latest) this.newChat();
    else this.log.append(h('p', { className: 'note' }, 'The new system prompt and thinking setting apply from the next new chat.'));
  }

  private emptyState(): HTMLElement {
    const { caution, examples = [], name = '' } = this.loaded ?? {};
    const example = (shown: Example) => {
      const mark = markOf(shown);
      return h('button', { type: 'button', className: 'example', onclick: () => this.askExample(shown) }, shown.text, mark !== '' && h('small', {}, mark));
    };
    return h('div', { className: 'empty' },
      h('h2', {}, name),
      caution ? h('p', { className: 'caution' }, caution) : null,
      examples.length > 0 && h('div', { className: 'examples' }, ...examples.map(example)));
  }

  /** An example that needs thinking or tools gets a conversation that has them. */
  private askExample(example: Example): void {
    const options = optionsFor(example);
    if (options && this.loaded && !this.running) {
      void this.chat?.close().catch(() => undefined);
      this.chat = this.loaded.engine.chat({ ...this.settings.chat(), ...options });
      this.tools = options.tools ?? [];
    }
    this.ask(example.text);
  }

  private onKey(event: KeyboardEvent): void {
    // An open input method takes Enter for itself.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.ask(this.input.value);
  }

  private submit(event: Event): void {
    event.preventDefault();
    this.ask(this.input.value);
  }

  private ask(text: string): void {
    const message = text.trim();
    if (message === '' || this.running || !this.chat) return;
    this.input.value = '';
    this.fitInput();
    this.log.querySelector('.empty')?.remove();
    this.log.append(questionElement(message));
    const { chat } = this;
    this.rounds = 0;
    void this.answer((signal) => chat.send(message, { ...this.settings.generate(), signal }));
  }

  private retry(): void {
    if (this.running || !this.chat) return;
    this.latest?.element.remove();
    this.rounds = 0;
    const { chat } = this;
    void this.answer((signal) => chat.retry({ ...this.settings.generate(), signal }));
  }

  private async answer(start: (signal: AbortSignal) => AsyncIterable<ChatEvent>): Promise<void> {
    const controller = new AbortController();
    const following = this.isAtEnd() || !this.latest;
    const view = new AnswerView(() => following && this.isAtEnd(160) && this.toEnd());
    this.clearTools();
    this.latest = view;
    this.log.append(view.element);
    this.toEnd();
    this.setRunning(controller);
    let summary: Summary | undefined;
    try {
      for await (const event of start(controller.signal)) {
        if (event.type === 'done') summary = event.summary;
        else view.add(event);
      }
      view.finish(summary, ...this.toolsFor(view));
    } catch (thrown) {
      this.failed(view, RullamaError.from(thrown), () => void this.answer(start));
    } finally {
      if (this.running === controller) this.setRunning(undefined);
      void this.showMemory();
    }
    if (summary?.finish === 'tool-call') this.goOn(view);
  }

  /** Runs the tools that an answer calls, and lets the model go on from what they give. */
  private goOn(view: AnswerView): void {
    const { chat } = this;
    const results = this.rounds < TOOL_ROUNDS ? runCalls(view.calls, this.tools) : undefined;
    if (!results || !chat || this.running || !view.element.isConnected) return;
    this.rounds += 1;
    this.log.append(...results.map(resultElement));
    void this.answer((signal) => chat.send(results, { ...this.settings.generate(), signal }));
  }

  private failed(view: AnswerView, error: RullamaError, again: () => void): void {
    view.finish(undefined);
    if (error.code === 'cancelled' || !view.element.isConnected) return;
    if (view.text === '') view.element.remove();
    // The loss of the device has a card of its own, with the way back.
    if (error.code === 'device-lost' || this.log.querySelector('[data-code="device-lost"]')) return;
    const card = errorCard(error, { label: 'Try again', run: () => (card.remove(), again()) }, { label: 'New chat', run: () => this.newChat() });
    this.log.append(card);
    this.toEnd();
  }

  private onLost(error: RullamaError): void {
    this.setUsable(false);
    this.log.append(errorCard(error, { label: 'Reload model', run: this.reload }));
    this.toEnd();
  }

  private toolsFor(view: AnswerView): HTMLElement[] {
    const copy = h('button', { type: 'button', className: 'quiet tool' }, 'Copy');
    copy.onclick = async () => {
      const done = await navigator.clipboard.writeText(view.text).then(() => true, () => false);
      copy.textContent = done ? 'Copied' : 'Not allowed';
    };
    const again = h('button', { type: 'button', className: 'quiet tool regenerate', onclick: () => this.retry() }, 'Regenerate');
    return [copy, again];
  }

  /** Only the latest answer can be regenerated. */
  private clearTools(): void {
    for (const tool of this.log.querySelectorAll('.regenerate')) tool.remove();
  }

  private setRunning(controller: AbortController | undefined): void {
    this.running = controller;
    this.send.hidden = controller !== undefined;
    this.stop.hidden = controller === undefined;
  }

  private setUsable(usable: boolean): void {
    this.input.disabled = !usable;
    this.send.disabled = !usable;
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
    this.status.textContent = parts.join(' · ');
  }

  private fitInput(): void {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 200)}px`;
  }

  private isAtEnd(slack = 80): boolean {
    const page = document.documentElement;
    return page.scrollHeight - page.clientHeight - page.scrollTop <= slack;
  }

  private toEnd(): void {
    window.scrollTo({ top: document.documentElement.scrollHeight });
  }
}
