// Formulas: MathML as soon as its writer is there, until then and for what is no formula the source.

import { create } from './create.ts';

type MathML = typeof import('./mathml.ts').mathml;

/** Longest formula that is set, in characters. */
const MAX_LENGTH = 5000;

let mathml: MathML | undefined;
let loading: Promise<unknown> | undefined;

/** A formula, in a line or set apart. `late` is called when it takes its form afterwards. */
export function formulaElement(source: string, display: boolean, late: () => void): HTMLElement {
  const element = create('span', display ? 'formula display' : 'formula');
  element.dir = 'ltr';
  fill(element, source.trim(), display, late);
  return element;
}

function fill(element: HTMLElement, source: string, display: boolean, late: () => void): void {
  if (mathml) {
    const formula = source.length <= MAX_LENGTH ? mathml(source, display) : undefined;
    element.replaceChildren(formula ?? asCode(source));
    return;
  }
  element.replaceChildren(asCode(source));
  // Without it (the network may be gone) formulas stay as they are; the next one tries again.
  loading ??= import('./mathml.ts').then((module) => (mathml = module.mathml)).finally(() => (loading = undefined));
  loading.then(
    () => {
      if (element.textContent !== source) return;
      fill(element, source, display, late);
      late();
    },
    () => undefined,
  );
}

function asCode(source: string): HTMLElement {
  const code = create('code', 'tex');
  code.textContent = source;
  return code;
}
