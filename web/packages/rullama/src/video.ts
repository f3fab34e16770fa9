// Videos on their way to the engine: which frames are seen, when, and each as a picture.

import { fileOf, hashOf, readPart, type Medium } from './media.ts';
import { FRAMES, FRAME_TOKENS } from './frames.ts';
import { VIDEO } from './media-parts.ts';
import type { Frames, VideoPart, VideoSource } from './media-types.ts';
import { once } from './once.ts';
import { checkSize, pixelsOf, refused } from './picture.ts';

/** Frames a second where nothing says how many. */
const FPS = 24;
/** Milliseconds that the browser has to open a file, and to find a frame. */
const PATIENCE = 20_000;
/** Milliseconds that a player stays open behind a frame: the next one of the film is wanted soon, or not at all. */
const OPEN = 2_000;
/** Seconds behind a frame's beginning that it is looked for, since players round. */
const INSIDE = 1e-3;
/** Bytes that are hashed at once. */
const PIECE = 64 * 2 ** 20;

/** A frame, and the second at which it is seen. */
export interface FrameMedium {
  medium: Medium;
  seconds: number;
}

/**
 * The frames that are seen of a video, as pictures.
 *
 * @throws RullamaError `invalid-argument` for what is no video, or outside of a page, which alone decodes files.
 */
export async function readVideo(part: VideoPart, dim: number): Promise<FrameMedium[]> {
  const fields = part as unknown as Record<string, unknown>;
  const given = VIDEO.map((name) => fields[name]).find((value) => value !== undefined && value !== null) as VideoSource | { url: string } | undefined;
  if (given === undefined) throw refused('A part of the content has no data.', 'Give it as `video`.');
  if (Array.isArray(given)) return ofFrames({ ...(fields as Omit<Frames, 'frames'>), frames: given }, dim);
  if (typeof given === 'object' && 'frames' in given) return ofFrames(given, dim);
  const file = fileOf(typeof given === 'object' && 'url' in given ? given.url : given);
  if (!file) throw refused('A video is neither a file nor frames.', 'Give a Blob, base64, a data URL, or { frames, fps } with pictures.');
  return once(known, file, ofFile);
}

/** The numbers of the frames that are seen of `total`. */
const sampled = (total: number) => (total <= FRAMES ? Array.from({ length: total }, (_, i) => i) : Array.from({ length: FRAMES }, (_, i) => Math.floor((i * total) / FRAMES)));

async function ofFrames({ frames, seconds, fps = FPS }: Frames, dim: number): Promise<FrameMedium[]> {
  if (!Array.isArray(frames) || frames.length === 0) throw refused('The video has no frames.', 'Give a list of pictures.');
  if (!(fps > 0)) throw refused(`\`fps\` is ${String(fps)}.`, 'Give a number above 0.');
  const seen: FrameMedium[] = [];
  for (const i of sampled(frames.length)) {
    const at = seconds === undefined ? i / fps : seconds[i];
    if (!(typeof at === 'number' && at >= 0 && at < 1e9)) throw refused(`The time of frame ${i} is ${String(at)}.`, 'Give `seconds` since the beginning for each frame, or `fps`.');
    const image = frames[i];
    if (image === undefined) throw refused(`Frame ${i} is missing.`, 'Give a picture for each.');
    seen.push({ medium: await readPart({ type: 'image', image, tokens: FRAME_TOKENS }, undefined, dim), seconds: at });
  }
  return seen;
}

/** What was found of files, which do not change. */
const known = new WeakMap<Blob, Promise<FrameMedium[]>>();

/** Of a file that the page decodes; nothing of it is, before a frame is wanted. */
async function ofFile(file: Blob): Promise<FrameMedium[]> {
  if (typeof document === 'undefined') throw refused('Files of videos are decoded by a page, which this is not.', 'Give its frames: { frames, fps } with pictures.');
  if (file.size === 0) throw refused('The video is empty.', 'Give a file that has one.');
  const film = new Film(file);
  const { duration, width, height } = await film.use(async (player) => ({ duration: await durationOf(player), width: player.videoWidth, height: player.videoHeight }));
  if (width === 0) throw refused('The file has sound, but no pictures.', 'Send it as a sound.');
  checkSize({ width, height });
  const hash = await hashOfFile(file);
  const count = Math.max(1, Math.min(FRAMES, Math.floor(duration * FPS)));
  return Array.from({ length: count }, (_, i) => {
    const seconds = (i * duration) / count;
    const raw = () => film.use(async (player) => ({ kind: 'image' as const, ...(await frameAt(player, seconds)), budget: FRAME_TOKENS }));
    const source = `image:${FRAME_TOKENS}:${hash}@${seconds}`;
    return { medium: { kind: 'image', source, size: { kind: 'image', width, height, budget: FRAME_TOKENS }, raw }, seconds };
  });
}

/** Of files of any size, by pieces. */
async function hashOfFile(file: Blob): Promise<string> {
  const pieces: string[] = [];
  for (let at = 0; at < file.size; at += PIECE) pieces.push(await hashOf(await file.slice(at, at + PIECE).arrayBuffer()));
  return hashOf(new TextEncoder().encode(pieces.join()));
}

/** A file's player, which frames take turns with: opening it for each would read and begin to decode the file as often. */
class Film {
  readonly #file: Blob;
  #player: { element: HTMLVideoElement; url: string } | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #closing: ReturnType<typeof setTimeout> | undefined;

  constructor(file: Blob) {
    this.#file = file;
  }

  use<T>(work: (player: HTMLVideoElement) => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => this.#with(work));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #with<T>(work: (player: HTMLVideoElement) => Promise<T>): Promise<T> {
    clearTimeout(this.#closing);
    try {
      const player = this.#player ?? (await this.#open());
      const result = await work(player.element);
      this.#closing = setTimeout(() => this.#close(), OPEN);
      return result;
    } catch (error) {
      this.#close();
      throw error;
    }
  }

  async #open() {
    const player = { element: document.createElement('video'), url: URL.createObjectURL(this.#file) };
    this.#player = player;
    Object.assign(player.element, { muted: true, playsInline: true, preload: 'auto' });
    await until(player.element, 'loadeddata', () => (player.element.src = player.url));
    return player;
  }

  #close() {
    if (!this.#player) return;
    const { element, url } = this.#player;
    this.#player = undefined;
    element.removeAttribute('src');
    element.load();
    URL.revokeObjectURL(url);
  }
}

/** Waits for an event of a player after `act`. */
function until(player: HTMLVideoElement, event: string, act: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause?: unknown) => reject(refused('The file is no video that this browser can read.', 'Give an MP4 or WebM file that is whole, or its frames as pictures.', cause));
    const late = setTimeout(() => fail(new Error(`no ${event} within ${PATIENCE} ms`)), PATIENCE);
    const once = { once: true };
    player.addEventListener(event, () => (clearTimeout(late), resolve()), once);
    player.addEventListener('error', () => (clearTimeout(late), fail(player.error ?? undefined)), once);
    act();
  });
}

/** The length in seconds. Recordings of browsers do not state it: their end is looked for. */
async function durationOf(player: HTMLVideoElement): Promise<number> {
  if (player.duration === Infinity) await until(player, 'seeked', () => (player.currentTime = Number.MAX_SAFE_INTEGER));
  const seconds = Number.isFinite(player.duration) ? player.duration : player.currentTime;
  return Number.isFinite(seconds) && seconds > 0 ? seconds : 1 / FPS;
}

async function frameAt(player: HTMLVideoElement, seconds: number) {
  await until(player, 'seeked', () => (player.currentTime = seconds + INSIDE));
  const bitmap = await createImageBitmap(player);
  try {
    return pixelsOf(bitmap);
  } finally {
    bitmap.close();
  }
}
