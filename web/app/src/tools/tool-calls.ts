// Calls of an answer: each checked against its tool's schema, confirmed by a person, run, and its result bounded. What fails or is denied
// is told to the model as such. All that a tool gives is data: it becomes text, never markup.

import { Validator, type Schema } from 'jsonschema';
import type { FunctionTool, Message, ToolCall } from 'rullama';
import { h } from '../dom.ts';
import { EXAMPLE_TOOL, PAGE_TOOLS, type OwnTool, type ServerTool, type ToolServer } from './kept.ts';
import { mcp } from './load.ts';
import { pageAddress, runPageTool } from './page-tools.ts';
import { runInSandbox } from './sandbox.ts';
import type { Asked, Toolbox } from './toolbox.ts';
import { ToolsText } from '../texts/en/tools.ts';
import { parts, t } from '../texts/text.ts';

/** Calls of one answer. */
const CALLS = 16;

/** A call as it will be run. */
interface Ready {
  /** What a person allows: the tool's name, for pages with the host. */
  what: string;
  says: string;
  always: string;
  run(): Promise<string>;
}

/** Runs calls one after the other; aborting gives up. */
export async function answerCalls(toolbox: Toolbox, asked: Asked): Promise<Message[]> {
  const results: Message[] = [];
  for (const call of asked.calls) {
    const content = results.length < CALLS ? await resultOf(toolbox, asked, call) : `error: an answer may call ${CALLS} tools: this call was not run`;
    asked.signal.throwIfAborted();
    results.push({ role: 'tool', name: call.name, content });
  }
  return results;
}

async function resultOf(toolbox: Toolbox, asked: Asked, call: ToolCall): Promise<string> {
  const { record, signal } = asked;
  try {
    const tool = toolbox.named(record.tools).find(({ name }) => name === call.name);
    if (!tool) return `error: there is no tool called ${call.name}: the tools are ${toolbox.named(record.tools).map(({ name }) => name).join(', ')}`;
    checkArguments(tool, call.arguments);
    const ready = prepared(toolbox, asked, tool, call.arguments);
    if (tool.name !== EXAMPLE_TOOL.name && !record.allowed?.includes(ready.what)) {
      const answer = await confirmed(asked, call, ready);
      if (answer === 'deny') return 'error: the user denied this call';
      if (answer === 'always') await toolbox.allow(record, ready.what);
    }
    const done = working(asked, call.name);
    try {
      return bounded(await ready.run(), asked.most);
    } finally {
      done();
    }
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    return `error: ${thrown instanceof Error ? thrown.message : String(thrown)}`.slice(0, 2000);
  }
}

const cut = (length: number) => `\n[cut: the result has ${length.toLocaleString('en')} characters, of which these are the first]`;
/** A note behind what was cut already stays. */
const bounded = (text: string, most: number) => (text.length > most + 200 ? text.slice(0, most) + cut(text.length) : text);

function checkArguments({ parameters = {} }: FunctionTool, args: Record<string, unknown>): void {
  const { errors } = new Validator().validate(args, parameters as Schema);
  if (errors.length > 0) throw new Error(`the arguments do not fit the tool’s schema: ${errors.slice(0, 3).map((one) => one.stack.replace(/^instance\.?/, '')).join('; ')}`);
}

function prepared(toolbox: Toolbox, { record, signal, most }: Asked, { name }: FunctionTool, args: Record<string, unknown>): Ready {
  const { own, servers } = toolbox.kept;
  const mine = own.find((tool) => tool.name === name);
  const server = servers.find(({ tools }) => tools.some((tool) => tool.name === name));
  if (PAGE_TOOLS.some((tool) => tool.name === name) && name === 'fetch_page') {
    const { host, href } = pageAddress(args['url']);
    const hosts = (other: string) => other === host || Boolean(record.allowed?.includes(`${name}:${other}`));
    return { what: `${name}:${host}`, says: t(ToolsText.thisAsksHostFor, { host, href }), always: t(ToolsText.alwaysForHostIn, { host }), run: () => runPageTool(name, args, { allowed: hosts, most, signal }) };
  }
  const always = t(ToolsText.alwaysForThisTool);
  if (mine) return { what: name, says: t(ToolsText.thisRunsYourOwn), always, run: () => ownResult(mine, args, most, signal) };
  // Another server may have a tool of this name some day.
  const host = server ? new URL(server.address).host : '';
  if (server) return { what: `${name} of ${host}`, says: t(ToolsText.thisSendsTheseArguments, { host }), always, run: () => serverResult(server, name, args, signal) };
  return { what: name, says: t(ToolsText.thisIsComputedHere), always, run: () => runPageTool(name, args, { allowed: () => false, most, signal }) };
}

async function ownResult({ body }: OwnTool, args: Record<string, unknown>, most: number, signal: AbortSignal): Promise<string> {
  const { text, length } = await runInSandbox(body, args, most, signal);
  return length > most ? text + cut(length) : text;
}

async function serverResult(server: ToolServer, name: string, args: Record<string, unknown>, signal: AbortSignal): Promise<string> {
  const { original } = server.tools.find((tool) => tool.name === name) as ServerTool;
  const { callTool } = await mcp();
  return callTool(server, original, args, signal);
}

/** Arguments as JSON; what would turn the direction of the text, or hide in it, by its number. */
const shown = (args: Record<string, unknown>) =>
  JSON.stringify(args, null, 2).replace(/[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);

type Answer = 'once' | 'always' | 'deny';

/** Asks a person; aborting gives up. */
async function confirmed({ place, signal }: Asked, { name, arguments: args }: ToolCall, { says, always }: Ready): Promise<Answer> {
  let decide: (answer: Answer) => void = () => undefined;
  const choice = (answer: Answer, label: string, className = '') => h('button', { type: 'button', className, 'data-answer': answer, onclick: () => decide(answer) }, label);
  const card = h('div', { className: 'card consent', role: 'group', tabIndex: -1, 'aria-label': t(ToolsText.theModelWantsTo, { name }) },
    h('p', {}, ...(Object.keys(args).length > 0 ? parts(ToolsText.theModelWantsToCall, { tool: h('b', {}, name) }) : parts(ToolsText.theModelWantsToCallTool, { tool: h('b', {}, name) }))),
    Object.keys(args).length > 0 && h('pre', { dir: 'auto', tabIndex: 0, 'aria-label': t(ToolsText.arguments) }, shown(args)),
    h('p', { className: 'hint' }, says),
    h('p', { className: 'actions' }, choice('once', t(ToolsText.allowOnce), 'primary'), choice('always', always), choice('deny', t(ToolsText.deny), 'quiet')));
  place.append(card);
  card.scrollIntoView({ block: 'nearest' });
  // Who writes is not disturbed; a key that was meant for something else allows nothing.
  if (document.activeElement === document.body || document.activeElement?.id === 'stop') card.focus({ preventScroll: true });
  const focused = () => card.contains(document.activeElement);
  try {
    return await new Promise<Answer>((resolve, reject) => {
      decide = resolve;
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  } finally {
    const had = focused();
    card.remove();
    if (had) document.getElementById('stop')?.focus();
  }
}

/** Says that a tool works; gives what ends that. */
function working({ place }: Asked, name: string): () => void {
  const note = h('p', { className: 'note calling' }, t(ToolsText.callingName, { name }));
  const timer = setTimeout(() => place.append(note), 300);
  return () => {
    clearTimeout(timer);
    note.remove();
  };
}
