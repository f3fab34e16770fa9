// Diagrams in the place of their code, loaded with the first: the picture, a button between it and the code, or why there is none.

import { create } from './create.ts';
import { NoPicture, NotLoaded, pictureOf, TooSlow, type Picture } from './diagram-frame.ts';
import { ChatText } from '../texts/en/chat.ts';
import { parts, t } from '../texts/text.ts';

/** Longest source that is drawn, and what is told of an error, in characters. */
const MAX_LENGTH = 20_000;
const MAX_ERROR = 200;
/** Pictures that are kept: a chat that is opened again has the same. */
const MAX_KEPT = 40;
/** A picture is made smaller to fit, but not below this; then it is scrolled. */
const SMALLEST = 0.6;

class TooLong extends Error {}

const kept = new Map<string, Picture | Error>();

/** Shows the diagram in place of its code. `late` is called when the block takes another form. */
export async function showDiagram(figure: HTMLElement, source: string, dark: boolean, late: () => void): Promise<void> {
  const found = await pictureOrError(figure, source, dark);
  if (!found || !figure.isConnected) return;
  figure.querySelector('.no-diagram')?.remove();
  const shown = found instanceof Error ? found : await loaded(found);
  if (shown instanceof Error) showError(figure, shown);
  else showPicture(figure, shown);
  late();
}

async function pictureOrError(figure: HTMLElement, source: string, dark: boolean): Promise<Picture | Error | undefined> {
  if (source.length > MAX_LENGTH) return new TooLong();
  const key = `${dark ? 'dark' : 'light'} ${source}`;
  if (kept.has(key)) return kept.get(key);
  const found = await pictureOf({ source, dark, colours: colours(), font: getComputedStyle(document.body).fontFamily }, () => figure.isConnected).catch((error: unknown) => error as Error);
  if (!found || found instanceof NotLoaded) return found;
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(key, found);
  return found;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return {
    accent: of('--accent'), accentSoft: of('--accent-soft'), ground: of('--ground'), ink: of('--ink'), line: of('--line'), raised: of('--raised'),
    soft: of('--soft'), surface: of('--surface'),
  };
}

async function loaded({ address, width, height, label }: Picture): Promise<HTMLImageElement | Error> {
  const image = create('img');
  Object.assign(image, { src: address, width, height, alt: label ? t(ChatText.diagramLabel, { label }) : t(ChatText.diagramItsCode) });
  image.style.minWidth = `${Math.round(SMALLEST * width)}px`;
  return image.decode().then(() => image, () => new NoPicture());
}

function showPicture(figure: HTMLElement, image: HTMLImageElement): void {
  const shown = figure.querySelector('.picture');
  // Of other colours: which of the two is seen stays as it is.
  if (shown) return shown.replaceChildren(image);
  const picture = create('div', 'picture');
  picture.tabIndex = 0;
  picture.append(image);
  const code = figure.querySelector('pre');
  const toggle = create('button', 'quiet');
  toggle.type = 'button';
  const show = (asCode: boolean) => {
    picture.hidden = asCode;
    if (code) code.hidden = !asCode;
    toggle.textContent = asCode ? t(ChatText.showTheDiagram) : t(ChatText.showTheCode);
  };
  toggle.addEventListener('click', () => show(!picture.hidden));
  figure.querySelector('figcaption > span')?.after(toggle);
  figure.append(picture);
  show(false);
}

function showError(figure: HTMLElement, error: Error): void {
  // What was a picture is one still.
  if (figure.querySelector('.picture')) return;
  const remark = create('p', 'no-diagram');
  remark.dir = 'auto';
  remark.append(...remarkOn(error));
  figure.append(remark);
}

function remarkOn(error: Error): (string | Node)[] {
  if (error instanceof TooLong) return [t(ChatText.tooLongForA, { most: MAX_LENGTH })];
  if (error instanceof NoPicture) return [t(ChatText.noPictureOfIt)];
  if (error instanceof TooSlow) return [t(ChatText.tooSlowForA, { seconds: error.seconds })];
  if (error instanceof NotLoaded) return [t(ChatText.whatDrawsDiagramsCannot)];
  const message = create('bdi');
  message.dir = 'ltr';
  message.lang = 'en';
  // Without the arrow that points into a line above it.
  const text = error.message.replace(/-+\^/g, '').replace(/\s+/g, ' ').trim();
  message.textContent = text.length > MAX_ERROR ? `${text.slice(0, MAX_ERROR)}…` : text;
  return parts(ChatText.noDiagramError, { error: message });
}
