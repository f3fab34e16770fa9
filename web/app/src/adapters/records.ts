// What the page keeps of adapters, and of a training in progress.

import type { EngineOptions, ModelInfo, TuneOptions, TuneStep } from 'rullama';

/** A model as adapters remember it. Models of one shape take each other's adapters: the same weights in another format, say. */
export interface ModelTag {
  name: string;
  shape: string;
}

export const tagOf = ({ layers, dim, heads, vocab, perLayer }: ModelInfo, name: string): ModelTag => ({ name, shape: [layers, dim, heads, vocab, perLayer].join('-') });

/** An adapter. Its files are kept beside it. */
export interface AdapterRecord {
  id: string;
  name: string;
  /** Milliseconds since 1970, as are all times here. */
  created: number;
  /** Of its files. */
  bytes: number;
  rank: number;
  alpha: number;
  model: ModelTag;
  /** How it was trained, in words. */
  about?: string;
  /** When it was deleted; until it is removed this can be undone. */
  deleted?: number | undefined;
}

/** A file, as `loadAdapter` takes it. */
export interface StoredFile {
  name: string;
  bytes: Uint8Array<ArrayBuffer>;
}

/** An adapter of a conversation, and the factor on its scale. */
export interface AttachedRecord {
  id: string;
  scale: number;
}

/** An answer to the person's own prompt, as it was at a step. */
export interface Sample {
  step: number;
  text: string;
}

/** What a training is made from. */
export interface TrainingPlan {
  id: string;
  name: string;
  created: number;
  model: ModelTag;
  /** Where the model came from, if that can be opened again. */
  source?: { address: string; options: EngineOptions };
  examples: Blob;
  options: TuneOptions;
  /** What samples answer; empty for none. */
  prompt: string;
}

/** A training as it is kept: it goes on from here. */
export interface TrainingRecord extends TrainingPlan {
  step: number;
  steps: number;
  history: TuneStep[];
  samples: Sample[];
}

/** All that a training goes on from. The last two are kept. */
export interface CheckpointRecord {
  /** 0 or 1. */
  slot: number;
  training: string;
  step: number;
  bytes: Uint8Array<ArrayBuffer>;
}
