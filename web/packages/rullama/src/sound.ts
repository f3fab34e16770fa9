// Sounds on their way to the engine: the browser decodes to what towers hear, one channel at 16 kHz.

import type { Samples } from './media-types.ts';
import { MAX_BYTES, refused } from './picture.ts';

/** Samples a second that towers hear. */
export const RATE = 16_000;
/** Seconds of the longest sound, as the engine has it. */
const MAX_SECONDS = 1800;
/** Bytes of a file whose length is not known before it is decoded. */
const MAX_UNKNOWN = 16 * 2 ** 20;
/** Milliseconds that the browser has to read the length of a file. */
const PATIENCE = 5000;
/** Rates that every browser's buffers have. */
const RATES = { least: 8000, most: 96_000 };

/** Decodes a file of a sound: its channels averaged, at 16 kHz. */
export async function decodeSound(file: Blob): Promise<Float32Array> {
  if (typeof OfflineAudioContext !== 'function') {
    throw refused('Files of sounds are decoded by a page, which this is not.', `Give samples at ${RATE} a second: { samples, sampleRate: ${RATE} }.`);
  }
  if (file.size === 0) throw refused('The sound is empty.', 'Give a file that has one.');
  if (file.size > MAX_BYTES) throw refused(`The file of the sound has ${file.size} bytes, more than ${MAX_BYTES}.`, 'Cut it into shorter ones.');
  // What is decoded is many times as large, so its length must be known first.
  const seconds = await lengthOf(file);
  if (seconds !== undefined) checkSeconds(seconds);
  else if (file.size > MAX_UNKNOWN) throw refused('The file does not say how long the sound is.', `Cut it to less than ${MAX_UNKNOWN} bytes.`);
  let buffer: AudioBuffer;
  try {
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch (cause) {
    throw refused('The file is no sound that this browser can read.', 'Give a WAV, MP3, FLAC, Ogg or M4A file that is whole.', cause);
  }
  return mixed(channelsOf(buffer));
}

/** Samples as towers hear them: channels averaged, at 16 kHz. */
export async function hearable({ samples, sampleRate }: Samples): Promise<Float32Array> {
  const one = mixed(Array.isArray(samples) ? samples : [samples]);
  if (one.length === 0) throw refused('The sound has no samples.', 'Give another one.');
  if (!(sampleRate > 0)) throw refused(`A sound of ${String(sampleRate)} samples a second is none.`, 'Give its `sampleRate`.');
  checkSeconds(one.length / sampleRate);
  if (sampleRate === RATE) return one;
  if (typeof OfflineAudioContext !== 'function') {
    throw refused(`A sound of ${sampleRate} samples a second can be brought to ${RATE} by a page alone.`, `Give it at ${RATE}.`);
  }
  if (sampleRate < RATES.least || sampleRate > RATES.most) {
    throw refused(`A sound of ${sampleRate} samples a second cannot be brought to ${RATE}.`, `Give one of ${RATES.least} to ${RATES.most}.`);
  }
  const context = new OfflineAudioContext(1, Math.ceil((one.length * RATE) / sampleRate), RATE);
  const buffer = context.createBuffer(1, one.length, sampleRate);
  buffer.copyToChannel(one as Float32Array<ArrayBuffer>, 0);
  const player = new AudioBufferSourceNode(context, { buffer });
  player.connect(context.destination);
  player.start();
  return (await context.startRendering()).getChannelData(0);
}

export const channelsOf = (buffer: AudioBuffer): Float32Array[] => Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i));

function mixed(channels: Float32Array[]): Float32Array {
  const [first, ...others] = channels;
  if (!(first instanceof Float32Array)) throw refused('The sound has no samples.', 'Give a Float32Array, or one for each channel.');
  if (others.length === 0) return first;
  if (others.some(({ length }) => length !== first.length)) throw refused('The channels of the sound are not of one length.', 'Give as many samples of each.');
  return first.map((sample, i) => others.reduce((sum, channel) => sum + (channel[i] ?? 0), sample) / channels.length);
}

function checkSeconds(seconds: number): void {
  if (seconds > MAX_SECONDS) throw refused(`The sound has ${Math.round(seconds)} s, more than ${MAX_SECONDS}.`, 'Cut it into shorter ones.');
}

/** The length that a file states, in seconds; `undefined` where it states none, or the browser does not find it. */
async function lengthOf(file: Blob): Promise<number | undefined> {
  if (typeof Audio !== 'function') return undefined;
  const url = URL.createObjectURL(file);
  const audio = new Audio();
  audio.preload = 'metadata';
  try {
    return await new Promise((resolve) => {
      const known = () => resolve(Number.isFinite(audio.duration) ? audio.duration : undefined);
      audio.onloadedmetadata = known;
      audio.onerror = () => resolve(undefined);
      setTimeout(() => resolve(undefined), PATIENCE);
      audio.src = url;
    });
  } finally {
    audio.removeAttribute('src');
    URL.revokeObjectURL(url);
  }
}
