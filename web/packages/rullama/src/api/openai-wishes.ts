// From OpenAI's requests to what is asked of the engine. What cannot be had is refused by its name.

import type { Ask } from '../request.ts';
import type { EmbedOptions } from '../types.ts';
import { Failure } from './failure.ts';
import { Fields, short } from './fields.ts';
import { ofOpenAi, type Wanted } from './format.ts';
import { logprobs, sampling, without } from './sampling.ts';

/** Most log-probabilities beside a token's own that `/v1/completions` has. */
const MOST_COMPLETION_LOGPROBS = 5;
/** Most texts to embed in a request. */
const MOST_TEXTS = 2048;

/** What a request for an answer comes to. */
export interface Wish extends Pick<Wanted, 'formField'> {
  model: string;
  ask: Ask;
  stream: boolean;
  /** A streamed answer ends with its token counts. */
  usage: boolean;
  /** The messages' names in errors. */
  places?: string[];
}

/** What the requests have in common, with the tools where they are shown. */
export function common(fields: Fields): Wish {
  const n = fields.whole('n', 0);
  if (n !== undefined && n !== 1) throw Failure.field('n', `is ${n}, but only one answer is given to a request. Ask several times.`);
  const limits = ['max_completion_tokens', 'max_output_tokens', 'max_tokens'].map((name) => [name, fields.whole(name)] as const);
  const wrong = limits.find(([, limit]) => limit !== undefined && limit < 1);
  if (wrong) throw Failure.field(wrong[0], `is ${wrong[1]}, but must be at least 1.`);
  const maxTokens = limits.find(([, limit]) => limit !== undefined)?.[1];
  const options = { ...sampling(fields), ...(maxTokens !== undefined && { maxTokens }) };
  const usage = fields.object('stream_options')?.flag('include_usage') ?? false;
  return { model: fields.required('model'), ask: { options, logitBias: logitBias(fields) }, stream: fields.flag('stream') ?? false, usage };
}

function logitBias(fields: Fields): [number, number][] {
  const wrong = () => Failure.field('logit_bias', 'must be an object of numbers by token ids, such as {"105": -100}.');
  return (fields.object('logit_bias')?.entries() ?? []).map(([id, bias]) => {
    if (!/^\s*\d{1,9}\s*$/.test(id) || typeof bias !== 'number' || !Number.isFinite(bias)) throw wrong();
    return [Number(id), bias];
  });
}

/** `/v1/chat/completions`. */
export function chat(json: unknown): Wish {
  const fields = Fields.of(json);
  const wish = common(fields);
  refuse(fields);
  const { format, ...form } = ofOpenAi(fields.any('response_format'), 'response_format');
  const messages = fields.list('messages') ?? [];
  if (messages.length === 0) throw Failure.field('messages', 'is empty, but must have at least one message.');
  const thinking = thinks(fields.any('reasoning_effort'), 'reasoning_effort');
  const conversation = { messages: checked(messages), ...toolsOf(fields), thinking };
  const oneCall = fields.flag('parallel_tool_calls') === false;
  const options = without({ ...wish.ask.options, logprobs: logprobs(fields), format });
  return { ...wish, ...form, ask: { ...wish.ask, ...conversation, oneCall, options } };
}

/** `/v1/completions`. */
export function completion(json: unknown): Wish {
  const fields = Fields.of(json);
  if (fields.text('suffix')) throw Failure.field('suffix', 'cannot be heeded: the models have no tokens for filling a gap. Leave it out.');
  if (fields.flag('echo')) throw Failure.field('echo', 'cannot be had: the prompt is not given back. Put it before the answer yourself.');
  const best = fields.whole('best_of', 0) ?? 1;
  if (best !== 1) throw Failure.field('best_of', `is ${best}, but only one answer is given to a request. Ask several times.`);
  const logprobs = fields.whole('logprobs', 0);
  if (logprobs !== undefined && logprobs > MOST_COMPLETION_LOGPROBS) {
    throw Failure.field('logprobs', `is ${logprobs}, but may be at most ${MOST_COMPLETION_LOGPROBS}.`);
  }
  const wish = common(fields);
  return { ...wish, ask: { ...wish.ask, ...prompt(fields.any('prompt')), options: without({ ...wish.ask.options, logprobs }) } };
}

/** A text, ids, or a list of one such. */
function prompt(value: unknown): Pick<Ask, 'text' | 'ids'> {
  const wrong = () => Failure.field('prompt', 'must be a text, or a list of token ids.');
  if (value === undefined) throw Failure.field('prompt', 'is missing: give the text to continue.');
  if (value === '') throw Failure.field('prompt', 'is empty: give the text to continue.');
  if (typeof value === 'string') return { text: value };
  if (!Array.isArray(value) || value.length === 0) throw wrong();
  if (typeof value[0] === 'string' || Array.isArray(value[0])) {
    if (value.length === 1) return prompt(value[0]);
    throw Failure.field('prompt', `lists ${value.length} prompts, but one is answered in a request. Ask several times.`);
  }
  if (!value.every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 32)) throw wrong();
  return { ids: value as number[] };
}

function refuse(fields: Fields): void {
  if ((fields.list('functions') ?? []).length > 0) {
    throw Failure.field('functions', 'is the former name of `tools`, which is understood here. Use that.');
  }
  const other = (fields.list('modalities') ?? []).find((kind) => kind !== 'text');
  if (other !== undefined) throw Failure.field('modalities', `has ${short(other)}, but answers are text alone here. Leave it out.`);
  if (fields.any('web_search_options') !== undefined) {
    throw Failure.field('web_search_options', 'cannot be heeded: nothing is looked up here. Offer a tool that searches.');
  }
}

/**
 * The tools that the model is shown, and which of them its answer must call.
 *
 * @throws Failure for a choice of another form, or of what is no tool.
 */
export function toolsOf(fields: Fields): Pick<Ask, 'tools' | 'forced'> {
  const [list, choice] = [tools(fields), fields.any('tool_choice') ?? 'auto'];
  if (choice === 'none') return { tools: [] };
  if (choice === 'auto') return { tools: list };
  const names = list.map((tool) => ((tool as { function?: object }).function ?? tool) as { name?: unknown }).map(({ name }) => name as string);
  if (choice === 'required') {
    if (list.length === 0) throw Failure.field('tool_choice', 'is "required", but there are no `tools`. Offer one, or leave it out.');
    return { tools: list, forced: { names, once: false } };
  }
  // The responses have the name a level higher than the chat.
  const { type, function: inner } = choice as { type?: unknown; function?: { name?: unknown } | null };
  const { name } = (inner ?? choice) as { name?: unknown };
  if (type !== 'function' || typeof name !== 'string') {
    throw Failure.field('tool_choice', 'must be "auto", "none", "required" or a function by its name: {"type": "function", "function": {"name": "..."}}.');
  }
  if (!names.includes(name)) throw Failure.field('tool_choice', `names \`${Array.from(name).slice(0, 60).join('')}\`, which is not among the \`tools\`.`);
  return { tools: list, forced: { names: [name], once: true } };
}

function tools(fields: Fields): object[] {
  return (fields.list('tools') ?? []).map((tool, i) => {
    const type = Fields.of(tool, `tools[${i}]`).any('type') ?? 'function';
    if (type === 'function') return tool as object;
    const what = `is ${short(type)}, but only tools of type "function" can be had, which your program runs.`;
    throw Failure.field(`tools[${i}].type`, what);
  });
}

export function thinks(effort: unknown, field: string): boolean {
  if (effort === undefined || effort === 'none') return false;
  if (['minimal', 'low', 'medium', 'high', 'xhigh'].includes(effort as string)) return true;
  throw Failure.field(field, 'must be "none", "minimal", "low", "medium" or "high"; all but the first are the same here.');
}

/** Messages as objects; what is in them is read by the engine. */
export function checked(messages: unknown[]): object[] {
  return messages.map((message, i) => (Fields.of(message, `messages[${i}]`), message as object));
}

/** What a request for embeddings comes to. */
export interface EmbedWish {
  model: string;
  texts: string[];
  options: EmbedOptions;
}

/** `/v1/embeddings`. */
export function embedding(json: unknown): EmbedWish & { base64: boolean } {
  const fields = Fields.of(json);
  const model = fields.required('model');
  const encoding = fields.any('encoding_format') ?? 'float';
  if (encoding !== 'float' && encoding !== 'base64') {
    throw Failure.field('encoding_format', `is ${short(encoding)}, but must be "float" or "base64".`);
  }
  const texts = embedTexts(fields, 'input');
  if (texts.length === 0 || texts.includes('')) throw Failure.field('input', 'must be a text or a list of texts, none of them empty.');
  return { model, texts, options: embedOptions(fields, false), base64: encoding === 'base64' };
}

/** One text or a list of them. Ids are refused: they are numbers of a vocabulary that the client guessed. */
export function embedTexts(fields: Fields, name: string): string[] {
  const value = fields.any(name);
  if (value === undefined) return [];
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) throw Failure.field(name, 'must be a text or a list of texts.');
  const wrong = value.findIndex((text) => typeof text !== 'string');
  if (wrong >= 0) {
    const ids = typeof value[wrong] === 'number' || Array.isArray(value[wrong]);
    throw Failure.field(`${name}[${wrong}]`, `is no text${ids ? ": ids are another tokenizer's. Send the texts themselves." : '.'}`);
  }
  if (value.length > MOST_TEXTS) {
    throw Failure.field(name, `lists ${value.length} texts, more than ${MOST_TEXTS}. Send them in several requests.`);
  }
  return value as string[];
}

const PROMPTS = ['none', 'query', 'document', 'question-answering', 'fact-checking', 'classification', 'clustering', 'sentence-similarity', 'code-retrieval'];

export function embedOptions(fields: Fields, truncate: boolean): EmbedOptions {
  const dims = fields.whole('dimensions', 0);
  if (dims === 0) throw Failure.field('dimensions', 'is 0, but must be at least 1.');
  const prompt = fields.text('prompt_name');
  if (prompt !== undefined && !PROMPTS.includes(prompt)) {
    throw Failure.field('prompt_name', `is ${short(prompt)}, but must be one of ${PROMPTS.join(', ')}.`);
  }
  return { ...without({ dims, prompt: prompt as EmbedOptions['prompt'] }), truncate: fields.flag('truncate') ?? truncate };
}
