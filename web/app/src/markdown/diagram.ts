// Blocks of Mermaid: code, which becomes a picture when it comes near to what is seen and what draws it has been loaded.

import { whole } from './patch.ts';

/** Whether code in this language is a diagram. */
export const isDiagram = (language: string): boolean => language.toLowerCase() === 'mermaid';

interface Waiting {
  source: string;
  late: () => void;
}

/** How far from what is seen a diagram is drawn. */
const MARGIN = '600px';

let loading: Promise<typeof import('./diagrams.ts')> | undefined;
const waiting = new WeakMap<Element, Waiting>();
let near: IntersectionObserver | undefined;

/** Made with the first diagram: what watches what is seen, and the page's colours. */
function watch(): IntersectionObserver {
  const observer = new IntersectionObserver((entries) => {
    // They come in any order; who reads begins at the top.
    const found = entries.filter(({ isIntersecting }) => isIntersecting).sort((a, b) => a.boundingClientRect.top - b.boundingClientRect.top);
    for (const { target } of found) {
      observer.unobserve(target);
      draw(target as HTMLElement, dark.matches);
    }
  }, { rootMargin: MARGIN });
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', () => {
    for (const figure of document.querySelectorAll('figure.diagram')) observer.observe(figure);
  });
  return observer;
}

/** Makes a code block one that becomes a diagram. `late` is called when it takes another form. */
export function awaitDiagram(figure: HTMLElement, source: string, late: () => void): void {
  figure.classList.add('diagram');
  // Which form is shown is up to the reader; while the text stays the same, so does the block.
  whole(figure, `diagram ${source}`);
  waiting.set(figure, { source, late });
  (near ??= watch()).observe(figure);
}

function draw(figure: HTMLElement, dark: boolean): void {
  const { source, late } = waiting.get(figure) ?? {};
  if (source === undefined || !late) return;
  // Without it (the network may be gone) diagrams stay code; the next one tries again. Waited for by all at once, it begins with the first.
  loading ??= import('./diagrams.ts').catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  loading.then(({ showDiagram }) => showDiagram(figure, source, dark, late), () => undefined);
}
