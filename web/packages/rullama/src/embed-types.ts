// What embeddings are asked for by, and what they are.

/** How texts become embeddings. */
export interface EmbedOptions {
  /** What the texts are for, which the model is told before each; `query` and `document` are those of a search. `none` unless said. */
  prompt?:
    | 'none'
    | 'query'
    | 'document'
    | 'question-answering'
    | 'fact-checking'
    | 'classification'
    | 'clustering'
    | 'sentence-similarity'
    | 'code-retrieval'
    | undefined;
  /** Values to keep of each, normalised anew; `info.embedding` has the lengths that were trained. */
  dims?: number | undefined;
  /** Cut texts that are longer than the context, as is done unless this is false; else they are refused. */
  truncate?: boolean | undefined;
}

/** Embeddings, in the order of their texts. */
export interface Embeddings {
  /** Of length 1: the product of two is the cosine of their angle. */
  vectors: Float32Array[];
  /** Tokens that were read of each text. */
  tokens: number[];
  /** The texts that were cut, by their places. */
  truncated: number[];
}
