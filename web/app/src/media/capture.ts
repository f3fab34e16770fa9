// The camera and the microphone, each in a dialog of its own.

import { h } from '../dom.ts';
import { CommonText } from '../texts/en/common.ts';
import { MediaText } from '../texts/en/media.ts';
import { t } from '../texts/text.ts';
import { clock, letGo, record, streamOf, watchLevel } from './recorder.ts';

/** Longest recording in seconds: what towers hear. */
const LONGEST = 1800;

/** Lets a person take a picture; nothing where they do not. */
export function takePhoto(): Promise<Blob | undefined> {
  const video = h('video', { autoplay: true, muted: true, playsInline: true, 'aria-label': t(MediaText.whatTheCameraSees) });
  return captured(t(MediaText.takeAPicture), t(MediaText.takeIt), { video: { facingMode: 'environment', width: { ideal: 1920 }, height: { ideal: 1080 } } }, (stream) => {
    video.srcObject = stream;
    const shot = async () => {
      const canvas = h('canvas', { width: video.videoWidth, height: video.videoHeight });
      if (canvas.width === 0) return undefined;
      canvas.getContext('2d')?.drawImage(video, 0, 0);
      return new Promise<Blob | undefined>((resolve) => canvas.toBlob((blob) => resolve(blob ?? undefined), 'image/jpeg', 0.92));
    };
    return { element: video, end: shot };
  });
}

/** Lets a person record a sound; nothing where they do not. */
export function recordSound(): Promise<Blob | undefined> {
  const level = h('meter', { min: 0, max: 1, low: 0.02, high: 0.9, 'aria-label': t(MediaText.levelOfTheMicrophone) });
  const time = h('span', { className: 'time' }, '0:00');
  return captured(t(MediaText.recordASound), t(MediaText.useIt), { audio: true }, (stream, finish) => {
    const recording = record(stream);
    const stopWatching = watchLevel(stream, (loud = 0) => {
      level.value = loud;
      time.textContent = clock(recording.seconds());
      if (recording.seconds() >= LONGEST) finish();
    });
    return { element: h('p', { className: 'recording' }, level, time), end: recording.end, close: stopWatching };
  });
}

interface Source {
  element: HTMLElement;
  /** What was captured. */
  end(): Promise<Blob | undefined>;
  close?(): void;
}

async function captured(title: string, take: string, wanted: MediaStreamConstraints, open: (stream: MediaStream, finish: () => void) => Source): Promise<Blob | undefined> {
  const place = h('div', { className: 'place' }, h('p', { className: 'hint' }, t(MediaText.waitingForYourPermission)));
  const button = h('button', { type: 'button', className: 'primary', disabled: true }, take);
  const cancel = h('button', { type: 'button', className: 'quiet' }, t(CommonText.cancel));
  const dialog = h('dialog', { className: 'settings capture', 'aria-label': title }, h('h2', {}, title), place, h('p', { className: 'actions' }, button, cancel));
  document.body.append(dialog);
  dialog.showModal();
  let stream: MediaStream | undefined;
  let source: Source | undefined;
  try {
    return await new Promise<Blob | undefined>((resolve) => {
      dialog.onclose = () => resolve(undefined);
      cancel.onclick = () => dialog.close();
      const finish = () => void source?.end().then(resolve, () => resolve(undefined));
      button.onclick = finish;
      void streamOf(wanted).then((given) => {
        if (!dialog.open) return letGo(given);
        stream = given;
        source = open(given, finish);
        place.replaceChildren(source.element);
        button.disabled = false;
        button.focus();
      }, (thrown) => place.replaceChildren(h('p', { className: 'problem', role: 'alert' }, whyNot(thrown))));
    });
  } finally {
    source?.close?.();
    letGo(stream);
    dialog.onclose = null;
    dialog.close();
    dialog.remove();
  }
}

function whyNot(thrown: unknown): string {
  const name = (thrown as { name?: unknown } | null)?.name;
  if (name === 'NotAllowedError') return t(MediaText.theBrowserDoesNot);
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return t(MediaText.thereIsNoneOn);
  if (name === 'SecurityError') return t(MediaText.browsersAllowItOnly);
  return t(MediaText.itCannotBeUsed);
}
