// What reads pictures, sounds and videos, apart from what every conversation needs: pages load it with the first of them.

export { readPart } from './media.ts';
export { readVideo } from './video.ts';
