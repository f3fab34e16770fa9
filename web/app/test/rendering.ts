// What the tests of answers look at, as one bundle for Node (the parser) and for a page (what is shown).

export { COLOURED } from '../src/markdown/code.ts';
export { directionOf } from '../src/markdown/direction.ts';
export { highlight } from '../src/markdown/highlight.ts';
export { mathml } from '../src/markdown/mathml.ts';
export { MAX_NESTING, parse } from '../src/markdown/parser.ts';
export { MarkdownView } from '../src/markdown/markdown.ts';
