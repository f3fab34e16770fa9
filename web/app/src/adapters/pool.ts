// Adapters on the GPU: each is read once for the engine that is loaded, when it is first needed.

import type { Adapter, Engine } from 'rullama';
import type { Shelf } from './shelf.ts';
import { CommonText } from '../texts/en/common.ts';
import { t } from '../texts/text.ts';

export class AdapterPool {
  private engine: Engine | undefined;
  private readonly loaded = new Map<string, Promise<Adapter>>();

  constructor(private readonly shelf: Shelf) {
    shelf.listen(() => this.sweep());
  }

  /** Goes on with another engine, or with none. */
  use(engine: Engine | undefined): void {
    if (engine === this.engine) return;
    this.engine = engine;
    this.loaded.clear();
  }

  /** The adapter for the engine that is loaded. */
  get(id: string): Promise<Adapter> {
    const known = this.loaded.get(id);
    if (known) return known;
    const { engine } = this;
    if (!engine) return Promise.reject(new Error(t(CommonText.noModelIsLoaded)));
    const reading = this.shelf.files(id).then((files) => engine.loadAdapter(files));
    this.loaded.set(id, reading);
    // The next use tries again.
    reading.catch(() => this.loaded.get(id) === reading && this.loaded.delete(id));
    return reading;
  }

  /** Takes one that was just read. */
  put(id: string, adapter: Adapter): void {
    this.loaded.set(id, Promise.resolve(adapter));
  }

  /** Lets go of adapters that were deleted. */
  private sweep(): void {
    for (const [id, adapter] of this.loaded) {
      if (this.shelf.adapters.has(id)) continue;
      this.loaded.delete(id);
      void adapter.then((one) => one.unload()).catch(() => undefined);
    }
  }
}
