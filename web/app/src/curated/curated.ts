// Where Gemma 4 can be had: its makers' own files, each with what it takes and whether this GPU holds it.

import { h } from '../dom.ts';
import { bytes } from '../format.ts';
import { askGpu } from '../gpu.ts';
import { verdictOf, type Facts, type Offer } from './fit.ts';
import { roomOf } from './room.ts';
import { ModelsText } from '../texts/en/models.ts';
import { t } from '../texts/text.ts';

const file = (repository: string, name: string) => `https://huggingface.co/google/${repository}/resolve/main/${name}`;

/** Google's files with 4 bits a weight, which the models were trained for (Apache-2.0); sizes as of November 2026.
 * What can be streamed is reckoned: rows of Q6_K, as the file's size leaves for them when all other weights have Q4_0. */
export const OFFERS: Offer[] = [
  { name: 'Gemma 4 E2B', about: t(ModelsText.forLaptopsAndLarge), address: file('gemma-4-E2B-it-qat-q4_0-gguf', 'gemma-4-E2B_q4_0-it.gguf'), bytes: 3_349_514_112, streamable: 1.93e9 },
  { name: 'Gemma 4 E4B', about: t(ModelsText.betterAnswersForLaptops), address: file('gemma-4-E4B-it-qat-q4_0-gguf', 'gemma-4-E4B_q4_0-it.gguf'), bytes: 5_154_941_280, streamable: 2.31e9 },
  { name: 'Gemma 4 12B', about: t(ModelsText.forAGraphicsCard), address: file('gemma-4-12B-it-qat-q4_0-gguf', 'gemma-4-12b-it-qat-q4_0.gguf'), bytes: 6_975_879_296 },
  { name: 'Gemma 4 26B-A4B', about: t(ModelsText.aMixtureOfExperts), address: file('gemma-4-26B-A4B-it-qat-q4_0-gguf', 'gemma-4-26B_q4_0-it.gguf'), bytes: 14_440_000_000 },
  { name: 'Gemma 4 31B', about: t(ModelsText.theBestAnswersFor), address: file('gemma-4-31B-it-qat-q4_0-gguf', 'gemma-4-31B_q4_0-it.gguf'), bytes: 17_651_001_568 },
];

interface Actions {
  /** Loads it from a copy that is kept in this browser. */
  load(offer: Offer, streamed: boolean): void;
  download(offer: Offer): void;
  off: boolean;
}

/** A card for each. */
export async function curatedList({ load, download, off }: Actions): Promise<HTMLElement> {
  const { largest, software } = await askGpu();
  const facts: Facts = { largest, software: software !== undefined, room: roomOf() };
  const card = (offer: Offer) => {
    const { fits, words } = verdictOf(offer, facts);
    const size = bytes(offer.bytes);
    const loads = h('button', { type: 'button', className: fits === 'no' ? '' : 'primary', disabled: off, 'aria-label': t(ModelsText.loadOfferSize, { offer: offer.name, size }), onclick: () => load(offer, fits === 'streamed') }, t(ModelsText.load));
    const keeps = h('button', { type: 'button', className: 'quiet', 'aria-label': t(ModelsText.downloadOfferSize, { offer: offer.name, size }), onclick: () => download(offer) }, t(ModelsText.download));
    return h('li', { className: 'card curated-model', 'data-fits': fits },
      h('h3', {}, offer.name, ' ', h('span', { className: 'hint' }, size)),
      h('p', {}, offer.about),
      h('p', { className: 'fits' }, words),
      h('p', { className: 'actions' }, loads, keeps));
  };
  return h('ul', { className: 'served-list', 'aria-label': t(ModelsText.modelsFromGoogle) }, ...OFFERS.map(card));
}
