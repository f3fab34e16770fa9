// The microphone beside the message field: what is spoken is written there. How that is possible is looked up with a model, and what
// listens is loaded when it is first used.

import type { Engine } from 'rullama';
import { h } from '../dom.ts';
import { stop as stopReading } from '../voice.ts';
import { DictationText } from '../texts/en/dictation.ts';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';
import type { Way } from './ways.ts';

export interface Around {
  readonly field: HTMLTextAreaElement;
  engine(): Engine | undefined;
  /** Whether the model writes an answer. */
  busy(): boolean;
  focus(): void;
  /** Says what went wrong, and what to do. */
  remark(text: string): void;
}

/** One dictation, from the press of the button to its end. */
export interface Session extends Around {
  /** Where it says what goes on. */
  readonly line: HTMLElement;
  /** Nothing more is listened to; what was heard is still written. */
  readonly done: AbortSignal;
  finish(): void;
  /** It is over: nothing more is written. */
  readonly left: AbortSignal;
  leave(): void;
}

export class DictationPlace {
  readonly button = h('button', { type: 'button', className: 'quiet dictate', id: 'dictate', hidden: true, 'aria-label': t(DictationText.dictate), onclick: () => this.press() });
  readonly line = h('p', { className: 'listening' });
  private way: Way | undefined;
  private usable = false;
  /** Where a person has decided for the model, or the browser could not do it. */
  private byModel = false;
  private session: Session | undefined;

  constructor(private readonly around: Around) {}

  /** Another model is loaded, or it has other towers. */
  async look(): Promise<void> {
    const engine = this.around.engine();
    const way = await import('./ways.ts').then(({ wayOf }) => wayOf(engine, this.byModel), () => undefined);
    if (engine !== this.around.engine()) return;
    this.way = way;
    this.show();
  }

  setUsable(usable: boolean): void {
    this.usable = usable;
    if (!usable) this.leave();
    this.show();
  }

  /** Whether it can be begun may be another matter now. */
  show(): void {
    const { button, way, session } = this;
    const waits = way === 'model' && !session && this.around.busy();
    button.hidden = way === undefined;
    button.disabled = !this.usable || waits;
    button.title = t(waits ? DictationText.theModelIsAnswering : DictationText.dictate);
    button.setAttribute('aria-pressed', String(session !== undefined));
  }

  /** Ends it at once: the field is another message's from now on. */
  leave(): void {
    const { session } = this;
    this.session = undefined;
    session?.leave();
    if (this.line.contains(document.activeElement)) this.around.focus();
    this.line.replaceChildren();
    this.show();
  }

  /** Begins; ends listening; ends what is left to do. */
  private press(): void {
    const { session } = this;
    if (!session) void this.run();
    else if (session.done.aborted) this.leave();
    else session.finish();
  }

  private async run(): Promise<void> {
    const [done, left] = [new AbortController(), new AbortController()];
    const { around, line } = this;
    const session: Session = { ...around, line, done: done.signal, finish: () => done.abort(), left: left.signal, leave: () => left.abort() };
    this.session = session;
    // It would be heard.
    stopReading();
    around.remark('');
    this.show();
    try {
      const loaded = await import('./dictate.ts').catch(() => undefined);
      if (!loaded) around.remark(t(MediaText.thePagesServerCannot));
      else if (await loaded.dictate(session, this.way === 'model')) {
        this.byModel = true;
        this.way = 'model';
      }
    } finally {
      if (this.session === session) this.leave();
    }
  }
}
