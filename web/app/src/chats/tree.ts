// The messages of a conversation as a tree: edited questions and repeated answers stand beside each other.

import type { MessageRecord } from './records.ts';

export class Tree {
  private readonly byId = new Map<string, MessageRecord>();
  /** Messages by their parent, oldest first; those without one that is here under `null`. */
  private readonly below = new Map<string | null, MessageRecord[]>();

  constructor(messages: Iterable<MessageRecord> = []) {
    for (const message of messages) this.byId.set(message.id, message);
    for (const message of this.byId.values()) this.place(message);
  }

  get size(): number {
    return this.byId.size;
  }

  /** When the latest message was made. */
  get latest(): number {
    let latest = 0;
    for (const { created } of this.byId.values()) latest = Math.max(latest, created);
    return latest;
  }

  get(id: string | null): MessageRecord | undefined {
    return id === null ? undefined : this.byId.get(id);
  }

  all(): MessageRecord[] {
    return [...this.byId.values()];
  }

  /** Adds a message, or puts a newer state of it in its place. */
  put(message: MessageRecord): void {
    this.take(message.id);
    this.byId.set(message.id, message);
    this.place(message);
  }

  /** Takes a message out; what was said after it goes with it. */
  remove(id: string): MessageRecord[] {
    const gone: MessageRecord[] = [];
    const waiting = [id];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      waiting.push(...(this.below.get(next) ?? []).map((message) => message.id));
      const message = this.take(next);
      if (message) gone.push(message);
    }
    return gone;
  }

  /** From the first message to `leaf`; nothing where there is no such message. */
  path(leaf: string | null): MessageRecord[] {
    const found: MessageRecord[] = [];
    const seen = new Set<string>();
    for (let at = this.get(leaf); at && !seen.has(at.id); at = this.get(at.parent)) {
      seen.add(at.id);
      found.push(at);
    }
    return found.reverse();
  }

  /** The versions of a message, itself among them, oldest first. */
  versions(id: string): MessageRecord[] {
    const message = this.get(id);
    return message ? (this.below.get(this.parentOf(message)) ?? []) : [];
  }

  /** The version so many steps from this one; `undefined` beyond the first and the last. */
  step(id: string, by: number): MessageRecord | undefined {
    const versions = this.versions(id);
    return versions[versions.findIndex((version) => version.id === id) + by];
  }

  /** The end of the latest turns that follow a message. */
  leafBelow(id: string): string {
    let at = id;
    const seen = new Set([id]);
    for (let next = this.below.get(at)?.at(-1); next && !seen.has(next.id); next = this.below.get(at)?.at(-1)) {
      seen.add(next.id);
      at = next.id;
    }
    return at;
  }

  /** The end of what was said last, for a conversation that does not say what it shows. */
  latestLeaf(): string | null {
    let latest: MessageRecord | undefined;
    for (const message of this.byId.values()) if (!latest || inOrder(latest, message) < 0) latest = message;
    return latest ? this.leafBelow(latest.id) : null;
  }

  private parentOf({ parent }: MessageRecord): string | null {
    return parent !== null && this.byId.has(parent) ? parent : null;
  }

  private place(message: MessageRecord): void {
    const parent = this.parentOf(message);
    const versions = this.below.get(parent);
    if (!versions) this.below.set(parent, [message]);
    else {
      versions.push(message);
      if (versions.length > 1 && inOrder(versions.at(-2) as MessageRecord, message) > 0) versions.sort(inOrder);
    }
  }

  private take(id: string): MessageRecord | undefined {
    const message = this.byId.get(id);
    if (!message) return undefined;
    const parent = this.parentOf(message);
    const left = (this.below.get(parent) ?? []).filter((version) => version.id !== id);
    if (left.length > 0) this.below.set(parent, left);
    else this.below.delete(parent);
    this.byId.delete(id);
    return message;
  }
}

const inOrder = (a: MessageRecord, b: MessageRecord) => a.created - b.created || (a.id < b.id ? -1 : 1);
