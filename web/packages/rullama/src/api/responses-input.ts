// The input of `/v1/responses`: a text, or items of a conversation.

import { Failure } from './failure.ts';
import { Fields, short } from './fields.ts';

/** Messages, and the names that each has in errors. */
export interface Input {
  messages: object[];
  places: string[];
}

type Call = { id: string | undefined; type: 'function'; function: { name: string; arguments: object } };
type Message = Record<string, unknown> & { role?: unknown; tool_calls?: Call[] };

/**
 * The messages of an input.
 *
 * @throws Failure for an item of another form, or of a kind that is not understood.
 */
export function messagesOf(input: unknown, instructions: string | undefined): Input {
  const found: Input = { messages: [], places: [] };
  const add = (message: Message, place: string) => (found.messages.push(message), found.places.push(place));
  if (instructions) add({ role: 'system', content: instructions }, 'instructions');
  if (input === undefined) throw Failure.field('input', 'is missing: give a text or a list of items.');
  if (typeof input === 'string') return add({ role: 'user', content: input }, 'input'), found;
  if (!Array.isArray(input) || input.length === 0) throw Failure.field('input', 'must be a text or a list of items with at least one.');
  // A thought waits for the message or the call that it led to.
  let thought = '';
  const led = () => {
    const thinking = thought;
    thought = '';
    return thinking === '' ? {} : { thinking };
  };
  for (const [i, item] of input.entries()) {
    const place = `input[${i}]`;
    const fields = Fields.of(item, place);
    const type = fields.any('type') ?? 'message';
    if (type === 'message') {
      const { type: _, ...message } = item as Message;
      add({ ...message, ...(message.role === 'assistant' && led()) }, place);
    } else if (type === 'reasoning') thought += thoughtOf(fields);
    else if (type === 'function_call') {
      const thinking = led();
      const [last, call] = [found.messages.at(-1) as Message | undefined, callOf(fields)];
      // Calls that follow each other are one message's.
      if (last?.role === 'assistant' && !('thinking' in thinking)) last.tool_calls = [...(last.tool_calls ?? []), call];
      else add({ role: 'assistant', content: '', ...thinking, tool_calls: [call] }, place);
    } else if (type === 'function_call_output') add({ role: 'tool', content: outputOf(fields), tool_call_id: fields.text('call_id') }, place);
    else throw Failure.field(`${place}.type`, `is ${short(type)}, but only messages, function calls, their outputs and reasoning are understood here.`);
  }
  return merged(found);
}

const instructs = (message: object | undefined): message is Message => ['system', 'developer'].includes((message as Message | undefined)?.role as string);

/** One system prompt: the template has a place for the first message's alone. */
function merged({ messages, places }: Input): Input {
  while (instructs(messages[0]) && instructs(messages[1])) {
    const [first, second] = [textOf(messages[0]), textOf(messages[1])];
    // What is no text is told by the engine.
    if (first === undefined || second === undefined) break;
    messages.splice(0, 2, { role: 'system', content: `${first}\n\n${second}` });
    places.splice(0, 1);
  }
  return { messages, places };
}

function textOf({ content }: Message): string | undefined {
  if (!Array.isArray(content)) return content === undefined || content === null ? '' : typeof content === 'string' ? content : undefined;
  const texts = content.map((part) => (typeof part === 'string' ? part : (part as { text?: unknown } | null)?.text));
  return texts.every((text) => typeof text === 'string') ? texts.map((text) => (text as string).trim()).join('') : undefined;
}

/** What was thought, from a reasoning item. */
function thoughtOf(fields: Fields): string {
  const texts = (name: string) => {
    const parts = fields.any(name);
    return (Array.isArray(parts) ? parts : []).map((part) => (part as { text?: unknown } | null)?.text).filter((text) => typeof text === 'string').join('');
  };
  return texts('content') || texts('summary');
}

function callOf(fields: Fields): Call {
  const [name, text] = [fields.needed('name'), fields.text('arguments') ?? ''];
  return { id: fields.text('call_id'), type: 'function', function: { name, arguments: argumentsOf(text, fields.at('arguments')) } };
}

function argumentsOf(text: string, place: string): object {
  if (text.trim() === '') return {};
  const wrong = (why: string) => Failure.field(place, `must be JSON text of an object: ${why}.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw wrong(cause instanceof Error ? cause.message : String(cause));
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw wrong(`it is ${short(value)}`);
}

function outputOf(fields: Fields): string {
  const output = fields.any('output');
  if (typeof output === 'string') return output;
  if (!Array.isArray(output)) {
    if (output === undefined) throw Failure.field(fields.at('output'), 'is missing: give what the function returned.');
    return JSON.stringify(output);
  }
  return output
    .map((part) => {
      const text = (part as { text?: unknown } | null)?.text;
      if (typeof text === 'string') return text;
      throw Failure.field(fields.at('output'), 'must be a text, or a list of texts.');
    })
    .join('');
}
