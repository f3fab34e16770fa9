// Notes by meaning: texts cut into notes, and ranked by a query.

import type { Embeddings, EmbedOptions } from 'rullama';

/** Most notes at a time, and texts that are embedded at once. */
export const MOST = 2000;
const BATCH = 16;

/** What makes vectors of texts. */
export interface Embedder {
  embed(texts: string[], options: EmbedOptions & { signal?: AbortSignal }): Promise<Embeddings>;
}

export interface Found {
  note: string;
  /** Cosine between the note and what was asked. */
  score: number;
}

/** The notes of a text, each once: between empty lines; where there is none, each line is one. */
export function notesOf(text: string): string[] {
  const parts = text.trim().split(/\n[ \t\r]*\n/);
  const notes = parts.length > 1 ? parts : text.split('\n');
  return [...new Set(notes.map((note) => note.trim()).filter((note) => note !== ''))];
}

/** Vectors of notes, each computed once for a model. */
export class NoteIndex {
  private readonly vectors = new Map<string, Float32Array>();
  private readonly cut = new Set<string>();

  constructor(private readonly embedder: Embedder) {}

  /** Notes of these that are longer than the model reads. */
  cutOf(notes: string[]): number {
    return notes.filter((note) => this.cut.has(note)).length;
  }

  /** Reads those that are new, a batch at a time; what was read before it is stopped stays. */
  async read(notes: string[], progress: (done: number) => void, signal: AbortSignal): Promise<void> {
    const wanted = new Set(notes);
    for (const note of this.vectors.keys()) if (!wanted.has(note)) this.vectors.delete(note);
    const unread = notes.filter((note) => !this.vectors.has(note));
    for (let at = 0; at < unread.length; at += BATCH) {
      progress(notes.length - unread.length + at);
      const batch = unread.slice(at, at + BATCH);
      const { vectors, truncated } = await this.embedder.embed(batch, { prompt: 'document', signal });
      batch.forEach((note, i) => this.vectors.set(note, vectors[i] as Float32Array));
      truncated.forEach((i) => this.cut.add(batch[i] as string));
    }
  }

  /** The notes that were read, those first that mean what is asked. */
  async search(query: string, signal: AbortSignal): Promise<Found[]> {
    const { vectors: [wanted] } = await this.embedder.embed([query], { prompt: 'query', signal });
    const found = [...this.vectors].map(([note, vector]) => ({ note, score: product(vector, wanted as Float32Array) }));
    return found.sort((a, b) => b.score - a.score);
  }
}

const product = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
