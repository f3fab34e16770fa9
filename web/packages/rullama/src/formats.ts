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
  private readonly compilers = new WeakMap<Engine, Promise<Compiler>>();

  constructor(private readonly load: LoadCompiler) {}

  /**
   * Makes an engine ready for a format; nothing is to be done where there is none.
   *
   * @throws RullamaError `invalid-argument` for a schema that cannot be kept, with what is wrong and where.
   */
  async ready(engine: Engine, address: string | undefined, format: unknown, { forced, tools = [] }: Pick<Ask, 'forced' | 'tools'> = {}): Promise<void> {
    if (!forced && (format === undefined || format === null)) return;
    const compiler = await this.of(engine, address);
    // What cannot be kept is told before the answer begins.
    if (!forced) return compiler.follow(JSON.stringify(format === 'json' ? ANY : format)).free();
    const { quote } = engine.format_tokens();
    if (quote !== undefined) compiler.follow_call(JSON.stringify(functionsOf(tools, forced.names)), quote).free();
  }

  private of(engine: Engine, address: string | undefined): Promise<Compiler> {
    return once(this.compilers, engine, () => this.make(engine, address));
  }

  private async make(engine: Engine, address: string | undefined): Promise<Compiler> {
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

/** Gives what goes wrong inside the wasm the words of this package. */
function guarded(compiler: Compiler): Compiler {
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
  return {
    follow: (schema) => followed(FORMAT, () => compiler.follow(schema)),
    follow_call: (functions, quote) => followed(CALL, () => compiler.follow_call(functions, quote)),
  };
}

const ended = (what: string, cause?: unknown) => refusal(`${what}: it ended what compiles schemas.`, 'Load the model again, and ask for a simpler schema.', cause);

