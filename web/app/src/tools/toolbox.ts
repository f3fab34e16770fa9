// The tools of a conversation: what the model is told of them, and the way to what runs calls and to the dialog, which are loaded when
// they are needed.

import type { FunctionTool, Message, ToolCall } from 'rullama';
import type { Library } from '../chats/library.ts';
import type { ChatRecord } from '../chats/records.ts';
import { h } from '../dom.ts';
import { toast } from '../toast.ts';
import { EXAMPLE_TOOL, readTools, toolNamed, writeTools, type KeptTools } from './kept.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { t } from '../texts/text.ts';

/** Calls of an answer, and where a person is asked about them. */
export interface Asked {
  calls: ToolCall[];
  record: ChatRecord;
  place: HTMLElement;
  signal: AbortSignal;
  /** Characters of a result that there is room for. */
  most: number;
}

export class Toolbox {
  /** Says beside the message field which tools are on. */
  readonly button = h('button', { type: 'button', id: 'tools-on', className: 'tools-on', hidden: true, onclick: () => void this.open() });
  kept = readTools();
  private record: ChatRecord | undefined;

  /** `changed` runs when the conversation that is shown has other tools. */
  constructor(
    private readonly library: Library,
    private readonly changed: () => void,
  ) {
    // Another tab has changed them.
    window.addEventListener('storage', () => {
      this.kept = readTools();
      this.draw();
    });
  }

  /** What a new conversation begins with. */
  get initial(): string[] {
    return this.kept.initial.filter((name) => toolNamed(name, this.kept));
  }

  /** The tools of these names; what is not here any more is left out. */
  named(names: string[]): FunctionTool[] {
    return names.flatMap((name) => toolNamed(name, this.kept) ?? []);
  }

  /** Shows those of a conversation. */
  show(record: ChatRecord): void {
    this.record = record;
    this.draw();
  }

  /** Keeps what a person added or changed; says so where it cannot be. */
  keep(kept: KeptTools): void {
    this.kept = kept;
    if (!writeTools(kept)) toast(t(ToolsText.theBrowserKeepsNo), { ms: 12_000 });
    this.draw();
  }

  /** Puts other tools in place of those of a conversation. */
  async set(record: ChatRecord, names: string[]): Promise<void> {
    record.tools = names;
    this.draw();
    this.changed();
    await this.library.patch(record.id, { tools: names });
  }

  /** Lets the model call a tool in a conversation without asking again; `what` is its name, or the host that it reads. */
  async allow(record: ChatRecord, what: string): Promise<void> {
    record.allowed = [...new Set([...(record.allowed ?? []), what])];
    await this.library.patch(record.id, { allowed: record.allowed });
  }

  /** Asks before each call of a conversation again. */
  async forbid(record: ChatRecord): Promise<void> {
    record.allowed = [];
    await this.library.patch(record.id, { allowed: [] });
  }

  /** Whether a call is of a tool that this conversation has: else there is nothing that the page could go on with. */
  takes(calls: ToolCall[], { tools }: ChatRecord): boolean {
    return calls.length > 0 && this.named(tools).length > 0;
  }

  /** Runs calls that a person allows; gives what each tool says, or why it said nothing. Aborting gives up. */
  async answer(asked: Asked): Promise<Message[]> {
    const { answerCalls } = await import('./tool-calls.ts');
    return answerCalls(this, asked);
  }

  async open(): Promise<void> {
    const { record } = this;
    if (!record) return;
    try {
      const { openTools } = await import('./tool-panel.ts');
      await openTools(this, record);
    } catch (thrown) {
      toast(t(ToolsText.theToolsCannotBe, { value: thrown instanceof Error ? thrown.message : String(thrown) }), { ms: 12_000 });
    }
  }

  private draw(): void {
    const names = this.named(this.record?.tools ?? []).map(({ name }) => name).filter((name) => name !== EXAMPLE_TOOL.name);
    this.button.hidden = names.length === 0;
    this.button.textContent = t(ToolsText.toolOn, { names: names.length });
    this.button.title = names.join(', ');
  }
}
