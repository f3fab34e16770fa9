// The form that a request wants its answer in.

import type { Format } from '../types.ts';
import { Failure } from './failure.ts';

/** A format, and the request's field that asks for it. */
export interface Wanted {
  format?: Format;
  formField?: string;
}

/**
 * Of Ollama's `format`: `"json"` or a schema.
 *
 * @throws Failure for another value.
 */
export function ofOllama(value: unknown): Wanted {
  if (value === undefined || value === '') return {};
  // Clients send it as text, too.
  return checked(typeof value === 'string' && value.trimStart().startsWith('{') ? parsed(value) : value, 'format');
}

/**
 * Of OpenAI's `response_format` and `text.format`, which stand in `field`: `strict` or not, a schema is kept to.
 *
 * @throws Failure for another type, or a schema that is missing.
 */
export function ofOpenAi(value: unknown, field: string): Wanted {
  if (value === undefined) return {};
  const form = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (form['type'] === 'text') return {};
  if (form['type'] === 'json_object') return { format: 'json', formField: field };
  if (form['type'] !== 'json_schema') throw Failure.field(field, 'must have the type "text", "json_object" or "json_schema".');
  // The chat has it a level below, the responses have not.
  const { schema } = (form['json_schema'] ?? form) as { schema?: unknown };
  if (schema === undefined || schema === null) throw Failure.field(field, 'has no `schema`: give the JSON schema that the answer is to have.');
  return checked(schema, field);
}

function checked(value: unknown, formField: string): Wanted {
  if (value === 'json') return { format: value, formField };
  // The schema `true` takes anything, as an empty one does.
  if (value === true) return { format: {}, formField };
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { format: value as Record<string, unknown>, formField };
  throw Failure.field(formField, 'is neither "json" nor a JSON schema, which is an object.');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
