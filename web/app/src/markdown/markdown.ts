// An answer that grows: blocks that are finished stay as they are, only the last one is built again.

import { blockElement } from './elements.ts';
import { parse, type Block, type References } from './parser.ts';
import { patchChildren } from './patch.ts';

export { withDiagrams } from './message.ts';

export class MarkdownView {
  /** The text whose blocks are finished, as far as more text can tell, and the link definitions in it. */
  private finished = '';
  private references: References = {};
  /** How many elements of `root` show it. */
  private elements = 0;

  /** `late` is called when something that had to be loaded changed the size of what is shown. */
  constructor(
    private readonly root: HTMLElement,
    private readonly late: () => void = () => undefined,
  ) {}

  /** Shows the text; `writing` when more will follow. */
  show(text: string, writing: boolean): void {
    // The whole text decides in the end: a link's address, say, may have come after the link.
    if (!writing || !text.startsWith(this.finished)) Object.assign(this, { finished: '', references: {}, elements: 0 });
    const end = text.slice(this.finished.length);
    const blocks = parse(end, writing, { ...this.references });
    const built = blocks.map((block, i) => this.build(block, end, writing && i === blocks.length - 1));
    patchChildren(this.root, this.elements, built.filter((element) => element !== undefined));
    if (writing) this.finish(end, blocks, built);
  }

  /** What lies before the last block changes no more, once a whole line of that tells where it begins. */
  private finish(text: string, blocks: readonly Block[], built: readonly (HTMLElement | undefined)[]): void {
    const last = blocks.at(-1);
    if (!last || blocks.length < 2 || !text.slice(last.start).includes('\n')) return;
    const done = text.slice(0, last.start);
    if (done.includes(']:')) parse(done, false, this.references);
    this.elements += built.slice(0, -1).filter((element) => element !== undefined).length;
    this.finished += done;
  }

  private build(block: Block, text: string, writing: boolean): HTMLElement | undefined {
    return blockElement(block, text.slice(block.start, block.end), { writing, late: this.late });
  }
}
