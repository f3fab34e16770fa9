// A person's message: as it was written, but for its diagrams.

import { codeFigure } from './code.ts';
import { create } from './create.ts';
import { isDiagram } from './diagram.ts';
import { parse } from './parser.ts';

/** What stands for a message with diagrams in it; nothing for one without. */
export function withDiagrams(text: string, late: () => void): HTMLElement[] | undefined {
  const shown: HTMLElement[] = [];
  let end = 0;
  for (const { tokens: [token], start, end: next } of parse(text, false, {})) {
    if (token?.type !== 'fence' || !isDiagram(token.info.trim())) continue;
    shown.push(...asWritten(text.slice(end, start)), codeFigure(token.content.trimEnd(), 'mermaid', false, late));
    end = next;
  }
  return shown.length > 0 ? [...shown, ...asWritten(text.slice(end))] : undefined;
}

function asWritten(text: string): HTMLElement[] {
  const said = text.replace(/^\s*\n|\s+$/g, '');
  if (said === '') return [];
  const paragraph = create('p');
  paragraph.dir = 'auto';
  paragraph.textContent = said;
  return [paragraph];
}
