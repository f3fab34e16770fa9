// One error class for everything that can go wrong, on the page, in the worker and in the engine.

/** What went wrong, stable across versions. The engine's codes come from Rust's `Error::code()`; `closed` is a call after `close()`. */
export const ERROR_CODES = [
  'model-format',
  'model-truncated',
  'model-unsupported',
  'tensor-missing',
  'out-of-memory',
  'device-lost',
  'no-webgpu',
  'limits',
  'adapter',
  'network',
  'source-changed',
  'cancelled',
  'closed',
  'nan',
  'invalid-argument',
  'context-full',
  'self-test',
  'quota',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** A `RullamaError` as it travels between worker and page. */
export interface ErrorData {
  code: ErrorCode;
  message: string;
  remedy?: string;
}

/** What a person can do, for errors that do not bring a more exact remedy of their own. */
const REMEDIES: Record<ErrorCode, string> = {
  'model-format': 'Choose a GGUF file of a Gemma 4 text model.',
  'model-truncated': 'The file is incomplete: download it again and compare its size.',
  'model-unsupported': 'Choose a GGUF file of a Gemma 4 text model.',
  'tensor-missing': 'The file lacks a part of the model: choose another conversion of it.',
  'out-of-memory':
    'Close other tabs and programs that use the GPU, stream the per-layer embeddings, or choose a smaller model.',
  'device-lost': 'Reload the model. If it happens again, close other tabs that use the GPU.',
  'no-webgpu':
    'Use a browser with WebGPU (Chrome or Edge 113, Safari 26, Firefox 141 or newer) with hardware acceleration on.',
  adapter: 'Choose an adapter that was trained on this model, or get it again if it is damaged.',
  limits: 'This GPU is too small for the model: choose a smaller or more strongly quantised one.',
  network: 'Check the connection and the address, then try again.',
  'source-changed': 'The file changed while it was being read: load it again.',
  cancelled: 'Nothing to do: the work was stopped on request.',
  closed: 'Load the model again.',
  nan: 'The model produced invalid numbers: check the file, or load it with F32 KV cache.',
  'invalid-argument': 'Correct the named argument.',
  'context-full': 'Start a new chat, or load the model with a larger context.',
  'self-test':
    'This GPU or its driver computes wrong results: update the browser and the graphics driver.',
  quota: 'Free disk space or remove stored models, or load the model without a stored copy.',
  internal: 'Reload the page. If it happens again, report it with the message above.',
};

/**
 * Every failure of this package.
 *
 * `code` says what went wrong, `message` says it in words and `remedy` says what to do about it. Cancelling
 * a load rejects with code `cancelled` and name `AbortError`, as `fetch` does.
 */
export class RullamaError extends Error {
  readonly code: ErrorCode;
  readonly remedy: string;

  constructor(code: ErrorCode, message: string, options: { remedy?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = code === 'cancelled' ? 'AbortError' : 'RullamaError';
    this.code = code;
    this.remedy = options.remedy || REMEDIES[code];
  }

  /** Anything thrown, as a `RullamaError`; one that already is comes back unchanged. */
  static from(thrown: unknown): RullamaError {
    if (thrown instanceof RullamaError) return thrown;
    if (isErrorData(thrown)) {
      return new RullamaError(thrown.code, thrown.message, { remedy: ofThePackage(thrown.remedy), cause: thrown });
    }
    const { name, message } = nameAndMessage(thrown);
    return new RullamaError(codeOfName(name), message, { cause: thrown });
  }

  /** The part that survives `postMessage`. */
  toData(): ErrorData {
    return { code: this.code, message: this.message, remedy: this.remedy };
  }
}

/** What the engine advises, unless it speaks of what only the program `rullama` has: its commands and names of models. */
function ofThePackage(remedy: string | undefined): string | undefined {
  return remedy !== undefined && /`rullama |\bname from Ollama.s store|--[a-z]/.test(remedy) ? undefined : remedy;
}

function isErrorData(value: unknown): value is ErrorData {
  if (typeof value !== 'object' || value === null) return false;
  const { code, message } = value as Partial<ErrorData>;
  return typeof message === 'string' && (ERROR_CODES as readonly unknown[]).includes(code);
}

function nameAndMessage(thrown: unknown): { name: string; message: string } {
  if (thrown instanceof Error || (typeof DOMException !== 'undefined' && thrown instanceof DOMException)) {
    return { name: thrown.name, message: thrown.message || thrown.name };
  }
  return { name: '', message: String(thrown) };
}

function codeOfName(name: string): ErrorCode {
  switch (name) {
    case 'AbortError':
      return 'cancelled';
    case 'QuotaExceededError':
      return 'quota';
    default:
      return 'internal';
  }
}
