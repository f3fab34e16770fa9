// Calls and what they gave, folded: data, shown as text.

import type { ToolCall } from 'rullama';
import { h } from './dom.ts';
import { ChatText } from './texts/en/chat.ts';
import { parts, t } from './texts/text.ts';

/** Characters that a fold shows of what is in it. */
const BRIEF = 80;

const brief = (text: string) => {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > BRIEF ? `${line.slice(0, BRIEF)}…` : line;
};

function folded(title: (Node | string)[], text: string): HTMLElement {
  return h('details', { className: 'call' }, h('summary', {}, ...title), h('pre', { dir: 'auto', tabIndex: 0, 'aria-label': t(ChatText.wholeText) }, h('code', {}, text)));
}

const argumentsOf = (call: ToolCall) => Object.entries(call.arguments).map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);

export const callView = (call: ToolCall): HTMLElement =>
  folded([...parts(ChatText.callsTool, { tool: h('b', {}, call.name) }), ' ', h('span', { dir: 'auto' }, brief(argumentsOf(call).join(', ')))], JSON.stringify(call.arguments, null, 2));

/** What a tool gave, or why it gave nothing. */
export function resultView(name: string, content: string): HTMLElement {
  const failed = /^error: /.exec(content)?.[0];
  const tool = h('b', {}, name);
  const text = h('span', { dir: 'auto' }, brief(content.slice(failed?.length ?? 0)) || t(ChatText.nothing));
  return folded(failed ? parts(ChatText.toolFailedText, { tool, text }) : parts(ChatText.toolGaveText, { tool, text }), content);
}
