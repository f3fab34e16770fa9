// What the page does for Fine-tune, which is loaded when it is first opened.

import type { Engine, RullamaError } from 'rullama';
import type { AdapterPool } from '../adapters/pool.ts';
import type { AdapterRecord, ModelTag, TrainingPlan } from '../adapters/records.ts';
import type { Shelf } from '../adapters/shelf.ts';
import type { Form } from '../adapters/take.ts';
import type { toast } from '../toast.ts';

/** The model that is loaded, on the engine that trains. */
export interface Base {
  engine: Engine;
  model: ModelTag;
  source?: TrainingPlan['source'];
}

export interface TuneFrame {
  shelf: Shelf;
  pool: AdapterPool;
  toast: typeof toast;
  errorFrom(thrown: unknown): RullamaError;
  /** Training has begun, gone on or ended. */
  changed(): void;
  /** Leaves Fine-tune; with an adapter for a new chat that has it attached. */
  toChat(adapter?: AdapterRecord): void;
  /** Shows a model's and an adapter's answers side by side. */
  compare(adapter: AdapterRecord): void;
  download(adapter: AdapterRecord, form: Form): void;
  delete(adapter: AdapterRecord): void;
  /** Loads the model again after it was lost. */
  reload(): void;
  /** Loads the model that a training belongs to. */
  load(source: NonNullable<TrainingPlan['source']>, name: string): void;
}
