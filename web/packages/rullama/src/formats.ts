// The worker's end of formats: what compiles schemas is a wasm of its own, which is loaded with the first of them.

import type { Compiler, Engine, FollowedAnswer } from './engine.ts';
import { RullamaError } from './errors.ts';

/** Instantiates what compiles schemas, from its address; in Node there is none. */
export type LoadCompiler = (address: string | undefined) => Promise<new (...tokens: [Uint8Array, Uint32Array, Uint32Array, Uint32Array]) => Compiler>;

/** The schema that the word `json` stands for. */
const ANY = { type: 'object' };

const refusal = (message: string, remedy: string, cause?: unknown) => new RullamaError('invalid-argument', `\`format\` ${message}`, { remedy, cause });

export class Formats {
  /** By engine, which gets it once: its vocabulary goes over then. */
  private readonly compilers = new WeakMap<Engine, Promise<Compiler>>();

  constructor(private readonly load: LoadCompiler) {}

  /**
   * Makes an engine ready for a format; nothing is to be done where there is none.
   *
   * @throws RullamaError `invalid-argument` for a schema that cannot be kept, with what is wrong and where.
   */
  async ready(engine: Engine, address: string | undefined, format: unknown): Promise<void> {
    if (format === undefined || format === null) return;
    const compiler = await this.of(engine, address);
    // A schema that cannot be kept is told before the answer begins.
    compiler.follow(JSON.stringify(format === 'json' ? ANY : format)).free();
  }

  private of(engine: Engine, address: string | undefined): Promise<Compiler> {
    const before = this.compilers.get(engine);
    if (before) return before;
    const made = this.make(engine, address);
    this.compilers.set(engine, made);
    // Another attempt may have a network.
    made.catch(() => this.compilers.delete(engine));
    return made;
  }

  private async make(engine: Engine, address: string | undefined): Promise<Compiler> {
    const Module = await this.load(address);
    const { bytes, ends, special, closing } = engine.format_tokens();
    const compiler = guarded(new Module(bytes, ends, special, closing));
    engine.set_formats(compiler);
    return compiler;
  }
}

/** Gives what goes wrong inside the wasm the words of this package. */
function guarded(compiler: Compiler): Compiler {
  let broken = false;
  const guard = <T>(work: () => T): T => {
    if (broken) throw ended();
    try {
      return work();
    } catch (cause) {
      // A trap, such as of a full stack or memory, leaves the module in no known state.
      if (cause instanceof WebAssembly.RuntimeError || cause instanceof RangeError) broken = true;
      if (broken) throw ended(cause);
      const said = cause instanceof Error ? cause.message : String(cause);
      throw refusal(`is a schema, which cannot be kept: ${said}.`, 'Change the schema, or check the answer for it.', cause);
    }
  };
  return {
    follow: (schema) => {
      const answer = guard(() => compiler.follow(schema));
      return { allowed: () => guard(() => answer.allowed()), accept: (id) => guard(() => answer.accept(id)), free: () => guard(() => answer.free()) } satisfies FollowedAnswer;
    },
  };
}

const ended = (cause?: unknown) => refusal('is a schema that ended what compiles schemas.', 'Load the model again, and ask for a simpler one.', cause);

