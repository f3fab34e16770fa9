// Where the page shows what an embedding model is for, loaded with the first of them.

import type { Engine } from 'rullama';
import { byId } from '../dom.ts';

type Notes = import('./notes.ts').Notes;

export class NotesPlace {
  private readonly root = byId('notes');
  private view: Notes | undefined;
  private engine: Engine | undefined;

  /** Whether an embedding model is loaded. */
  get loaded(): boolean {
    return this.engine !== undefined;
  }

  async use(engine: Engine): Promise<void> {
    this.engine = engine;
    this.view ??= new (await import('./notes.ts')).Notes(this.root);
    this.root.hidden = false;
    this.view.use(engine);
  }

  show(): void {
    this.root.hidden = false;
  }

  /** Whether notes are shown. */
  get visible(): boolean {
    return this.loaded && !this.root.hidden;
  }

  /** Takes notes from a file that was dropped. */
  take(file: File): void {
    void this.view?.take(file);
  }

  hide(): void {
    this.root.hidden = true;
  }

  /** Closes the model. */
  async leave(): Promise<void> {
    const old = this.engine;
    this.engine = undefined;
    this.view?.stop();
    this.hide();
    await old?.close();
  }
}
