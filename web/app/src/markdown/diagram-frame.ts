// The frame that draws diagrams (`diagrams.html`), and what it draws as pictures. It is there while diagrams are wanted, and is told one
// at a time; nothing that it says is believed beyond its form.

import type { Answer, Ask } from './mermaid-frame.ts';
import { ChatText } from '../texts/en/chat.ts';
import { t } from '../texts/text.ts';

export interface Picture {
  address: string;
  width: number;
  height: number;
  /** What the diagram says that it shows. */
  label: string;
}

/** Milliseconds: for one diagram, for the frame to begin, and until a frame without work goes. */
const LIMIT_MS = 10_000;
const START_MS = 30_000;
const IDLE_MS = 30_000;
/** Characters of a picture's file and of what is said about it; the longer side of one, in pixels. */
const MAX_FILE = 4 << 20;
const MAX_TEXT = 1000;
const MAX_SIDE = 20_000;

/** The diagram took more than `seconds` and was stopped. */
export class TooSlow extends Error {
  constructor(readonly seconds: number) {
    super();
  }
}

/** There is none, or one that is too large. */
export class NoPicture extends Error {}

/** What draws could not be loaded. */
export class NotLoaded extends Error {}

interface Started {
  frame: HTMLIFrameElement;
  /** What draws: the frame within it, which has no origin. */
  inner: Window;
}

let started: Promise<Started> | undefined;
let last: Promise<unknown> = Promise.resolve();
let idle = 0;
let id = 0;

/** The picture of a source, after those that were asked for before; `wanted` is asked when it is its turn. */
export function pictureOf(ask: Omit<Ask, 'id'>, wanted: () => boolean): Promise<Picture | undefined> {
  const work = async () => (wanted() ? draw({ ...ask, id: (id += 1) }) : undefined);
  const result = last.then(work);
  last = result.catch(() => undefined);
  return result;
}

/** @throws Error that says what is wrong with the source, `NoPicture`, `TooSlow` or `NotLoaded`. */
async function draw(ask: Ask): Promise<Picture> {
  clearTimeout(idle);
  const { inner } = await (started ??= start());
  const answer = await reply<Answer>(inner, (data) => (data as Answer | undefined)?.id === ask.id, LIMIT_MS, () => inner.postMessage(ask, '*'));
  idle = window.setTimeout(stop, IDLE_MS);
  if (!answer) {
    // Whatever it does, it ends with the frame.
    stop();
    throw new TooSlow(LIMIT_MS / 1000);
  }
  return checked(answer);
}

/** The first message of a window that is one of those waited for; nothing where none comes in time. */
function reply<T>(from: Window, isIt: (data: unknown) => boolean, limit: number, ask: () => void): Promise<T | undefined> {
  return new Promise((resolve) => {
    const end = (data?: T) => {
      clearTimeout(timer);
      window.removeEventListener('message', receive);
      resolve(data);
    };
    const receive = ({ source, data }: MessageEvent<unknown>) => {
      if (source === from && isIt(data)) end(data as T);
    };
    const timer = setTimeout(end, limit);
    window.addEventListener('message', receive);
    ask();
  });
}

async function start(): Promise<Started> {
  const frame = document.createElement('iframe');
  try {
    // The frame cannot load it: what has no origin is kept out by servers, and is not answered by the service worker.
    const response = await fetch('mermaid.js');
    if (!response.ok) throw new NotLoaded();
    const code = await response.text();
    Object.assign(frame, { src: 'diagrams.html', className: 'drawing', title: t(ChatText.whatDrawsDiagrams), tabIndex: -1, ariaHidden: 'true' });
    await new Promise((resolve, reject) => {
      Object.assign(frame, { onload: resolve, onerror: reject });
      setTimeout(reject, START_MS);
      document.body.append(frame);
    });
    const inner = frame.contentWindow?.frames[0];
    if (!inner) throw new NotLoaded();
    if (!(await reply(inner, (data) => data === 'drawing', START_MS, () => inner.postMessage(code, '*')))) throw new NotLoaded();
    return { frame, inner };
  } catch {
    frame.remove();
    started = undefined;
    throw new NotLoaded();
  }
}

function stop(): void {
  clearTimeout(idle);
  void started?.then(({ frame }) => frame.remove());
  started = undefined;
}

/** The picture has no origin, and as a picture it runs nothing and loads nothing. */
function checked(answer: Answer): Picture {
  if ('error' in answer) throw answer.error === '' ? new NoPicture() : new Error(String(answer.error).slice(0, MAX_TEXT));
  const { svg, width, height, label } = answer;
  const isSize = (side: unknown) => typeof side === 'number' && side > 0 && side <= MAX_SIDE;
  if (typeof svg !== 'string' || svg.length > MAX_FILE || !isSize(width) || !isSize(height)) throw new NoPicture();
  // Half a pair of surrogates has no place in an address.
  const whole = svg.replace(/\p{Surrogate}/gu, '\ufffd');
  return { address: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(whole)}`, width: Math.ceil(width), height: Math.ceil(height), label: String(label).slice(0, MAX_TEXT) };
}
