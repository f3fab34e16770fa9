// What is said of a model that comes with a page.

/** The description that is served beside an embedded model. */
export interface EmbeddedModel {
  name: string;
  description: string;
  /** Address of the GGUF file, relative to the description. */
  file: string;
  bytes: number;
  /** Prompts that show what the model can do. */
  examples?: (string | Example)[];
}

/** An example that needs more than its text. */
export interface Example {
  text: string;
  /** Whether the model thinks before it answers. */
  thinking?: boolean;
  /** Names of the tools that the model may call. */
  tools?: string[];
}
