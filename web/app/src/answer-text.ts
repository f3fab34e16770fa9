// The text of an answer. What lays it out is loaded with the first answer; until it is there, the text stands as it is.

type View = import('./markdown/markdown.ts').MarkdownView;

/** Laying out may take a fifth of the time, however long a paragraph is. */
const REST = 4;

let layout: Promise<typeof import('./markdown/markdown.ts')> | undefined;

/** Begins to load what lays answers out. */
function load(): Promise<typeof import('./markdown/markdown.ts')> {
  layout ??= import('./markdown/markdown.ts').catch((error: unknown) => {
    // The next answer tries again.
    layout = undefined;
    throw error;
  });
  return layout;
}

export class AnswerText {
  private view: View | undefined;
  private text = '';
  private writing = true;
  private next = 0;
  private timer = 0;

  /** `changed` is called after each change that did not follow at once. */
  constructor(
    private readonly root: HTMLElement,
    private readonly changed: () => void,
  ) {
    void load().then(
      ({ MarkdownView }) => {
        this.view = new MarkdownView(root, changed);
        root.replaceChildren(...[...root.children].filter((element) => !element.matches('.as-written')));
        this.draw();
        changed();
      },
      () => undefined,
    );
  }

  /** Shows the text; `writing` when more will follow. */
  show(text: string, writing: boolean): void {
    this.text = text;
    this.writing = writing;
    const wait = this.next - performance.now();
    if (!writing || wait <= 0) this.draw();
    else this.timer ||= window.setTimeout(() => (this.draw(), this.changed()), wait);
  }

  private draw(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    if (this.text === '') return;
    const start = performance.now();
    if (this.view) this.view.show(this.text, this.writing);
    else this.plain();
    const end = performance.now();
    this.next = end + REST * (end - start);
  }

  private plain(): void {
    let element = this.root.querySelector('.as-written');
    if (!element) {
      element = Object.assign(document.createElement('p'), { className: 'as-written', dir: 'auto' });
      this.root.prepend(element);
    }
    element.textContent = this.text;
  }
}
