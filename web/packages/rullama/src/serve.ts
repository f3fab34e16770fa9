// The worker's end of the protocol: turns requests into engine calls, one at a time on the GPU.

import { Keeper, type Keep } from './download/keep.ts';
import { downloadModel } from './download/parts.ts';
import type { Engine, Training } from './engine.ts';
import { RullamaError } from './errors.ts';
import { Formats, type LoadCompiler } from './formats.ts';
import type { ReaderPool, ReadersOf } from './readers/pool.ts';
import { shellSource } from './shell.ts';
import type { CallName, Calls, LoadRequest, Reply, Request, WorkerEnd } from './protocol.ts';
import type { Ask } from './request.ts';
import type { GenerateOptions, Progress } from './types.ts';

/** Opens an engine. `onLost` reports that it has become unusable, at any later time. */
export type OpenEngine = (
  request: LoadRequest,
  onProgress: (progress: Progress) => void,
  onLost: (error: RullamaError) => void,
  files: Files,
) => Promise<Engine>;

/** What is there to read files with. */
export interface Files {
  keep: Keep;
  readersOf: ReadersOf;
}

type Handlers = {
  [K in CallName]: (
    params: Calls[K]['params'],
    emit: (event: Calls[K]['event']) => void,
    signal: AbortSignal,
  ) => Calls[K]['result'] | Promise<Calls[K]['result']>;
};

/** Answers requests at `end` until it closes. */
export function serve(end: WorkerEnd, open: OpenEngine, load: LoadCompiler = noCompiler, readers?: ReaderPool): void {
  const running = new Map<number, AbortController>();
  const handlers = makeHandlers(open, new Formats(load), readers, (error) => end.post({ lost: error.toData() }));
  end.listen((request) => {
    if ('cancel' in request) running.get(request.cancel)?.abort();
    else void answer(request, handlers, running, (reply) => end.post(reply));
  });
}

const noCompiler: LoadCompiler = async () => {
  throw new RullamaError('invalid-argument', '`format` is a schema, which cannot be kept: nothing here compiles schemas.', { remedy: 'Leave it out.' });
};

async function answer(
  request: Exclude<Request, { cancel: number }>,
  handlers: Handlers,
  running: Map<number, AbortController>,
  post: (reply: Reply) => void,
): Promise<void> {
  const { id } = request;
  const controller = new AbortController();
  running.set(id, controller);
  // The request's call and parameters belong together; TypeScript cannot follow that through a lookup.
  const handler = handlers[request.call] as (
    params: unknown,
    emit: (event: never) => void,
    signal: AbortSignal,
  ) => Calls[CallName]['result'] | Promise<Calls[CallName]['result']>;
  try {
    const result = await handler(request.params, (event) => post({ id, event }), controller.signal);
    post({ id, result });
  } catch (thrown) {
    post({ id, error: RullamaError.from(thrown).toData() });
  } finally {
    running.delete(id);
  }
}

function makeHandlers(open: OpenEngine, formats: Formats, readers: ReaderPool | undefined, onLost: (error: RullamaError) => void): Handlers {
  let engine: Engine | undefined;
  let keeper: Keeper | undefined;
  let readersOf: ReadersOf = () => undefined;
  let grammar: string | undefined;
  const loaded = (): Engine => {
    if (!engine) throw new RullamaError('invalid-argument', 'No model is loaded.', { remedy: 'Load a model first.' });
    return engine;
  };
  const training = (): Engine & Training => {
    const engine = loaded();
    if (engine.tune_open) return engine as Engine & Training;
    throw new RullamaError('invalid-argument', 'This engine does not train.', { remedy: "Load it with `Rullama` of 'rullama/train'." });
  };
  const queue = new Queue();
  /**
   * Runs `work` when the GPU is free; `signal` cancels it. Work whose signal came before its turn is begun all the
   * same, so that its messages are in the conversation and its summary says that it was stopped.
   */
  const working = <T>(signal: AbortSignal, work: (engine: Engine) => Promise<T>): Promise<T> =>
    queue.run(async () => {
      const target = loaded();
      let timer: ReturnType<typeof setTimeout> | undefined;
      // The engine begins in a microtask: a cancel before that would be meant for the answer before.
      const cancel = () => (timer ??= setTimeout(() => target.cancel()));
      const result = work(target);
      if (signal.aborted) cancel();
      else signal.addEventListener('abort', cancel);
      try {
        return await result;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener('abort', cancel);
      }
    });
  const answering = async (signal: AbortSignal, work: (engine: Engine) => Promise<string>) => JSON.parse(await working(signal, work));
  /** As `answering`, of an answer with these options, once what they ask of its form can be had. */
  const formed = async (options: GenerateOptions, signal: AbortSignal, work: (engine: Engine) => Promise<string>, ask?: Ask) => {
    const release = await formats.ready(loaded(), grammar, options.format, ask);
    return answering(signal, work).finally(release);
  };
  const json = (emit: (event: never) => void) => (text: string) => emit(JSON.parse(text) as never);

  return {
    load: async (request, emit) => {
      engine?.close();
      engine = undefined;
      readersOf = (at, bytes) => readers?.of(at, bytes, request.options.readers);
      keeper = new Keeper({ early: request.early === true, emit, onLost, readersOf });
      // They hold files and memory that nobody needs once it is loaded.
      engine = await open(request, emit, onLost, { keep: keeper.keep, readersOf }).finally(() => readers?.end());
      grammar = request.grammar;
      return JSON.parse(engine.info());
    },
    download: (request, emit, signal) => downloadModel(request, emit, signal),
    arriving: () => keeper?.arriving ?? null,
    finish: (_, emit, signal) => keeper?.finish(emit, signal) ?? null,
    chatOpen: (options) => queue.run(() => loaded().chat_open(JSON.stringify(options))),
    chatSend: ({ chat, messages, options }, emit, signal) =>
      formed(options, signal, (e) => e.chat_send(chat, JSON.stringify(messages), JSON.stringify(options), json(emit))),
    chatRetry: ({ chat, options }, emit, signal) =>
      formed(options, signal, (e) => e.chat_retry(chat, JSON.stringify(options), json(emit))),
    chatContinue: ({ chat, options }, emit, signal) =>
      formed(options, signal, (e) => e.chat_continue(chat, JSON.stringify(options), json(emit))),
    chatSet: ({ chat, messages }) => queue.run(async () => (loaded().chat_set(chat, JSON.stringify(messages)), null)),
    chatClose: (chat) => queue.run(async () => (loaded().chat_close(chat), null)),
    chatFork: (chat) => queue.run(() => loaded().chat_fork(chat)),
    chatSave: ({ chat, most }, _, signal) =>
      queue.run(async () => {
        if (signal.aborted) throw new RullamaError('cancelled', 'The conversation was not saved: that was stopped before its turn.');
        return loaded().chat_save(chat, most);
      }),
    chatRestore: ({ options, adapters, saved }) =>
      queue.run(() => loaded().chat_restore(JSON.stringify(options), JSON.stringify(adapters), saved)),
    respond: (ask, emit, signal) =>
      formed(ask.options, signal, async (e) => {
        // Nobody waits for the answer any more.
        if (signal.aborted) throw new RullamaError('cancelled', 'The request was stopped before its turn.');
        return e.respond(JSON.stringify(ask), json(emit));
      }, ask),
    chatAdapters: ({ chat, adapters }) => queue.run(async () => (loaded().chat_adapters(chat, JSON.stringify(adapters)), null)),
    generateIds: ({ ids, options, adapters, media }, emit, signal) =>
      formed(options, signal, (e) =>
        e.generate_ids(Uint32Array.from(ids), JSON.stringify(options), JSON.stringify(adapters), JSON.stringify(media), json(emit)),
      ),
    evaluate: ({ ids, adapters, media }) =>
      queue.run(() => loaded().evaluate(Uint32Array.from(ids), JSON.stringify(adapters), JSON.stringify(media))),
    mediaCost: (size) => loaded().media_cost(JSON.stringify(size)),
    mediaUnknown: (sources) => Array.from(loaded().media_unknown(JSON.stringify(sources))),
    perceive: ({ source, medium }, _, signal) => working(signal, (e) => e.perceive(source, medium)),
    softTokens: (source) => loaded().soft_tokens(source),
    projector: ({ source, store }) =>
      queue.run(async () => (await loaded().set_projector(source && shellSource(source, keeper?.keep, readersOf), JSON.stringify(store)), null)),
    releaseTowers: () => queue.run(async () => (await loaded().release_towers(), null)),
    adapterOpen: (files) => queue.run(async () => JSON.parse(await loaded().adapter_open(files))),
    adapterClose: (adapter) => (loaded().adapter_close(adapter), null),
    tuneOpen: ({ examples, eval: evaluated, options, resume }) =>
      queue.run(async () => JSON.parse(await training().tune_open(examples, evaluated, JSON.stringify(options), resume))),
    adapterConvert: ({ files, form, name }) => loaded().adapter_convert(files, form, name),
    // A question waits for one step, not for the training.
    tuneStep: (tuner, _, signal) => answering(signal, () => training().tune_step(tuner)),
    tuneCheckpoint: (tuner) => queue.run(() => training().tune_checkpoint(tuner)),
    tuneAdapter: (tuner) => queue.run(async () => JSON.parse(await training().tune_adapter(tuner))),
    tuneSave: ({ tuner, form }) => queue.run(() => training().tune_save(tuner, form)),
    tuneClose: (tuner) => queue.run(async () => (training().tune_close(tuner), null)),
    tuneFinish: (tuner) => queue.run(async () => (await training().tune_finish(tuner)) ?? null),
    tuneEstimate: ({ examples, eval: evaluated, options }) =>
      queue.run(async () => JSON.parse(await training().tune_estimate(examples, evaluated, JSON.stringify(options)))),
    tunePreview: ({ examples, options, most }) =>
      queue.run(async () => JSON.parse(await training().tune_preview(examples, JSON.stringify(options), most))),
    embed: async ({ texts, options }, _, signal) => {
      const embed = (e: Engine) => e.embed(JSON.stringify(texts), JSON.stringify(options));
      const { vectors, tokens, truncated } = await working(signal, embed);
      const dims = vectors.length / texts.length;
      const vector = (_text: string, i: number) => vectors.slice(i * dims, (i + 1) * dims);
      return { vectors: texts.map(vector), tokens: Array.from(tokens), truncated: Array.from(truncated) };
    },
    detokenize: (ids) => loaded().detokenize(Uint32Array.from(ids)),
    tokenize: (text) => Array.from(loaded().tokenize(text)),
    render: (conversation) => JSON.parse(loaded().render(JSON.stringify(conversation))),
    memory: () => JSON.parse(loaded().memory()),
    close: () => {
      engine?.close();
      engine = undefined;
      return null;
    },
  };
}

/** Runs jobs one after the other; a failed job does not hold up the next. */
class Queue {
  private last: Promise<unknown> = Promise.resolve();

  run<T>(job: () => Promise<T>): Promise<T> {
    const next = this.last.then(job, job);
    this.last = next.catch(() => undefined);
    return next;
  }
}
