// `/v1/responses` in its common part: from a request to what is asked of the engine.

import { answer, type Given } from './answer.ts';
import { Failure } from './failure.ts';
import { Fields } from './fields.ts';
import { ofOpenAi } from './format.ts';
import type { Host } from './host.ts';
import { common, thinks, toolsOf, type Wish } from './openai-wishes.ts';
import { messagesOf } from './responses-input.ts';
import { ResponseRecords } from './responses-records.ts';
import type { ResponseEcho, ResponseEvent, ResponseRecord, ResponseTool, ResponseToolChoice } from './responses-types.ts';
import { logprobs, without } from './sampling.ts';

/** What `include` names to have log-probabilities. */
const LOGPROBS = 'message.output_text.logprobs';

export function response(host: Host, json: unknown, control: AbortController): Promise<Given<ResponseRecord, ResponseEvent>> {
  const { echo, ...wish } = wishOf(json);
  return answer(host, wish, new ResponseRecords(wish.model, echo), control);
}

function wishOf(json: unknown): Wish & { echo: ResponseEcho; places: string[] } {
  const fields = Fields.of(json);
  const wish = common(fields);
  refuse(fields);
  const { format, ...form } = ofOpenAi(fields.object('text')?.any('format'), 'text.format');
  const shown = toolsOf(fields);
  const effort = fields.object('reasoning')?.any('effort');
  const thinking = thinks(effort, 'reasoning.effort');
  const truncation = fields.text('truncation') ?? 'disabled';
  if (truncation !== 'auto' && truncation !== 'disabled') {
    throw Failure.field('truncation', `is "${truncation}", but must be "auto" or "disabled".`);
  }
  const top = fields.whole('top_logprobs', 0);
  const included = fields.texts('include').includes(LOGPROBS);
  const options = without({ ...wish.ask.options, logprobs: logprobs(fields, included || (top ?? 0) > 0), format });
  const { messages, places } = messagesOf(fields.any('input'), fields.text('instructions'));
  const oneCall = fields.flag('parallel_tool_calls') === false;
  const ask = { ...wish.ask, messages, ...shown, thinking, truncate: truncation === 'auto', oneCall, options };
  return { ...wish, ...form, ask, places, echo: { ...echoOf(fields, effort), truncation } };
}

/** The request as its response shows it. */
function echoOf(fields: Fields, effort: unknown): Omit<ResponseEcho, 'truncation'> {
  const or = <T>(name: string, otherwise: T) => (fields.any(name) ?? otherwise) as T;
  return {
    instructions: fields.text('instructions') ?? null,
    max_output_tokens: fields.whole('max_output_tokens') ?? null,
    parallel_tool_calls: fields.flag('parallel_tool_calls') ?? true,
    previous_response_id: null,
    reasoning: { effort: (effort ?? null) as ResponseEcho['reasoning']['effort'], summary: null },
    store: false,
    temperature: fields.number('temperature') ?? null,
    text: { format: (fields.object('text')?.any('format') ?? { type: 'text' }) as ResponseEcho['text']['format'] },
    tool_choice: or<ResponseToolChoice>('tool_choice', 'auto'),
    tools: or<ResponseTool[]>('tools', []),
    top_p: fields.number('top_p') ?? null,
    metadata: or<Record<string, string>>('metadata', {}),
  };
}

function refuse(fields: Fields): void {
  for (const name of ['previous_response_id', 'conversation']) {
    if (fields.any(name) !== undefined) {
      throw Failure.field(name, 'cannot be gone on with: nothing is kept here. Send all of the conversation as `input`.');
    }
  }
  if (fields.any('prompt') !== undefined) {
    throw Failure.field('prompt', 'names a stored prompt, and none is stored here. Send it as `instructions` and `input`.');
  }
  if (fields.flag('background')) {
    throw Failure.field('background', 'cannot be had: an answer ends with its request. Leave it out, and stream.');
  }
}
