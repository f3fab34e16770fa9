// Examples of a model: prompts, some with thinking or with tools.

import type { Example } from 'rullama';
import { EXAMPLE_TOOL, PAGE_TOOLS } from './tools/kept.ts';
import { ChatText } from './texts/en/chat.ts';
import { t } from './texts/text.ts';

const known = (name: string) => [EXAMPLE_TOOL, ...PAGE_TOOLS].some((tool) => tool.name === name);

/** The examples in one form, without those whose tools this page does not have. */
export function usableExamples(examples: (string | Example)[]): Example[] {
  return examples.map((example) => (typeof example === 'string' ? { text: example } : example)).filter(({ tools = [] }) => tools.every(known));
}

/** What an example shows, in words for its button. */
export function markOf({ thinking, tools = [] }: Example): string {
  return [thinking && t(ChatText.thinksFirst), tools.length > 0 && t(ChatText.callsTools, { tools: tools.join(', ') })].filter(Boolean).join(' · ');
}
