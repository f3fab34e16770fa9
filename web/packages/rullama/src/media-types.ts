// Pictures, sounds and videos in messages, as users of the package hand them in.

import type { Attached, SendOptions, Token } from './types.ts';

/** Pixels, row by row: red, green, blue and alpha of 8 bits. */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

/** Samples in -1 to 1, of one channel or a list of them. */
export interface Samples {
  samples: Float32Array | Float32Array[];
  /** Samples a second; outside of a page 16,000. */
  sampleRate: number;
}

/**
 * A picture: a file of it (as a `Blob`, its bytes, base64 or a data URL), which a browser decodes, or pixels. Addresses are not fetched.
 * Node decodes no files: give pixels there.
 */
export type PictureSource = Blob | ImageBitmap | ImageData | Pixels | Uint8Array | string;

/** A sound: a file of it, which a page decodes, or samples. Workers and Node decode no files: give samples there. */
export type SoundSource = Blob | AudioBuffer | Samples | Uint8Array | string;

/** Frames of a video: `seconds` says when each is seen, since the beginning; else `fps`, frames a second (24 unless said). */
export interface Frames {
  frames: PictureSource[];
  seconds?: number[];
  fps?: number;
}

/** A video: a file of it, which a page decodes, or frames. 32 of them are seen at even distances. Workers and Node decode no files: give frames there. */
export type VideoSource = Blob | Uint8Array | string | Frames;

/** Most soft tokens of a picture: more of them show more of it. 280 unless said; the larger models take no more than that. */
export type PictureTokens = 70 | 140 | 280 | 560 | 1120;

export interface TextPart {
  type: 'text';
  text: string;
}

export interface PicturePart {
  type: 'image';
  image: PictureSource;
  tokens?: PictureTokens | undefined;
}

export interface SoundPart {
  type: 'audio';
  audio: SoundSource;
}

export interface VideoPart {
  type: 'video';
  video: VideoSource;
}

/** A picture as OpenAI's API has it: `image_url` with a data URL. */
export interface ImageUrlPart {
  type: 'image_url';
  image_url: PictureSource | { url: string; detail?: string };
  tokens?: PictureTokens | undefined;
}

/** A sound as OpenAI's API has it: `input_audio` with base64. */
export interface InputAudioPart {
  type: 'input_audio';
  input_audio: SoundSource | { data: string; format?: string };
}

/** Soft tokens as numbers, row after row, each as wide as the model (`info.dim`): what `encode` gave, or what another program made. */
export interface SoftPart {
  type: 'soft';
  of: 'image' | 'audio';
  values: Float32Array;
}

export type MediaPart = PicturePart | SoundPart | VideoPart | ImageUrlPart | InputAudioPart | SoftPart;

/** A part of a message's content. */
export type ContentPart = TextPart | MediaPart;

/** Options of `generateIds`. */
export interface GenerateIdsOptions extends SendOptions {
  onToken?: (token: Token) => void;
  adapters?: Attached[];
  /** What stands in the place of placeholders among the ids, in order. */
  media?: MediaPart[];
}
