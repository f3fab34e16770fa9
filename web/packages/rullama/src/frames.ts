// How much is seen of a video.

/** Most frames, and most soft tokens of one. Source: transformers, `video_processing_gemma4.py`. */
export const FRAMES = 32;
export const FRAME_TOKENS = 70;
