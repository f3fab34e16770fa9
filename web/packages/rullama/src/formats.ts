// The worker's end of formats: what compiles schemas is a wasm of its own, which is loaded with the first of them.

import type { Compiler, Engine, FollowedAnswer } from './engine.ts';
import { RullamaError } from './errors.ts';
import { once } from './once.ts';
import type { Ask } from './request.ts';

/** Instantiates what compiles schemas, from its address; in Node there is none. */
export type LoadCompiler = (address: string | undefined) => Promise<new (...tokens: [Uint8Array, Uint32Array, Uint32Array, Uint32Array]) => Compiler>;

/** The schema that the word `json` stands for. */
const ANY = { type: 'object' };

/** What an answer is held to, and how errors speak of it. */
const FORMAT = '`format` is a schema, which cannot be kept';
const CALL = '`tool_choice` is a call that is forced, which cannot be had';

const refusal = (message: string, remedy: string, cause?: unknown) => new RullamaError('invalid-argument', message, { remedy, cause });

export class Formats {
  /** By engine, which gets it once: its vocabulary goes over then. */
  private readonly compilers = new WeakMap<Engine, Promise<Prepared>>();

  constructor(private readonly load: LoadCompiler) {}

  /**
   * Makes an engine ready for a format; nothing is to be done where there is none. What this compiles is what the engine then gets; the
   * function that it gives lets go of it where the answer never began.
   *
   * @throws RullamaError `invalid-argument` for a schema that cannot be kept, with what is wrong and where.
   */
  async ready(engine: Engine, address: string | undefined, format: unknown, { forced, tools = [] }: Pick<Ask, 'forced' | 'tools'> = {}): Promise<() => void> {
    if (!forced && (format === undefined || format === null)) return nothing;
    const compiler = await this.of(engine, address);
    // What cannot be kept is told before the answer begins.
    if (!forced) return compiler.prepare(JSON.stringify(format === 'json' ? ANY : format));
    const { quote } = engine.format_tokens();
    return quote === undefined ? nothing : compiler.prepare(JSON.stringify(functionsOf(tools, forced.names)), quote);
  }

  private of(engine: Engine, address: string | undefined): Promise<Prepared> {
    return once(this.compilers, engine, () => this.make(engine, address));
  }

  private async make(engine: Engine, address: string | undefined): Promise<Prepared> {
    const Module = await this.load(address);
    const { bytes, ends, special, closing } = engine.format_tokens();
    const compiler = guarded(new Module(bytes, ends, special, closing));
    engine.set_formats(compiler);
    return compiler;
  }
}

/** The functions of these names among tools, bare or as OpenAI's API wraps them. */
function functionsOf(tools: object[], names: string[]): { name: string; parameters: unknown }[] {
  const functions = tools.map((tool) => ((tool as { function?: object }).function ?? tool) as { name: string; parameters?: unknown });
  return functions.filter(({ name }) => names.includes(name)).map(({ name, parameters = {} }) => ({ name, parameters }));
}

const nothing = () => undefined;

/** Answers that are compiled and wait for the engine, at most: a grammar may take megabytes. Those beyond are compiled again at their turn. */
const WAITING = 2;

/** A compiler that has some of its answers ready. */
interface Prepared extends Compiler {
  /** Compiles a schema or, with `quote`, functions; gives what lets go of it. */
  prepare(text: string, quote?: number): () => void;
}

/** Gives what goes wrong inside the wasm the words of this package. */
function guarded(compiler: Compiler): Prepared {
  const waiting: { key: string; answer: FollowedAnswer }[] = [];
  let broken = false;
  const guard = <T>(what: string, work: () => T): T => {
    if (broken) throw ended(what);
    try {
      return work();
    } catch (cause) {
      // A trap, such as of a full stack or memory, leaves the module in no known state.
      if (cause instanceof WebAssembly.RuntimeError || cause instanceof RangeError) broken = true;
      if (broken) throw ended(what, cause);
      const said = cause instanceof Error ? cause.message : String(cause);
      throw refusal(`${what}: ${said}.`, 'Change the schema, or check the answer for it.', cause);
    }
  };
  const followed = (what: string, begin: () => FollowedAnswer): FollowedAnswer => {
    const answer = guard(what, begin);
    return {
      allowed: () => guard(what, () => answer.allowed()),
      accept: (id) => guard(what, () => answer.accept(id)),
      // What has ended holds nothing any more.
      free: () => void (broken || answer.free()),
    };
  };
  const begin = (text: string, quote?: number) =>
    quote === undefined ? followed(FORMAT, () => compiler.follow(text)) : followed(CALL, () => compiler.follow_call(text, quote));
  const keyOf = (text: string, quote?: number) => `${quote ?? ''} ${text}`;
  /** What waits under this name, which does so no more. */
  const taken = (key: string) => {
    const place = waiting.findIndex((one) => one.key === key);
    return place < 0 ? undefined : waiting.splice(place, 1)[0]?.answer;
  };
  return {
    follow: (schema) => taken(keyOf(schema)) ?? begin(schema),
    follow_call: (functions, quote) => taken(keyOf(functions, quote)) ?? begin(functions, quote),
    prepare: (text, quote) => {
      const answer = begin(text, quote);
      if (waiting.length >= WAITING) return answer.free(), nothing;
      const one = { key: keyOf(text, quote), answer };
      waiting.push(one);
      return () => {
        const place = waiting.indexOf(one);
        if (place >= 0) waiting.splice(place, 1)[0]?.answer.free();
      };
    },
  };
}

const ended = (what: string, cause?: unknown) => refusal(`${what}: it ended what compiles schemas.`, 'Load the model again, and ask for a simpler schema.', cause);

