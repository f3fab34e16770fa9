// Whether a model of the list fits this GPU, before a byte of it is fetched.

import type { Room } from './room.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

/** A model that can be had from its makers. */
export interface Offer {
  name: string;
  about: string;
  address: string;
  /** Of the file. */
  bytes: number;
  /** Of the part that can stay in the file: per-layer embeddings. */
  streamable?: number;
}

/** What is known of the GPU. */
export interface Facts {
  /** The adapter's largest buffer, in bytes; none where there is no WebGPU. */
  largest: number | undefined;
  software: boolean;
  room: Room;
}

export interface Verdict {
  fits: 'yes' | 'streamed' | 'no';
  words: string;
}

/** Keys, values and working space of a usual chat beside the weights. */
const BESIDE = 6e8;
/** An adapter with smaller buffers is a phone's or as small as one; bytes of weights that such a one is believed to hold, and others. */
const SMALL = { largest: 1 << 30, room: 2.5e9, others: 8e9 };

export function verdictOf({ bytes, streamable = 0 }: Offer, { largest, software, room }: Facts): Verdict {
  if (largest === undefined) return { fits: 'no', words: t(ModelsText.notHereThisBrowser) };
  if (software) return { fits: 'no', words: t(ModelsText.notHereThisBrowserComputes) };
  const { held = 0, refused = Infinity } = room;
  const least = bytes - streamable;
  const streamed = t(ModelsText.fitsWithPerLayer);
  // A file is more than its weights: a description and a vocabulary.
  if (0.95 * bytes <= held) return { fits: 'yes', words: t(ModelsText.fitsThisGPUAs) };
  if (bytes >= refused) {
    if (streamable > 0 && least < refused) return { fits: 'streamed', words: streamed };
    return { fits: 'no', words: t(ModelsText.doesNotFitThere) };
  }
  // What was held before is a floor, what is usual a guess.
  const guess = Math.max(held, largest < SMALL.largest ? SMALL.room : SMALL.others);
  if (bytes + BESIDE <= guess) return { fits: 'yes', words: t(ModelsText.shouldFitThisGPU) };
  if (streamable > 0 && least + BESIDE <= guess) return { fits: 'streamed', words: streamed };
  return { fits: 'no', words: t(ModelsText.needsAGPUWith, { bytes: Math.ceil((bytes + BESIDE) / 1e9) }) };
}
