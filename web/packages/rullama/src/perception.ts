// What a loaded model perceives: media of messages become names, under which the engine keeps what it made of them.

import type { Client } from './client.ts';
import { RullamaError } from './errors.ts';
import type { Medium } from './media.ts';
import { isMedia, isVideo } from './media-parts.ts';
import type { ContentPart, MediaPart, PictureSource, PictureTokens, VideoPart } from './media-types.ts';
import type { Message, OpenAIMessage } from './types.ts';
import type { FrameMedium } from './video.ts';

type AnyMessage = Message | OpenAIMessage;

const reading = () => import('./read-media.ts');

/** Messages whose media are names, and the soft tokens of each. */
export interface Named {
  messages: AnyMessage[];
  soft: Record<string, number>;
}

export class Perception {
  /** Soft tokens by name. */
  private readonly costs = new Map<string, number>();

  constructor(
    private readonly client: Client,
    /** Width of the model. */
    private readonly dim: number,
  ) {}

  /** The messages with names for their media, which the model has perceived then. */
  async shown(messages: AnyMessage[], tokens: PictureTokens | undefined, signal?: AbortSignal): Promise<AnyMessage[]> {
    const found = new Map<string, Medium>();
    const named = await this.named(messages, tokens, found, signal);
    await this.perceive([...found.values()], signal);
    return named;
  }

  /** The messages with names for their media, and what each takes of the context; nothing is perceived for it. */
  async counted(messages: AnyMessage[], tokens: PictureTokens | undefined): Promise<Named> {
    const found = new Map<string, Medium>();
    const named = await this.named(messages, tokens, found);
    const soft: Record<string, number> = {};
    for (const medium of found.values()) soft[medium.source] = await this.costOf(medium);
    return { messages: named, soft };
  }

  /** Names of parts that the model has perceived then. */
  async names(parts: MediaPart[], signal?: AbortSignal): Promise<string[]> {
    const media: Medium[] = [];
    for (const part of parts) media.push(...(await this.read(part)));
    await this.perceive(media, signal);
    return media.map(({ source }) => source);
  }

  /** Soft tokens of a part; of a video those of its frames. */
  async cost(part: MediaPart, tokens?: PictureTokens): Promise<number> {
    let cost = 0;
    for (const medium of await this.read(part, tokens)) cost += await this.costOf(medium);
    return cost;
  }

  /** The soft tokens of a part as numbers; of a video those of its frames, one behind another. */
  async numbers(part: MediaPart, signal?: AbortSignal): Promise<Float32Array> {
    const all: Float32Array[] = [];
    for (const source of await this.names([part], signal)) all.push(await this.client.call('softTokens', source));
    const [only] = all;
    if (only && all.length === 1) return only;
    const joined = new Float32Array(all.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const values of all) {
      joined.set(values, at);
      at += values.length;
    }
    return joined;
  }

  /** Another file of towers: what is known of media is so no longer. */
  forget(): void {
    this.costs.clear();
  }

  /** What a part shows: one medium, or the frames of a video. */
  private async read(part: MediaPart, tokens?: PictureTokens): Promise<Medium[]> {
    const { readPart, readVideo } = await reading();
    if (isVideo(part)) return (await readVideo(part, this.dim)).map(({ medium }) => medium);
    return [await readPart(part, tokens, this.dim)];
  }

  private async costOf({ source, size }: Medium): Promise<number> {
    if (typeof size === 'number') return size;
    const known = this.costs.get(source);
    if (known !== undefined) return known;
    const cost = await this.client.call('mediaCost', size);
    this.costs.set(source, cost);
    return cost;
  }

  private async perceive(media: Medium[], signal?: AbortSignal): Promise<void> {
    if (media.length === 0) return;
    const unknown = await this.client.call('mediaUnknown', media.map(({ source }) => source));
    for (const place of unknown) {
      const { source, raw } = media[place] as Medium;
      stopped(signal);
      await this.client.call('perceive', { source, medium: await raw() }, { signal });
    }
  }

  private async named(messages: AnyMessage[], tokens: PictureTokens | undefined, found: Map<string, Medium>, signal?: AbortSignal): Promise<AnyMessage[]> {
    const keep = (medium: Medium) => found.set(medium.source, medium);
    const read: Readers = {
      one: async (part) => {
        stopped(signal);
        const medium = await (await reading()).readPart(part, tokens, this.dim);
        keep(medium);
        return medium;
      },
      frames: async (part) => {
        stopped(signal);
        const frames = await (await reading()).readVideo(part, this.dim);
        frames.forEach(({ medium }) => keep(medium));
        return frames;
      },
    };
    const named: AnyMessage[] = [];
    for (const message of messages) named.push(await withNames(message, read));
    return named;
  }
}

/** What reads the parts of a message. */
interface Readers {
  one(part: MediaPart): Promise<Medium>;
  frames(part: VideoPart): Promise<FrameMedium[]>;
}

async function withNames(message: AnyMessage, read: Readers): Promise<AnyMessage> {
  const { images, media, content: given, ...rest } = message as { images?: PictureSource[] | null; media?: MediaPart[]; content?: string | ContentPart[] | null };
  const content = media?.length ? [...media, ...(typeof given === 'string' ? [{ type: 'text' as const, text: given }] : (given ?? []))] : given;
  const renamed: Record<string, unknown> = {};
  if (images !== undefined && images !== null) {
    if (!Array.isArray(images)) throw new RullamaError('invalid-argument', '`images` is no list.', { remedy: 'Give a list of pictures.' });
    const sources: string[] = [];
    for (const image of images) sources.push((await read.one({ type: 'image', image })).source);
    renamed['images'] = sources;
  }
  if (Array.isArray(content) && content.some(isMedia)) {
    const parts: unknown[] = [];
    for (const part of content) {
      if (!isMedia(part)) parts.push(part);
      else if (isVideo(part)) {
        const frames = await read.frames(part);
        parts.push({ type: 'video', frames: frames.map(({ medium: { source }, seconds }) => ({ source, seconds })) });
      } else {
        const { kind, source } = await read.one(part);
        parts.push({ type: kind, [kind]: source });
      }
    }
    renamed['content'] = parts;
  }
  if (Object.keys(renamed).length > 0) return { ...rest, content, ...renamed } as AnyMessage;
  return media ? ({ ...rest, content } as AnyMessage) : message;
}

function stopped(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new RullamaError('cancelled', 'The work was stopped before the model had perceived all of it.');
}
