// How dictation is possible: by the browser, where it recognises speech on this device, else by a model that hears. Nothing else is
// asked: a browser's recognition sends what is said to a server unless it is told not to.

import type { Engine } from 'rullama';
import { locale } from '../texts/text.ts';

/** What the page uses of the Web Speech API. */
export interface Recognition {
  lang: string;
  continuous: boolean;
  interimResults: boolean;
  processLocally: boolean;
  onstart: (() => void) | null;
  onresult: ((event: SpeechRecognitionEvent) => void) | null;
  onerror: ((event: SpeechRecognitionErrorEvent) => void) | null;
  onend: (() => void) | null;
  start(): void;
  stop(): void;
  abort(): void;
}

export interface Recognizer {
  new (): Recognition;
  readonly prototype: Recognition;
  available?(options: { langs: string[]; processLocally: boolean }): Promise<Readiness>;
  install?(options: { langs: string[]; processLocally: boolean }): Promise<boolean>;
}

/** Best first. */
const READINESS = ['available', 'downloading', 'downloadable', 'unavailable'] as const;
export type Readiness = (typeof READINESS)[number];

/** What recognises a language on this device, or would with what the browser can fetch. */
export interface Local {
  recognizer: Recognizer;
  lang: string;
  readiness: Readiness;
}

/** The browser's recognition of the page's language on this device; nothing where only a server would do it. */
export async function localRecognition(): Promise<Local | undefined> {
  const { SpeechRecognition, webkitSpeechRecognition } = window as { SpeechRecognition?: Recognizer; webkitSpeechRecognition?: Recognizer };
  const recognizer = SpeechRecognition ?? webkitSpeechRecognition;
  // A browser that does not know the wish would not keep to it.
  if (!recognizer?.available || !('processLocally' in recognizer.prototype)) return undefined;
  let best: Local | undefined;
  for (const lang of variants()) {
    const readiness = await recognizer.available({ langs: [lang], processLocally: true }).catch((): Readiness => 'unavailable');
    if (READINESS.indexOf(readiness) < READINESS.indexOf(best?.readiness ?? 'unavailable')) best = { recognizer, lang, readiness };
  }
  return best;
}

/** The page's language as the person's browser names it, as most people speak it, and without a region: browsers know it by one of them. */
function variants(): string[] {
  const { language, region } = new Intl.Locale(locale()).maximize();
  const { region: usual = region } = new Intl.Locale(language).maximize();
  return [...new Set([locale(), `${language}-${usual}`, language])];
}

export type Way = 'browser' | 'model';

/** How words get into the field with this model; `byModel` where the model is to write them if it can. */
export async function wayOf(engine: Engine | undefined, byModel: boolean): Promise<Way | undefined> {
  if (byModel && (await hears(engine))) return 'model';
  if (await localRecognition()) return 'browser';
  return (await hears(engine)) ? 'model' : undefined;
}

/** Whether the model hears, and there is something to record with. */
export async function hears(engine: Engine | undefined): Promise<boolean> {
  if (!engine || !navigator.mediaDevices || !('MediaRecorder' in window)) return false;
  return engine.cost({ type: 'audio', audio: { samples: new Float32Array(16_000), sampleRate: 16_000 } }).then(() => true, () => false);
}
