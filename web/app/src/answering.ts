// What happens between a question and the end of its answer: both are kept as they come, tools are run, failures leave all as it was.

import { RullamaError, type Engine, type Message, type Prefill, type Summary } from 'rullama';
import type { Library } from './chats/library.ts';
import { messageOf, newId, type MessageRecord } from './chats/records.ts';
import { titleFrom } from './chats/words.ts';
import { Writing } from './chats/writing.ts';
import type { Trial } from './compare/trial.ts';
import type { Conversation } from './conversation.ts';
import type { KeptKeys } from './kept-keys/keys.ts';
import type { Question } from './media/documents.ts';
import { wordsOf, type MediaRecord } from './media/records.ts';
import type { Settings } from './settings.ts';
import type { Toolbox } from './tools/toolbox.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

/** Most rounds of tool calls that the page answers after a question. */
const TOOL_ROUNDS = 12;

/** Most characters of a tool's result; fewer where the context has no room for them. */
const MOST_RESULT = 16_000;

/** What the page shows of it. */
export interface Stage {
  /** The model at work; nothing where none is loaded. */
  readonly engine: Engine | undefined;
  readonly modelName: string;
  /** Turns have come, gone or ended, or an answer begins or ends. */
  changed(conversation: Conversation): void;
  /** The text of an answer has grown. */
  grown(conversation: Conversation, message: MessageRecord): void;
  /** Older messages were left out. */
  dropped(conversation: Conversation): void;
  /** An answer failed; `again` tries once more. */
  failed(conversation: Conversation, error: RullamaError, again: () => void): void;
  /** A prompt is being read for an answer. */
  reading(conversation: Conversation, message: MessageRecord, at: Prefill): void;
  /** Where calls of a conversation are confirmed; nothing where it is not shown. */
  placeOf(conversation: Conversation): HTMLElement | undefined;
  /** A remark at the end of the conversation. */
  tell(conversation: Conversation, text: string): void;
}

interface Outcome {
  record: MessageRecord;
  summary: Summary | undefined;
  error: RullamaError | undefined;
}

export class Answering {
  /** Conversations with an answer in progress, also those that were left. */
  readonly running = new Map<string, Conversation>();

  constructor(
    private readonly stage: Stage,
    private readonly library: Library,
    private readonly settings: Settings,
    private readonly tools: Toolbox,
    private readonly keys?: KeptKeys,
  ) {}

  /**
   * Sends messages behind the path, or behind `parent` as another version of what follows there. Gives why the model did not get
   * them, empty where a card says so; nothing where it did.
   */
  async say(conversation: Conversation, question: Question[], again: () => void, parent = conversation.leaf): Promise<string | undefined> {
    const { engine } = this.stage;
    if (!engine || conversation.running) return '';
    const before = conversation.leaf;
    const isNew = !conversation.kept;
    const controller = this.begin(conversation);
    let asked: MessageRecord[] = [];
    try {
      const path = conversation.tree.path(parent);
      const { over, dropped } = await conversation.makeRoom(question, path, this.settings.generate(conversation.record.settings).maxTokens);
      if (over > 0) {
        this.end(conversation, controller);
        return tooLong(over, engine);
      }
      asked = this.ask(conversation, question, parent);
      if (dropped) this.stage.dropped(conversation);
    } catch (thrown) {
      this.end(conversation, controller);
      this.stage.failed(conversation, RullamaError.from(thrown), again);
      return '';
    }
    const outcome = await this.answer(conversation, controller, asked);
    const { error } = outcome;
    if (!error || interrupts(error)) {
      if (!error) this.goOnFrom(conversation, outcome);
      return undefined;
    }
    await this.takeBack(conversation, asked, before, isNew);
    this.stage.failed(conversation, error, again);
    return '';
  }

  /** Answers the message that `answer` answers once more, as another version. */
  async regenerate(conversation: Conversation, parent: string | null): Promise<void> {
    if (conversation.running || !this.stage.engine) return;
    const before = conversation.leaf;
    const controller = this.begin(conversation);
    conversation.rounds = 0;
    conversation.show(parent);
    const outcome = await this.answer(conversation, controller, []);
    if (!outcome.error) return this.goOnFrom(conversation, outcome);
    if (!conversation.tree.get(outcome.record.id)) conversation.show(before);
    this.stage.changed(conversation);
    this.stage.failed(conversation, outcome.error, () => void this.regenerate(conversation, parent));
  }

  /** Answers what `first` answers once more, as `trial` says; what was shown is shown again. */
  async tryBeside(conversation: Conversation, first: MessageRecord, trial: Trial): Promise<Partial<Outcome>> {
    if (conversation.running || !this.stage.engine) return {};
    const before = conversation.leaf;
    const controller = this.begin(conversation);
    conversation.trial = { settings: trial.settings, ...(trial.adapters && { adapters: trial.adapters }) };
    conversation.show(first.parent);
    try {
      return await this.answer(conversation, controller, []);
    } finally {
      conversation.trial = undefined;
      this.end(conversation, controller);
      if (conversation.tree.get(before)) conversation.show(before);
      this.stage.changed(conversation);
      await this.library.patch(conversation.id, { leaf: conversation.leaf });
    }
  }

  /** Another version was chosen. */
  shownAgain(conversation: Conversation): void {
    this.stage.changed(conversation);
  }

  /** Goes on with an answer that was cut. */
  async goOn(conversation: Conversation, cut: MessageRecord): Promise<void> {
    if (conversation.running || !this.stage.engine) return;
    const controller = this.begin(conversation);
    conversation.show(cut.id);
    const outcome = await this.answer(conversation, controller, [], cut);
    if (!outcome.error) return this.goOnFrom(conversation, outcome);
    this.stage.failed(conversation, outcome.error, () => void this.goOn(conversation, conversation.tree.get(cut.id) ?? cut));
  }

  /** Puts a changed text beside a message, as another version; one that is not the model's is answered. Gives what `say` does. */
  async edit(conversation: Conversation, message: MessageRecord, text: string, again: () => void): Promise<string | undefined> {
    const { media, ...said } = messageOf(message);
    const { documents } = message;
    const changed = { ...said, content: text, ...(documents && { documents }) };
    conversation.rounds = 0;
    if (message.role !== 'model' && this.stage.engine) return this.say(conversation, [{ ...changed, ...(media && { media }) }], again, message.parent);
    conversation.show(message.parent);
    const record: MessageRecord = { ...this.blank(conversation, message.role), ...changed, ...(message.media && { media: message.media }), role: message.role, ...(message.role === 'model' && { edited: true }) };
    conversation.add(record);
    await this.library.add(conversation.record, [record]);
    this.stage.changed(conversation);
    return undefined;
  }

  private blank(conversation: Conversation, role: MessageRecord['role']): MessageRecord {
    // Later than its parent, whatever clock it was written by: versions and turns stand in this order.
    const created = Math.max(Date.now(), conversation.tree.latest + 1);
    return { id: newId(), chat: conversation.id, parent: conversation.leaf, role, content: '', created, state: 'done' };
  }

  /** Makes questions part of the conversation. */
  private ask(conversation: Conversation, question: Question[], parent: string | null): MessageRecord[] {
    conversation.show(parent);
    return question.map((message) => {
      const role = message.role === 'tool' ? 'tool' : 'user';
      const record: MessageRecord = { ...this.blank(conversation, role), content: message.content, ...(message.media && { media: message.media as MediaRecord[] }), ...(message.documents && { documents: message.documents }), ...(message.name && { name: message.name }) };
      conversation.add(record);
      return record;
    });
  }

  /** Writes an answer to the path, or the rest of `cut`, to its end. `asked` are the questions, which are kept with it. */
  private async answer(conversation: Conversation, controller: AbortController, asked: MessageRecord[], cut?: MessageRecord): Promise<Outcome> {
    const options = this.settings.generate(conversation.asked.settings);
    const { system, thinking } = this.settings.chat(conversation.asked.settings);
    const before = cut && structuredClone(cut);
    const record: MessageRecord = cut ?? { ...this.blank(conversation, 'model'), model: this.stage.modelName };
    record.settings = { ...options, ...(system && { system }), ...(thinking && { thinkingAsked: true }) };
    const until = cut ? cut.id : conversation.leaf;
    const writing = new Writing(this.library, record);
    conversation.add(record);
    const kept = this.keep(conversation, [...asked, record]);
    this.stage.changed(conversation);
    let summary: Summary | undefined;
    let error: RullamaError | undefined;
    try {
      // What is asked anew has its room already.
      const fit = asked.length === 0 && (await conversation.makeRoom([], conversation.tree.path(until), options.maxTokens));
      if (fit && fit.dropped) this.stage.dropped(conversation);
      for await (const event of conversation.answer(until, cut !== undefined, { ...options, signal: controller.signal, onPrefill: (at) => this.stage.reading(conversation, record, at) })) {
        if (event.type === 'done') summary = event.summary;
        else {
          writing.add(event);
          this.stage.grown(conversation, record);
        }
      }
    } catch (thrown) {
      error = RullamaError.from(thrown);
    }
    await kept;
    if (!error || (interrupts(error) && (record.content || record.thinking))) await writing.end(summary);
    else await this.undo(conversation, writing, before);
    // Before the end, with which a conversation that was left is closed.
    if (summary && this.running.size === 1) this.keys?.answered(conversation.heldBy(summary, record.id));
    this.end(conversation, controller);
    if (summary) void this.library.askToPersist();
    return { record, summary, error };
  }

  /** Takes an answer back that failed; one that was to go on is as it was. */
  private async undo(conversation: Conversation, writing: Writing, before: MessageRecord | undefined): Promise<void> {
    await writing.discard();
    const { record } = writing;
    if (before) {
      conversation.tree.put(before);
      return this.library.putMessage(before);
    }
    conversation.remove(record.id, record.parent);
    await this.library.removeMessages(conversation.record, [record]);
  }

  private async takeBack(conversation: Conversation, asked: MessageRecord[], before: string | null, isNew: boolean): Promise<void> {
    for (const { id } of asked) conversation.remove(id, before);
    if (isNew) {
      conversation.kept = false;
      Object.assign(conversation.record, { title: '' });
      await this.library.discard(conversation.id);
    } else await this.library.removeMessages(conversation.record, asked);
    this.stage.changed(conversation);
  }

  /** Keeps new messages, with the conversation that they make. */
  private keep(conversation: Conversation, messages: MessageRecord[]): Promise<void> {
    const { record } = conversation;
    record.changed = Date.now();
    const first = conversation.path.find(({ role }) => role === 'user');
    if (!record.named && record.title === '' && first) record.title = titleFrom([first.content, ...(first.media ?? []).map(wordsOf), ...(first.documents ?? []).map(({ name }) => name)].join('\n'));
    conversation.kept = true;
    return this.library.add(record, messages);
  }

  private begin(conversation: Conversation): AbortController {
    this.keys?.asked();
    const controller = new AbortController();
    conversation.running = controller;
    this.running.set(conversation.id, conversation);
    this.stage.changed(conversation);
    return controller;
  }

  private end(conversation: Conversation, controller: AbortController): void {
    if (conversation.running !== controller) return;
    conversation.running = undefined;
    this.running.delete(conversation.id);
    this.stage.changed(conversation);
  }

  /** Runs the calls at the end of a conversation that were not run when they came. */
  async runCalls(conversation: Conversation): Promise<void> {
    const { calling } = conversation;
    if (!calling || conversation.running || !this.stage.engine) return;
    conversation.rounds = 0;
    await this.call(conversation, calling);
  }

  /** Runs the tools that an answer calls, and lets the model go on from what they give. */
  private goOnFrom(conversation: Conversation, { record, summary }: Outcome): void {
    if (summary?.finish !== 'tool-call' || conversation.running || conversation.leaf !== record.id) return;
    if (!this.tools.takes(record.toolCalls ?? [], conversation.record)) return;
    if (conversation.rounds >= TOOL_ROUNDS) return this.stage.tell(conversation, t(ChatText.theModelHasCalled, { times: TOOL_ROUNDS }));
    void this.call(conversation, record);
  }

  private async call(conversation: Conversation, record: MessageRecord): Promise<void> {
    const place = this.stage.placeOf(conversation);
    if (!place) return;
    const controller = this.begin(conversation);
    let results: Message[] | undefined;
    try {
      results = await this.tools.answer({ calls: record.toolCalls ?? [], record: conversation.record, place, signal: controller.signal, most: MOST_RESULT });
      await cutToFit(conversation, results);
    } catch (thrown) {
      if (!controller.signal.aborted) this.stage.tell(conversation, t(ChatText.theToolsCannotBe, { message: RullamaError.from(thrown).message }));
    }
    this.end(conversation, controller);
    if (!results || conversation.leaf !== record.id || !this.library.chats.has(conversation.id)) return;
    conversation.rounds += 1;
    const problem = await this.say(conversation, results, () => void this.call(conversation, record));
    if (problem) this.stage.tell(conversation, problem);
  }
}

/** Halves the longest result until the model can read all of them beside their question. */
async function cutToFit(conversation: Conversation, results: Message[]): Promise<void> {
  for (let tries = 0; tries < 24 && (await conversation.tooLong(results)) > 0; tries += 1) {
    const longest = results.reduce((a, b) => (b.content.length > a.content.length ? b : a));
    longest.content = `${longest.content.slice(0, longest.content.length >> 1)}\n[cut: the context has no room for the rest]`;
  }
}

/** Whether the engine went away under an answer: what there is of it stays, and can be asked for again. */
export const interrupts = ({ code }: RullamaError): boolean => code === 'device-lost' || code === 'closed';

export function tooLong(over: number, engine: Engine): string {
  if (over === 0) return '';
  const { context } = engine.info;
  return t(ChatText.thisMessageIsToo, { over, context });
}
