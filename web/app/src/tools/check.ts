// A person's tool as it is written in the form, and why it cannot be one.

import type { FunctionTool } from 'rullama';
import { EXAMPLE_TOOL, PAGE_TOOLS, type KeptTools, type OwnTool } from './kept.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { t } from '../texts/text.ts';

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
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) return wrong('name', t(ToolsText.theNameHasLetters));
  if (name !== before && namesTaken(kept).includes(name)) return wrong('name', t(ToolsText.thereIsATool, { name }));
  if (before === undefined && kept.own.length >= MOST.tools) return wrong('name', t(ToolsText.thereAreToolsTools, { tools: MOST.tools }));
  const description = written.description.trim();
  if (description === '') return wrong('description', t(ToolsText.sayWhatTheTool));
  if (description.length > MOST.description) return wrong('description', t(ToolsText.theDescriptionHasDescription, { description: description.length, description2: MOST.description }));
  const parameters = parsed(written.schema);
  if (typeof parameters === 'string') return wrong('schema', parameters);
  if (written.body.length > MOST.body) return wrong('body', t(ToolsText.theCodeHasBody, { body: written.body.length, body2: MOST.body }));
  if (written.body.trim() === '') return wrong('body', t(ToolsText.writeTheCodeIt));
  return { name, description, parameters, body: written.body };
}

export const namesTaken = ({ own, servers }: KeptTools): string[] => [EXAMPLE_TOOL, ...PAGE_TOOLS, ...own, ...servers.flatMap(({ tools }) => tools)].map(({ name }) => name);

/** The schema as an object, or what is wrong with it. */
function parsed(text: string): Record<string, unknown> | string {
  if (text.length > MOST.schema) return t(ToolsText.theSchemaHasText, { text: text.length, schema: MOST.schema });
  if (text.trim() === '') return { type: 'object', properties: {} };
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    return t(ToolsText.theSchemaIsNot, { message: (error as Error).message });
  }
  return schemaProblem(schema, t(ToolsText.theSchema), 0, true) ?? (schema as NonNullable<FunctionTool['parameters']>);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is wrong with a schema; nothing where it can be told to a model. */
export function schemaProblem(schema: unknown, place: string, depth = 0, root = false): string | undefined {
  if (!isObject(schema)) return t(ToolsText.placeMustBeAn, { place });
  if (depth > MOST.depth) return t(ToolsText.placeLiesTooDeep, { place, depth: MOST.depth });
  const { type, properties, required, items, enum: values, description } = schema;
  if (root && type !== 'object') return t(ToolsText.placeMustHaveType, { place });
  const types = Array.isArray(type) ? type : [type];
  const foreign = types.find((one) => one !== undefined && !TYPES.includes(one as string));
  if (foreign !== undefined) return t(ToolsText.placeHasTheType, { place, foreign: JSON.stringify(foreign), types: TYPES.join(', ') });
  if (description !== undefined && typeof description !== 'string') return t(ToolsText.placeHasADescription, { place });
  if (values !== undefined && (!Array.isArray(values) || values.length === 0)) return t(ToolsText.placeHasAnEnum, { place });
  if (properties !== undefined && !isObject(properties)) return t(ToolsText.propertiesOfPlaceMust, { place });
  const names = Object.keys(properties ?? {});
  for (const name of names) {
    const problem = schemaProblem((properties as Record<string, unknown>)[name], `"${name}"`, depth + 1);
    if (problem) return problem;
  }
  if (required !== undefined) {
    if (!Array.isArray(required) || required.some((name) => typeof name !== 'string')) return t(ToolsText.requiredOfPlaceMust, { place });
    const missing = required.find((name) => !names.includes(name as string));
    if (missing !== undefined) return t(ToolsText.requiredOfPlaceNames, { place, missing: JSON.stringify(missing) });
  }
  return items === undefined ? undefined : schemaProblem(items, t(ToolsText.itemsOfPlace, { place }), depth + 1);
}
