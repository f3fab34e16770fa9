// A person's tool as it is written in the form, and why it cannot be one.

import type { FunctionTool } from 'rullama';
import { EXAMPLE_TOOL, PAGE_TOOLS, type KeptTools, type OwnTool } from './kept.ts';

export interface Written {
  name: string;
  description: string;
  /** JSON. */
  schema: string;
  body: string;
}

const TYPES = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'];
/** What a tool may weigh. */
export const MOST = { tools: 64, description: 2000, schema: 16_000, body: 100_000, depth: 8 };

/** The tool that was written, or the field that is wrong and how. `before` is the name of the one that is changed. */
export function checked(written: Written, kept: KeptTools, before?: string): OwnTool | { field: keyof Written; problem: string } {
  const wrong = (field: keyof Written, problem: string) => ({ field, problem });
  const name = written.name.trim();
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) return wrong('name', 'The name has letters without accents, digits and _, and begins with a letter: such as word_count.');
  if (name !== before && namesTaken(kept).includes(name)) return wrong('name', `There is a tool called ${name} already: choose another name.`);
  if (before === undefined && kept.own.length >= MOST.tools) return wrong('name', `There are ${MOST.tools} tools already: delete one first.`);
  const description = written.description.trim();
  if (description === '') return wrong('description', 'Say what the tool does: the model chooses by these words.');
  if (description.length > MOST.description) return wrong('description', `The description has ${description.length.toLocaleString('en')} characters: shorten it to ${MOST.description.toLocaleString('en')}.`);
  const parameters = parsed(written.schema);
  if (typeof parameters === 'string') return wrong('schema', parameters);
  if (written.body.length > MOST.body) return wrong('body', `The code has ${written.body.length.toLocaleString('en')} characters: shorten it to ${MOST.body.toLocaleString('en')}.`);
  if (written.body.trim() === '') return wrong('body', 'Write the code: it gets the arguments as args, and what it returns goes to the model.');
  return { name, description, parameters, body: written.body };
}

export const namesTaken = ({ own, servers }: KeptTools): string[] => [EXAMPLE_TOOL, ...PAGE_TOOLS, ...own, ...servers.flatMap(({ tools }) => tools)].map(({ name }) => name);

/** The schema as an object, or what is wrong with it. */
function parsed(text: string): Record<string, unknown> | string {
  if (text.length > MOST.schema) return `The schema has ${text.length.toLocaleString('en')} characters: shorten it to ${MOST.schema.toLocaleString('en')}.`;
  if (text.trim() === '') return { type: 'object', properties: {} };
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    return `The schema is not JSON: ${(error as Error).message}.`;
  }
  return schemaProblem(schema, 'The schema', 0, true) ?? (schema as NonNullable<FunctionTool['parameters']>);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is wrong with a schema; nothing where it can be told to a model. */
export function schemaProblem(schema: unknown, place: string, depth = 0, root = false): string | undefined {
  if (!isObject(schema)) return `${place} must be an object in { }.`;
  if (depth > MOST.depth) return `${place} lies too deep: ${MOST.depth} levels are the most.`;
  const { type, properties, required, items, enum: values, description } = schema;
  if (root && type !== 'object') return `${place} must have "type": "object", with the arguments as its "properties".`;
  const types = Array.isArray(type) ? type : [type];
  const foreign = types.find((one) => one !== undefined && !TYPES.includes(one as string));
  if (foreign !== undefined) return `${place} has the type ${JSON.stringify(foreign)}: use one of ${TYPES.join(', ')}.`;
  if (description !== undefined && typeof description !== 'string') return `${place} has a "description" that is not text.`;
  if (values !== undefined && (!Array.isArray(values) || values.length === 0)) return `${place} has an "enum" that is not a list of values.`;
  if (properties !== undefined && !isObject(properties)) return `"properties" of ${place} must be an object: a schema for each argument.`;
  const names = Object.keys(properties ?? {});
  for (const name of names) {
    const problem = schemaProblem((properties as Record<string, unknown>)[name], `"${name}"`, depth + 1);
    if (problem) return problem;
  }
  if (required !== undefined) {
    if (!Array.isArray(required) || required.some((name) => typeof name !== 'string')) return `"required" of ${place} must be a list of names.`;
    const missing = required.find((name) => !names.includes(name as string));
    if (missing !== undefined) return `"required" of ${place} names ${JSON.stringify(missing)}, which is not among its properties.`;
  }
  return items === undefined ? undefined : schemaProblem(items, `"items" of ${place}`, depth + 1);
}
