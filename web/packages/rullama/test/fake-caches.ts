// What a fake engine has computed of conversations: the ids of each, which are reused as far as a prompt begins with them.

import { RullamaError } from '../src/errors.ts';
import type { Timings } from '../src/types.ts';

export class FakeCaches {
  private readonly ids = new Map<number, number[]>();

  /** `of` names the model, with which a real one's caches would have to agree. */
  constructor(private readonly of: () => string) {}

  /** The timings of an answer to a prompt, of which what is known was not computed. */
  timings(chat: number, prompt: number[], usual: Timings): Timings {
    const known = this.ids.get(chat) ?? [];
    const differs = prompt.findIndex((id, i) => id !== known[i]);
    const prefilledTokens = prompt.length - Math.min(differs < 0 ? prompt.length : differs, prompt.length - 1);
    return { ...usual, prefilledTokens, prefillS: prefilledTokens / usual.prefillTokS };
  }

  keep(chat: number, ids: number[]): void {
    this.ids.set(chat, ids);
  }

  forget(chat: number): void {
    this.ids.delete(chat);
  }

  fork(chat: number, copy: number): void {
    this.keep(copy, this.ids.get(chat) ?? []);
  }

  /** `adapted` is what adapters add. */
  save(chat: number, adapted: number, most = Infinity): Uint8Array<ArrayBuffer> {
    const saved = new TextEncoder().encode(JSON.stringify({ of: `${this.of()} ${adapted}`, ids: this.ids.get(chat) ?? [] }));
    if (saved.length <= most) return saved;
    throw new RullamaError('invalid-argument', `The caches of the conversation have ${saved.length} bytes, and \`most\` allows ${most}.`);
  }

  /** The ids that were saved. */
  restored(saved: Uint8Array, adapted: number): number[] {
    let read: { of?: string; ids?: number[] } = {};
    try {
      read = JSON.parse(new TextDecoder().decode(saved)) as typeof read;
    } catch {
      // As of another model.
    }
    if (read.of === `${this.of()} ${adapted}`) return read.ids ?? [];
    throw new RullamaError('invalid-argument', 'The saved session cannot be restored: it belongs to other weights, types or adapters');
  }
}
