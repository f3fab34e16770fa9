// The classes that users hold: a loaded model and a conversation with it.

import { Adapter, adapterFiles, attachedTo, checkForm } from './adapters.ts';
import { checkContinued, checkEmbed, checkGenerate, checkHistory, checkIds, checkQuestion, checkTune } from './check.ts';
import type { Client } from './client.ts';
import { RullamaError } from './errors.ts';
import { examplesBlob, tuneRequest } from './examples.ts';
import { extend, History, toMessages } from './history.ts';
import type { GenerateIdsOptions, MediaPart, PictureTokens } from './media-types.ts';
import { Perception } from './perception.ts';
import type { AttachedRef, CallName, Calls, SourceRef, StreamEvent } from './protocol.ts';
import type { Ask, Part, Responded } from './request.ts';
import { packChat, unpackChat } from './saved-chat.ts';
import { apart, following, streamOf } from './stream.ts';
import { Tuner } from './tuner.ts';
import type {
  AdapterSource,
  Attached,
  ChatEvent,
  ChatOptions,
  EmbedOptions,
  Embeddings,
  EngineOptions,
  GenerateOptions,
  Memory,
  Message,
  ModelInfo,
  OpenAIMessage,
  SavedFile, SaveOptions,
  SendOptions,
  Source,
  Summary,
  TuneEstimate,
  TuneExamples,
  TuneOptions,
  TunePreview,
} from './types.ts';

type AnyMessage = Message | OpenAIMessage;

/** A loaded model. All of its work happens away from the calling thread; calls queue up in order. */
export class Engine {
  /**
   * Resolves when the model has become unusable, most often because the GPU was lost. Load again to go on.
   * Calls in progress and later ones reject with the same error.
   */
  readonly lost: Promise<RullamaError>;
  /** @internal */
  readonly perception: Perception;

  constructor(
    private readonly client: Client,
    readonly info: ModelInfo,
    private readonly dispose: () => void,
    private readonly resolve: (source: Source) => Promise<SourceRef>,
    /** Of a model that was loaded `early`: what is still to be stored of its file. */ readonly rest?: import('./download-types.ts').Rest,
  ) {
    this.lost = client.lost;
    this.perception = new Perception(client, info.dim);
  }

  /** A new conversation. */
  chat(options: ChatOptions = {}): Chat {
    return new Chat(this.client, options, this.perception);
  }

  /**
   * Embeddings of texts, many in a step, of a model that makes them (EmbeddingGemma): vectors of length 1.
   *
   * @throws RullamaError `invalid-argument` for another model or a length that it does not have; `cancelled` where `signal` stops it.
   */
  async embed(texts: string[], options: EmbedOptions & { signal?: AbortSignal } = {}): Promise<Embeddings> {
    const { signal, ...rest } = options;
    checkEmbed(texts, rest);
    return this.client.call('embed', { texts, options: rest }, { signal });
  }

  /** Bytes in use by the engine now. */
  memory(): Promise<Memory> {
    return this.client.call('memory', null);
  }

  /** Token ids of `text`. Special tokens written in it stay plain text. */
  tokenize(text: string): Promise<number[]> {
    return this.client.call('tokenize', text);
  }

  /**
   * The text of token ids, special tokens included.
   *
   * @throws RullamaError `invalid-argument` for what is no id of the vocabulary.
   */
  async detokenize(ids: number[]): Promise<string> {
    checkIds(ids);
    return this.client.call('detokenize', ids);
  }

  /**
   * The conversation that `chat.save()` gave the bytes of, with what was computed of it, so that the next answer begins at once.
   * Adapters that were attached then are attached again by `adapters`, with the same scales.
   *
   * @throws RullamaError `invalid-argument` for bytes that are damaged, or of another model, type of cache or other adapters.
   */
  async restore(saved: Uint8Array, { adapters = [] }: { adapters?: Attached[] } = {}): Promise<Chat> {
    const { options, session } = unpackChat(saved);
    const attached = attachedTo(this.client, adapters);
    const { pictureTokens, messages = [], ...rest } = options;
    const named = { ...rest, messages: await this.perception.shown(messages, pictureTokens) };
    const chat = await this.client.call('chatRestore', { options: named, adapters: attached, saved: session });
    return Chat.of(this.client, options, this.perception, chat, attached);
  }

  /**
   * Answers a request that brings its whole conversation along; the APIs stand on this.
   *
   * @internal
   */
  respond(ask: Ask, signal: AbortSignal, onPart: (part: Part) => void): Promise<Responded> {
    return this.client.call('respond', ask, { signal, onEvent: onPart });
  }

  /** The prompt that a conversation becomes, as text and as token ids; of media as many placeholders as they have soft tokens. */
  async render({ pictureTokens, messages, ...conversation }: ChatOptions): Promise<{ prompt: string; ids: number[] }> {
    if (messages === undefined) return this.client.call('render', conversation);
    return this.client.call('render', { ...conversation, ...(await this.perception.counted(messages, pictureTokens)) });
  }

  /**
   * Tokens of the context that a medium takes, without the marks around it, and the times of frames. The towers are not loaded for it.
   *
   * @throws RullamaError `model-unsupported` for a model that has no tower for it; `invalid-argument` for what is no picture or sound.
   */
  cost(part: MediaPart, tokens?: PictureTokens): Promise<number> {
    return this.perception.cost(part, tokens);
  }

  /**
   * The soft tokens of a picture or a sound (of a video its frames) as numbers, rows of `info.dim`, to be sent as `{ type: 'soft', of, values }`.
   *
   * @throws RullamaError as `cost`; `cancelled` where `signal` stops it.
   */
  encode(part: MediaPart, { signal }: { signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.perception.numbers(part, signal);
  }

  /** Takes towers from another file (llama.cpp's mmproj), which is read when the next medium comes; `null` for the model's own. */
  async setProjector(source: Source | null, { store = 'auto' }: Pick<EngineOptions, 'store'> = {}): Promise<void> {
    const ref = source === null ? null : await this.resolve(source);
    await this.client.call('projector', { source: ref, store });
    this.perception.forget();
  }

  /** Frees the GPU memory of the towers, which also goes by itself where the GPU has no room for something else. The next picture or sound that is new loads them again. */
  async releaseTowers(): Promise<void> {
    await this.client.call('releaseTowers', null);
  }

  /** Generates from token ids, without the chat template. */
  async generateIds(ids: number[], options: GenerateIdsOptions = {}): Promise<Summary> {
    const { signal, onToken, adapters = [], media = [], ...rest } = options;
    checkIds(ids);
    checkGenerate(rest);
    const names = await this.perception.names(media, signal);
    const params = { ids, options: rest, adapters: attachedTo(this.client, adapters), media: names };
    return this.client.call('generateIds', params, { signal, ...(onToken && { onEvent: onToken }) });
  }

  /**
   * Reads a LoRA adapter, to be attached to conversations: PEFT's two files, a GGUF adapter, or a safetensors file of rullama 0.4
   * or 0.5; as files, addresses or bytes with names.
   *
   * @throws RullamaError `adapter` for one that is damaged or of another model.
   */
  async loadAdapter(source: AdapterSource): Promise<Adapter> {
    return new Adapter(this.client, await this.client.call('adapterOpen', await adapterFiles(source)));
  }

  /**
   * An adapter's files in the other form: PEFT's two, or a GGUF adapter with a Modelfile for Ollama; `name` is what it is called.
   *
   * @throws RullamaError `adapter` for one that is damaged, or that a GGUF adapter cannot hold.
   */
  async convertAdapter(source: AdapterSource, form: 'peft' | 'gguf', name?: string): Promise<SavedFile[]> {
    return this.client.call('adapterConvert', { files: await adapterFiles(source), form: checkForm(form), name });
  }

  /**
   * Begins to train an adapter on examples, or goes on with one from the checkpoint `resume`. Reading the steps drives it; answers
   * are given between two of them. The engine must be that of `rullama/train`.
   *
   * @throws RullamaError `invalid-argument` for options or data that cannot be trained by, with the name or the line;
   * `out-of-memory` where a step does not fit the memory budget, with what to change.
   */
  async tune(examples: TuneExamples, options: TuneOptions = {}): Promise<Tuner> {
    checkTune(options);
    const { eval: evaluated, resume, signal } = options;
    if (signal?.aborted) throw new RullamaError('cancelled', 'The training was stopped before it began.');
    const eval_ = evaluated === undefined ? undefined : examplesBlob(evaluated, 'eval');
    const params = { examples: examplesBlob(examples), eval: eval_, options: tuneRequest(options), resume };
    return new Tuner(this.client, await this.client.call('tuneOpen', params), signal);
  }

  /**
   * What `tune` would take, before anything is allocated; `fits` is false where `tune` would refuse it for its memory.
   *
   * @throws RullamaError as `tune`, apart from `out-of-memory`.
   */
  async estimateTuning(examples: TuneExamples, options: TuneOptions = {}): Promise<TuneEstimate> {
    checkTune(options);
    const eval_ = options.eval === undefined ? undefined : examplesBlob(options.eval, 'eval');
    return this.client.call('tuneEstimate', { examples: examplesBlob(examples), eval: eval_, options: tuneRequest(options) });
  }

  /** How examples would be read by `tune`: the lines that are cut or skipped, and of the first `most` what is trained. */
  async previewExamples(examples: TuneExamples, options: TuneOptions = {}, most = 10): Promise<TunePreview> {
    checkTune(options);
    return this.client.call('tunePreview', { examples: examplesBlob(examples), options: tuneRequest(options), most });
  }

  /**
   * Logits and hidden states of every token, each a matrix by rows, named as in the reference files: `logits`,
   * `layer_0`, ..., `final_norm`. Computed without fusion, for comparison with other programs.
   */
  async evaluate(ids: number[], options: Pick<GenerateIdsOptions, 'adapters' | 'media'> = {}): Promise<Record<string, Float32Array>> {
    const { adapters = [], media = [] } = options;
    checkIds(ids);
    const names = await this.perception.names(media);
    return this.client.call('evaluate', { ids, adapters: attachedTo(this.client, adapters), media: names });
  }

  /** Frees the GPU and the worker. What is still going on and what is called afterwards rejects with code `closed`. */
  async close(): Promise<void> {
    await this.client.call('close', null).catch(() => undefined);
    this.client.fail(new RullamaError('closed', 'The model was closed.'));
    this.dispose();
  }
}

/** A conversation. The engine remembers it: only new messages are sent and only new tokens computed. */
export class Chat {
  /** Statistics of the latest answer. */
  last: Summary | undefined;
  private handle: Promise<number> | undefined;
  private adapters: AttachedRef[] = [];
  private readonly history: History;
  /** Sends that are going on. */
  private sending = 0;

  constructor(
    private readonly client: Client,
    private readonly options: ChatOptions,
    private readonly perception: Perception,
  ) {
    this.history = new History(options.messages);
  }

  /**
   * A conversation that is open in the engine already.
   *
   * @internal
   */
  static of(client: Client, options: ChatOptions, perception: Perception, number: number, adapters: AttachedRef[]): Chat {
    const chat = new Chat(client, options, perception);
    chat.handle = Promise.resolve(number);
    chat.adapters = adapters;
    return chat;
  }

  /**
   * A conversation of its own that has said the same and has the same adapters: both go on apart, and nothing is computed again.
   * An answer that is being written is waited for.
   */
  async fork(): Promise<Chat> {
    const number = this.handle ? await this.client.call('chatFork', await this.handle) : undefined;
    const options = { ...this.options, messages: this.history.all() };
    const { adapters } = this;
    if (number !== undefined) return Chat.of(this.client, options, this.perception, number, adapters);
    const chat = new Chat(this.client, options, this.perception);
    chat.adapters = adapters;
    return chat;
  }

  /**
   * The conversation as bytes, with what was computed of it: `engine.restore(bytes)` goes on at once, also in another session of the
   * browser, with the same model. Some megabytes for each thousand tokens; `messages` alone are few.
   */
  async save({ signal, most, messages = true }: SaveOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    const session = await this.client.call('chatSave', { chat: await this.open(), most }, { signal });
    return packChat({ ...this.options, messages: messages ? this.history.all() : [] }, session);
  }

  /**
   * The conversation so far, without the system's message: a copy, to be stored (as JSON, where it has no media but base64) and given
   * to `chat({ messages })` again.
   * An answer is part of it when it has ended; one that failed is not, nor is what it was the answer to.
   */
  get messages(): AnyMessage[] {
    return this.history.all();
  }

  /** Sends a message and gives the text of the answer when it has ended; what else it brought is in `messages` and `last`. */
  async ask(message: string | AnyMessage | AnyMessage[], options: SendOptions = {}): Promise<string> {
    let text = '';
    for await (const event of this.send(message, options)) if (event.type === 'content') text += event.text;
    return text;
  }

  /**
   * Sends a message and yields the answer as it is written. A string is the user's message; results of tool
   * calls go in as messages with role `tool`. Pictures and sounds are perceived first; where `signal` stops that, the message is
   * not part of the conversation.
   *
   * @throws RullamaError, when the events are read: `invalid-argument` for messages or options that say nothing, or what is no picture
   * or sound; `model-unsupported` for a medium that the model has no tower for; `cancelled` while media are perceived.
   */
  send(message: string | AnyMessage | AnyMessage[], options: SendOptions = {}): AsyncGenerator<ChatEvent, void, void> {
    const messages = toMessages(message);
    const check = () => checkQuestion(messages);
    const keep = (reply: Message) => this.history.sent(messages, reply);
    const params = async (chat: number, rest: GenerateOptions, signal: AbortSignal) => {
      return { chat, messages: await this.shown(messages, signal), options: rest };
    };
    return this.answer('chatSend', check, params, options, keep);
  }

  /** Drops the latest answer and answers the same message again. */
  retry(options: SendOptions = {}): AsyncGenerator<ChatEvent, void, void> {
    const check = () => {
      if (this.sending > 0 || this.history.all().some(({ role }) => role === 'user' || role === 'tool')) return;
      throw new RullamaError('invalid-argument', 'There is no message to answer again.', { remedy: 'Send one first.' });
    };
    const keep = (reply: Message) => this.history.retried(reply);
    return this.answer('chatRetry', check, async (chat, rest) => ({ chat, options: rest }), options, keep);
  }

  /**
   * Goes on with the latest answer where it was cut: by a limit, by a stop or with the program that wrote it, whose conversation
   * was handed in as `messages`. The events bring what is new; `messages` then has it all as one answer.
   *
   * @throws RullamaError `invalid-argument`, when the events are read, where the conversation does not end with an answer, or with
   * one that calls a tool.
   */
  continue(options: SendOptions = {}): AsyncGenerator<ChatEvent, void, void> {
    const check = () => this.sending > 0 || checkContinued(this.history.all());
    const keep = (reply: Message) => this.history.continued(reply);
    return this.answer('chatContinue', check, async (chat, rest) => ({ chat, options: rest }), options, keep);
  }

  /**
   * Puts other messages in place of the conversation's, without the system's: to go on from an earlier turn, or with another
   * version of one. What both have in common at the beginning is not computed again, nor are media that were perceived.
   *
   * @throws RullamaError `invalid-argument` for messages that are none; of their media as `send`.
   */
  async setMessages(messages: AnyMessage[], { signal }: { signal?: AbortSignal } = {}): Promise<void> {
    checkHistory(messages);
    // A conversation that is not open yet is opened with them; while it is, they may have been others.
    const chat = await this.open(signal);
    await this.client.call('chatSet', { chat, messages: await this.shown(messages, signal) });
    this.history.replace(messages);
  }

  /**
   * Attaches adapters, each with a factor on its scale (1 by default), in place of those that are attached; an empty list detaches
   * all. The next answer is computed with them, and its prompt anew.
   *
   * @throws RullamaError `invalid-argument` for an adapter of another engine, one that was unloaded, or a scale out of range.
   */
  async setAdapters(adapters: Attached[]): Promise<void> {
    const before = this.adapters;
    this.adapters = attachedTo(this.client, adapters);
    // A conversation that is not open yet is opened with them.
    if (!this.handle) return;
    const list = this.adapters;
    try {
      await this.client.call('chatAdapters', { chat: await this.handle, adapters: list });
    } catch (thrown) {
      if (this.adapters === list) this.adapters = before;
      throw thrown;
    }
  }

  /** Gives back the conversation's memory: a message that follows begins it anew. */
  async close(): Promise<void> {
    const chat = await this.handle?.catch(() => undefined);
    this.handle = undefined;
    this.history.reset();
    if (chat !== undefined) await this.client.call('chatClose', chat);
  }

  /** The engine's number of this conversation. An attempt that failed is forgotten: the next call tries anew. */
  private async open(signal?: AbortSignal): Promise<number> {
    if (this.handle) return this.handle;
    if (this.options.messages) checkHistory(this.options.messages);
    const attempt = this.begin(signal);
    this.handle = attempt;
    attempt.catch(() => {
      if (this.handle === attempt) this.handle = undefined;
    });
    return attempt;
  }

  private shown(messages: AnyMessage[], signal?: AbortSignal): Promise<AnyMessage[]> {
    return this.perception.shown(messages, this.options.pictureTokens, signal);
  }

  private async begin(signal?: AbortSignal): Promise<number> {
    const adapters = this.adapters;
    const { pictureTokens: _, messages, ...options } = this.options;
    const chat = await this.client.call('chatOpen', { ...options, ...(messages && { messages: await this.shown(messages, signal) }) });
    if (adapters.length > 0) {
      await this.client.call('chatAdapters', { chat, adapters }).catch(async (thrown) => {
        await this.client.call('chatClose', chat);
        throw thrown;
      });
    }
    return chat;
  }

  private answer<K extends CallName & ('chatSend' | 'chatRetry' | 'chatContinue')>(
    call: K,
    check: () => unknown,
    params: (chat: number, options: GenerateOptions, signal: AbortSignal) => Promise<Calls[K]['params']>,
    { signal, onPrefill, ...rest }: SendOptions,
    keep: (reply: Message) => void,
  ): AsyncGenerator<ChatEvent, void, void> {
    const controller = following(signal);
    const start = async (push: (event: ChatEvent) => void): Promise<Summary> => {
      const reply: Message = { role: 'model', content: '' };
      const onEvent = apart(onPrefill, (event: StreamEvent) => (extend(reply, event), push(event)));
      check();
      checkGenerate(rest);
      this.sending += 1;
      try {
        const chat = await this.open(controller.signal);
        const request = await params(chat, rest, controller.signal);
        const summary = await this.client.call(call, request, { onEvent, signal: controller.signal });
        keep(reply);
        return summary as Summary;
      } finally {
        this.sending -= 1;
      }
    };
    const done = (summary: Summary): ChatEvent => {
      this.last = summary;
      return { type: 'done', summary };
    };
    return streamOf(start, done, controller);
  }
}
