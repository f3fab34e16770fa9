// Examples to train on and the options, as they travel: JSONL in a Blob, whatever they were handed in as.

import { RullamaError } from './errors.ts';
import type { TuneRequest } from './protocol.ts';
import type { Message, TuneExamples, TuneOptions } from './types.ts';

/**
 * JSONL text, a file of it, or a list of examples as a Blob.
 *
 * @throws RullamaError `invalid-argument` for anything else, naming the example.
 */
export function examplesBlob(examples: TuneExamples, what = 'examples'): Blob {
  if (examples instanceof Blob) return examples;
  if (typeof examples === 'string') return new Blob([examples]);
  if (!Array.isArray(examples)) {
    throw refusal(`\`${what}\` is neither text, a file nor a list.`, 'Give JSONL text, a File of it, or a list of objects with `messages`.');
  }
  return new Blob(examples.flatMap((example, i) => [line(example, `Example ${i} of \`${what}\``), '\n']));
}

function line(example: unknown, what: string): string {
  if (typeof example !== 'object' || example === null || Array.isArray(example)) {
    throw refusal(`${what} is no object.`, 'Give an object with `messages`, with `prompt` and `completion`, or with `text`.');
  }
  try {
    return JSON.stringify(example, (key, value) => (LISTS.includes(key) && Array.isArray(value) ? value.map(message) : value));
  } catch (cause) {
    throw refusal(`${what} cannot be written as JSON: ${RullamaError.from(cause).message}.`, 'Give texts, numbers, lists and objects.');
  }
}

/** What may be a list of messages. */
const LISTS = ['messages', 'prompt', 'completion'];

/** A message of this package's notation in that of data files. */
function message(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given;
  const { role, toolCalls, toolCallId, ...rest } = given as Partial<Message> & { toolCallId?: string };
  return {
    role: role === 'model' ? 'assistant' : role,
    ...rest,
    ...(toolCalls && { tool_calls: toolCalls.map((call) => ({ type: 'function', function: call })) }),
    ...(toolCallId && { tool_call_id: toolCallId }),
  };
}

function refusal(message: string, remedy: string): RullamaError {
  return new RullamaError('invalid-argument', message, { remedy });
}

/** Options of a training as the engine takes them. */
export function tuneRequest(options: TuneOptions): TuneRequest {
  const { eval: _eval, resume: _resume, signal: _signal, targets, ...rest } = options;
  return targets === undefined ? rest : { ...rest, targets: [targets].flat().join(',') };
}
