// What callers hand in, checked before it travels: an error names the option, its value and what it may be.

import { RullamaError } from './errors.ts';
import type { EmbedOptions, EngineOptions, GenerateOptions, Message, OpenAIMessage, TuneOptions } from './types.ts';

/** A message in either notation. */
type AnyMessage = Message | OpenAIMessage;

type Rule = { takes: string; ok: (value: unknown) => boolean };

const number = (takes: string, ok: (value: number) => boolean): Rule => ({
  takes,
  ok: (value) => typeof value === 'number' && Number.isFinite(value) && ok(value),
});
const whole = (least: number, most = 2 ** 32 - 1): Rule =>
  number(`a whole number from ${least} to ${most}`, (value) => Number.isInteger(value) && value >= least && value <= most);
const share = number('a number from 0 to 1', (value) => value >= 0 && value <= 1);
// As the engine has them.
const penalty = number('a number from -100 to 100', (value) => Math.abs(value) <= 100);
const yesOrNo: Rule = { takes: 'true or false', ok: (value) => typeof value === 'boolean' };
const oneOf = (...words: string[]): Rule => ({ takes: `one of ${words.join(', ')}`, ok: (value) => words.includes(value as string) });

const GENERATE: Record<keyof GenerateOptions, Rule> = {
  temperature: number('a number of at least 0', (value) => value >= 0),
  topK: whole(0),
  topP: share,
  minP: share,
  repeatPenalty: number('a number from 0.01 to 100', (value) => value >= 0.01 && value <= 100),
  presencePenalty: penalty,
  frequencyPenalty: penalty,
  repeatLastN: whole(0),
  seed: whole(0, Number.MAX_SAFE_INTEGER),
  maxTokens: whole(1),
  stop: {
    takes: 'a list of texts that are not empty',
    ok: (value) => Array.isArray(value) && value.every((text) => typeof text === 'string' && text !== ''),
  },
  ignoreEos: yesOrNo,
  logprobs: whole(0),
  format: { takes: '"json" or a JSON schema, which is an object', ok: (value) => value === 'json' || (typeof value === 'object' && value !== null && !Array.isArray(value)) },
};

const LOAD: Record<keyof EngineOptions, Rule> = {
  ple: oneOf('auto', 'resident', 'streamed'),
  experts: oneOf('auto', 'resident', 'streamed'),
  kv: oneOf('f16', 'f32', 'q8'),
  products: oneOf('auto', 'exact', 'int8'),
  persistent: oneOf('auto', 'on', 'off'),
  speculate: oneOf('off', 'auto', 'lookup', 'drafter'),
  context: whole(1),
  memoryBudget: whole(0, Number.MAX_SAFE_INTEGER),
  adapter: oneOf('native', 'webgpu-defaults'),
  store: oneOf('auto', 'always', 'never'),
  readers: whole(0, 4),
};

const EMBED: Record<keyof EmbedOptions, Rule> = {
  prompt: oneOf(
    'none',
    'query',
    'document',
    'question-answering',
    'fact-checking',
    'classification',
    'clustering',
    'sentence-similarity',
    'code-retrieval',
  ),
  dims: whole(1),
  truncate: yesOrNo,
};

/** @throws RullamaError `invalid-argument` for what is no list of texts, or an option that is unknown or out of range. */
export function checkEmbed(texts: string[], options: EmbedOptions): void {
  if (!Array.isArray(texts)) throw refusal(`\`texts\` is ${shown(texts)}.`, 'Give a list of texts.');
  const wrong = Array.from(texts).findIndex((text) => typeof text !== 'string');
  if (wrong >= 0) throw refusal(`Text ${wrong} is ${shown(texts[wrong])}.`, 'Give a text.');
  check(options, EMBED);
}

const above0 = (most: number) => number(`a number above 0 and at most ${most}`, (value) => value > 0 && value <= most);
const from0 = (most: number) => number(`a number from 0 to ${most}`, (value) => value >= 0 && value <= most);
const isExamples = (value: unknown) => typeof value === 'string' || value instanceof Blob || Array.isArray(value);
const isText = (value: unknown) => typeof value === 'string' && value !== '';

const TUNE: Record<keyof TuneOptions, Rule> = {
  rank: whole(1, 512),
  alpha: above0(65_536),
  targets: {
    takes: 'a name such as `q_proj`, `attention`, `mlp` or `projections`, or a list of names',
    ok: (value) => isText(value) || (Array.isArray(value) && value.length > 0 && value.every(isText)),
  },
  layers: { takes: 'the first and the last layer as text, such as `20-34`', ok: isText },
  lr: above0(1),
  betas: {
    takes: 'two numbers of at least 0 and below 1, such as [0.9, 0.999]',
    ok: (value) => Array.isArray(value) && value.length === 2 && value.every((beta) => typeof beta === 'number' && beta >= 0 && beta < 1),
  },
  eps: number('a number from 1e-20 to 1', (value) => value >= 1e-20 && value <= 1),
  weightDecay: from0(1),
  clip: { takes: 'a number above 0, or null for none', ok: (value) => value === null || above0(Number.MAX_VALUE).ok(value) },
  schedule: oneOf('constant', 'linear', 'cosine', 'cosine_with_restarts'),
  cycles: above0(1000),
  minLrRatio: share,
  warmupRatio: share,
  warmupSteps: whole(0),
  epochs: whole(1, 100_000),
  batch: whole(1, 1024),
  accumulate: whole(1, 4096),
  maxLen: whole(8, 131_072),
  pack: yesOrNo,
  seed: whole(0, Number.MAX_SAFE_INTEGER),
  dropout: from0(0.9),
  split: from0(0.5),
  eval: { takes: 'JSONL text, a file of it or a list of objects', ok: isExamples },
  evalEvery: whole(1),
  patience: whole(1, 10_000),
  lossOn: oneOf('model', 'all'),
  activations: oneOf('f32', 'f16'),
  name: { takes: 'a text that is not empty', ok: isText },
  memoryBudget: whole(0, Number.MAX_SAFE_INTEGER),
  resume: { takes: "a checkpoint's bytes, a Uint8Array", ok: (value) => value instanceof Uint8Array },
  signal: { takes: 'an AbortSignal', ok: (value) => value instanceof AbortSignal },
};

/** @throws RullamaError `invalid-argument` for an option of a training that is unknown or out of range. */
export const checkTune = (options: TuneOptions): void => check(options, TUNE);

/** @throws RullamaError `invalid-argument` for an option of an answer that is unknown or out of range. */
export const checkGenerate = (options: GenerateOptions): void => check(options, GENERATE);

/** @throws RullamaError `invalid-argument` for an option of a load that is unknown or out of range. */
export const checkLoad = (options: EngineOptions): void => check(options, LOAD);

function check(options: object, rules: Record<string, Rule>): void {
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (!rule) {
      throw refusal(`There is no option \`${name}\`.`, `The options are ${Object.keys(rules).join(', ')}.`);
    }
    if (value !== undefined && !rule.ok(value)) {
      throw refusal(`\`${name}\` is ${shown(value)}.`, `Give ${rule.takes}, or leave it out.`);
    }
  }
}

/** @throws RullamaError `invalid-argument` for what is no token id. */
export function checkIds(ids: number[]): void {
  const rule = whole(0);
  const wrong = Array.from(ids).findIndex((id) => !rule.ok(id));
  if (wrong >= 0) throw refusal(`Token ${wrong} is ${shown(ids[wrong])}.`, `Give ${rule.takes}.`);
}

const ROLES = ['user', 'model', 'assistant', 'tool', 'system', 'developer'];
/** Roles whose messages are answered. */
const ASKING = ['user', 'tool'];

/**
 * Checks messages of an earlier conversation.
 *
 * @throws RullamaError `invalid-argument` for a message with an unknown role or with nothing in it.
 */
export function checkHistory(messages: AnyMessage[]): void {
  if (!Array.isArray(messages)) throw refusal(`\`messages\` is ${shown(messages)}.`, 'Give a list of messages.');
  messages.forEach((message, i) => checkMessage(message, `Message ${i}`));
}

/**
 * Checks messages that are to be answered.
 *
 * @throws RullamaError `invalid-argument` when there is nothing to answer.
 */
export function checkQuestion(messages: AnyMessage[]): void {
  checkHistory(messages);
  const last = messages.at(-1);
  if (!last) throw refusal('There is no message to answer.', 'Send at least one.');
  if (!ASKING.includes(last.role)) {
    throw refusal(`The last message is of role "${last.role}", which is not answered.`, `End with one of role ${ASKING.join(' or ')}.`);
  }
  const { images = [], media = [] } = last as { images?: unknown[]; media?: unknown[] };
  if (last.role === 'user' && (last.content as unknown) === '' && images.length + media.length === 0) throw refusal('The message is empty.', 'Write something in it.');
}

/**
 * Checks a conversation whose last answer is to go on.
 *
 * @throws RullamaError `invalid-argument` when it does not end with an answer, or with one that calls a tool.
 */
export function checkContinued(messages: AnyMessage[]): void {
  const last = messages.at(-1);
  const said = last as (Partial<Pick<Message, 'toolCalls'> & Pick<OpenAIMessage, 'tool_calls'>> & { role: string }) | undefined;
  if (said?.role !== 'model' && said?.role !== 'assistant') {
    throw refusal('The conversation does not end with an answer that could go on.', 'Send a message, or answer the last one with `retry`.');
  }
  if ((said.toolCalls ?? said.tool_calls ?? []).length > 0) throw refusal('The last answer calls a tool.', "Send the tool's answer.");
}

function checkMessage(message: AnyMessage, what: string): void {
  if (typeof message !== 'object' || message === null) {
    throw refusal(`${what} is ${shown(message)}.`, 'Give an object with `role` and `content`.');
  }
  if (!ROLES.includes(message.role)) {
    throw refusal(`${what} is of role ${shown(message.role)}.`, `The roles are ${ROLES.join(', ')}.`);
  }
  const content: unknown = message.content;
  const given = typeof content === 'string' || Array.isArray(content);
  const absent = content === undefined || content === null;
  // A model's message may be nothing but calls.
  const calls = (message.role as string) === 'assistant' || message.role === 'model';
  if (!given && !(absent && calls)) {
    throw refusal(`${what} (${message.role}) has ${absent ? 'no `content`' : `the content ${shown(content)}`}.`, 'Give its text as `content`.');
  }
}

/** A value in few words. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return typeof value === 'function' ? 'a function' : String(value);
}

function refusal(message: string, remedy: string): RullamaError {
  return new RullamaError('invalid-argument', message, { remedy });
}
