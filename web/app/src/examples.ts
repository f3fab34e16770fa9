// Examples of a model: prompts, some with thinking or with tools that the page itself runs.

import type { Example, Message, Tool, ToolCall } from 'rullama';

interface PageTool {
  tool: Tool;
  /** The result as text; throws what the model should read instead. */
  run(args: Record<string, unknown>): string;
}

const integer = (description: string) => ({ type: 'integer', description });

const TOOLS: Record<string, PageTool> = {
  multiply: {
    tool: {
      name: 'multiply',
      description: 'Multiply two numbers',
      parameters: { type: 'object', properties: { a: integer('First number'), b: integer('Second number') }, required: ['a', 'b'] },
    },
    run({ a, b }) {
      if (!Number.isInteger(a) || !Number.isInteger(b)) throw new Error('a and b must be whole numbers');
      return String(BigInt(a as number) * BigInt(b as number));
    },
  },
};

/** The page's tool of this name. */
const known = (name: string): PageTool | undefined => (Object.hasOwn(TOOLS, name) ? TOOLS[name] : undefined);

/** The examples in one form, without those whose tools this page does not have. */
export function usableExamples(examples: (string | Example)[]): Example[] {
  return examples.map((example) => (typeof example === 'string' ? { text: example } : example)).filter(({ tools = [] }) => tools.every(known));
}

/** The page's tools of these names; what it does not have is left out. */
export const toolsNamed = (names: string[]): Tool[] => names.flatMap((name) => known(name)?.tool ?? []);

/** What an example shows, in words for its button. */
export function markOf({ thinking, tools = [] }: Example): string {
  return [thinking && 'thinks first', tools.length > 0 && `calls ${tools.join(', ')}`].filter(Boolean).join(' · ');
}

/**
 * The tools' answers to an answer's calls, to send back to the model. `undefined` where a call is of no tool in `offered`:
 * then there is nothing that the page could go on with.
 */
export function runCalls(calls: ToolCall[], offered: Tool[]): Message[] | undefined {
  const names = offered.map((tool) => ('function' in tool ? tool.function : tool).name);
  if (calls.length === 0 || !calls.every(({ name }) => names.includes(name))) return undefined;
  return calls.map(({ name, arguments: args }) => ({ role: 'tool', name, content: resultOf(name, args) }));
}

function resultOf(name: string, args: Record<string, unknown>): string {
  try {
    return known(name)?.run(args) ?? 'error: there is no such tool';
  } catch (error) {
    return `error: ${error instanceof Error ? error.message : String(error)}`;
  }
}
