// Media without towers: what they would take of a context, and that they were perceived.

import { RullamaError } from '../src/errors.ts';
import type { MediaSize, RawMedium } from '../src/protocol.ts';
import type { Message, OpenAIMessage } from '../src/types.ts';

/** Pixels of a side of a picture's soft token, and samples of a sound's. */
const SIDE = 48;
const FRAME = 640;

export class FakeSenses {
  private readonly known = new Map<string, number>();
  /** Names of media in the order in which they were perceived. */
  readonly perceived: string[] = [];
  private projector = false;

  /** `blind`: the model has towers only beside it. */
  constructor(private readonly blind: boolean) {}

  cost(size: MediaSize): number {
    this.check(size.kind);
    if (size.kind === 'audio') return Math.ceil(size.samples / FRAME);
    const { width, height, budget = 280 } = size;
    const scale = Math.sqrt((budget * SIDE * SIDE) / (width * height));
    return Math.max(1, Math.floor((width * scale) / SIDE)) * Math.max(1, Math.floor((height * scale) / SIDE));
  }

  unknown(sources: string[]): number[] {
    return sources.flatMap((source, i) => (this.known.has(source) ? [] : [i]));
  }

  perceive(source: string, medium: RawMedium): number {
    if ('soft' in medium) this.known.set(source, medium.values.length / 256);
    else {
      const { kind } = medium;
      const size: MediaSize = kind === 'image' ? { ...medium, kind } : { kind, samples: medium.samples.length };
      this.known.set(source, this.cost(size));
    }
    this.perceived.push(source);
    return this.known.get(source) ?? 0;
  }

  project(on: boolean): void {
    this.projector = on;
    this.known.clear();
  }

  /** What a message shows, in words; one that nobody perceived is refused. */
  shown(message: Message | OpenAIMessage | undefined): string {
    const { images = [], content } = (message ?? {}) as { images?: string[]; content?: unknown };
    const parts = Array.isArray(content) ? (content as { image?: string; audio?: string; frames?: { source: string }[] }[]) : [];
    const sources = [...images, ...parts.flatMap(({ image, audio, frames = [] }) => image ?? audio ?? frames.map(({ source }) => source))];
    for (const source of sources) {
      if (!this.known.has(source)) throw new RullamaError('invalid-argument', 'A medium is named by a message, but was not given.');
    }
    const pictures = sources.filter((source) => source.startsWith('image')).length;
    const sounds = sources.length - pictures;
    return sources.length === 0 ? '' : `[${pictures} pictures, ${sounds} sounds] `;
  }

  private check(kind: 'image' | 'audio'): void {
    if (!this.blind || this.projector) return;
    const what = kind === 'image' ? 'pictures' : 'sounds';
    throw new RullamaError('model-unsupported', `fake has no tower for ${what}.`, {
      remedy: 'Give the file with its towers (mmproj) as `projector`, or load a model that has them.',
    });
  }
}
