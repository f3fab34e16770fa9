// Where messages are written: the field, Send and Stop, what is wrong with the draft, and how full the context is.

import type { Engine } from 'rullama';
import { DictationPlace } from './dictation/place.ts';
import { h } from './dom.ts';
import { AddMenu, pastedMedia, type Named } from './media/add-menu.ts';
import { withPrompt } from './prompts/kept.ts';
import { ChatText } from './texts/en/chat.ts';
import { CommonText } from './texts/en/common.ts';
import { t } from './texts/text.ts';

/** Share of the context from which on the page warns. */
const NEARLY_FULL = 0.75;
/** Milliseconds without a key after which a long draft is measured. */
const REST = 300;

export class Composer {
  readonly element: HTMLFormElement;
  private readonly input = h('textarea', { id: 'prompt', rows: 1, dir: 'auto', placeholder: t(ChatText.writeAMessage), 'aria-label': t(ChatText.message), 'aria-describedby': 'draft-note', enterKeyHint: 'send' });
  private readonly send = h('button', { type: 'submit', className: 'primary', id: 'send' }, t(ChatText.send));
  private readonly stop = h('button', { type: 'button', id: 'stop', hidden: true }, t(CommonText.stop));
  private readonly note = h('p', { className: 'draft-note', id: 'draft-note', role: 'alert' });
  private readonly status = h('p', { id: 'status' });
  private readonly meter = h('meter', { min: 0, 'aria-label': t(ChatText.contextInUse) });
  private readonly used = h('span', {});
  private readonly context = h('p', { id: 'context', hidden: true }, this.meter, this.used);
  private readonly add: AddMenu;
  readonly dictation: DictationPlace;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `measure` gives what is wrong with a draft, in words, or nothing; `edited` runs whenever the draft has changed. */
  constructor(
    submit: (text: string) => void,
    stop: () => void,
    private readonly measure: (text: string) => Promise<string>,
    private readonly edited: () => void,
    /** Takes files beside the text, which `attachments` shows. */
    attach: (media: Named[]) => void,
    attachments: HTMLElement,
    tools: () => void,
    /** The model, and whether it writes an answer. */
    model: { engine(): Engine | undefined; busy(): boolean },
  ) {
    this.add = new AddMenu(attach, () => void this.choosePrompt(), tools);
    this.dictation = new DictationPlace({ ...model, field: this.input, focus: () => this.focus(), remark: (text) => this.complain(text) });
    const onsubmit = (event: Event) => {
      event.preventDefault();
      // What is heard from now on is no longer of this message.
      this.dictation.leave();
      submit(this.text);
    };
    // Focus goes here where a keyboard on the screen should stay closed.
    this.element = h('form', { className: 'composer', tabIndex: -1, onsubmit },
      this.note,
      attachments,
      this.dictation.line,
      h('div', { className: 'composer-row' }, this.add.button, this.add.field, this.input, this.dictation.button, this.send, this.stop),
      h('div', { className: 'status' }, this.status, this.context));
    this.input.addEventListener('keydown', (event) => {
      // An open input method takes Enter for itself.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      onsubmit(event);
    });
    this.input.addEventListener('input', () => this.changed());
    this.input.addEventListener('paste', (event) => {
      const media = pastedMedia(event.clipboardData);
      if (media.length === 0) return;
      event.preventDefault();
      attach(media);
    });
    this.stop.onclick = stop;
  }

  get text(): string {
    return this.input.value;
  }

  set text(text: string) {
    this.input.value = text;
    this.changed();
  }

  focus(): void {
    if (matchMedia('(pointer: coarse)').matches) this.element.focus();
    else this.input.focus();
  }

  /** What keeps the draft from being sent, or nothing. */
  complain(text: string): void {
    clearTimeout(this.timer);
    if (this.note.textContent !== text) this.note.textContent = text;
  }

  setUsable(usable: boolean): void {
    this.input.disabled = !usable;
    this.send.disabled = !usable;
    this.add.button.disabled = !usable;
    this.dictation.setUsable(usable);
  }

  /** Stop in place of Send. What has the focus keeps it, or hands it on when it goes. */
  setRunning(running: boolean): void {
    const focused = document.activeElement;
    this.send.hidden = running;
    this.stop.hidden = !running;
    this.dictation.show();
    if (running && focused === this.send) this.stop.focus();
    else if (!running && focused === this.stop) this.focus();
  }

  /** For what started an answer and is gone: stopping it is what can be done now. */
  focusStop(): void {
    if (!this.stop.hidden) this.stop.focus();
  }

  showStatus(text: string): void {
    this.status.textContent = text;
  }

  showContext(used: number, context: number): void {
    this.context.hidden = used === 0;
    const nearly = used >= NEARLY_FULL * context;
    Object.assign(this.meter, { max: context, high: NEARLY_FULL * context, optimum: 0, value: used });
    const warning = nearly ? `. ${t(ChatText.theOldestMessagesWill)}` : '';
    this.used.textContent = t(ChatText.contextUsedOfToken, { used, context }) + warning;
    this.context.classList.toggle('nearly-full', nearly);
  }

  /** Puts a prompt before what is written. */
  begin(prompt: string): void {
    this.text = withPrompt(prompt, this.text);
    this.input.focus();
  }

  private async choosePrompt(): Promise<void> {
    const panel = await import('./prompts/panel.ts').catch(() => undefined);
    if (panel) new panel.PromptPanel(this.text, (prompt) => this.begin(prompt)).show();
    else this.complain(t(ChatText.thePromptsCannotBe));
  }

  private changed(): void {
    this.input.style.height = 'auto';
    this.input.style.height = `${Math.min(this.input.scrollHeight + 2, 200)}px`;
    this.complain('');
    this.edited();
    const { text } = this;
    this.timer = setTimeout(() => {
      void this.measure(text).then((problem) => this.text === text && this.complain(problem), () => undefined);
    }, REST);
  }
}
