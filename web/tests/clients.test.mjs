// Programs that people have, unmodified, against `rullama serve` with its embedded model: the clients `ollama` and `openai`, the
// Vercel AI SDK and LangChain.js. What they ask for is what their users ask: chat, stream, tools, the list of models.
//
// Needs the command line program with a model in it: its path in RULLAMA_BIN, or target/debug/rullama.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOllama } from '@langchain/ollama';
import { ChatOpenAI } from '@langchain/openai';
import { generateObject, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = process.env.RULLAMA_BIN ?? path.join(root, 'target/debug/rullama');
const MODEL = 'embedded';
const SUM = { question: 'What is 31 plus 9?', answer: '31 + 9 = 40' };
const TIME = { question: 'What is the time in Paro now?', result: '{"time": "16:25"}', answer: 'It is 16:25 in Paro.' };
const city = { type: 'object', properties: { city: { type: 'string', description: 'The city' } }, required: ['city'] };
const description = 'Get the current time in a city';
/** Parameters whose values are short. */
const bounded = { type: 'object', properties: { unit: { enum: ['km', 'miles'] }, count: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['unit', 'count'] };
const distance = { name: 'distance', description: 'Get a distance', parameters: bounded };
const declared = { type: 'function', function: { name: 'current_time', description, parameters: city } };
const user = (content) => [{ role: 'user', content }];

let server;
/** Why nothing can be run here. */
let missing;
let url;

before(async () => {
  if (!existsSync(program)) missing = `${program} is not there: run \`cargo build -p rullama-cli\``;
  else if (!existsSync(path.join(root, 'web/app/public/model/rullama-demo.gguf'))) missing = 'there is no embedded model';
  if (missing) return;
  const env = { ...process.env, OLLAMA_MODELS: '/nonexistent' };
  server = spawn(program, ['serve', '--port', '0', '--token', 'secret'], { stdio: ['ignore', 'pipe', 'ignore'], env });
  const [line] = await once(createInterface({ input: server.stdout }), 'line');
  url = /http:\/\/[^/]+/.exec(line)[0];
  const headers = { authorization: 'Bearer secret' };
  const first = await fetch(`${url}/api/generate`, { method: 'POST', headers, body: JSON.stringify({ model: MODEL }) });
  const { error } = await first.json();
  if (error?.includes('no usable GPU adapter')) missing = error;
  else assert.equal(first.status, 200, error);
});

after(() => server?.kill());

/** A test that is skipped where something is missing. */
const check = (name, run) =>
  test(name, async (context) => {
    if (missing) return context.skip(missing);
    await run();
  });

const ollama = () => new Ollama({ host: url, headers: { authorization: 'Bearer secret' } });
const openai = () => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'secret', maxRetries: 0 });

check('ollama: chat, stream, list, show', async () => {
  const client = ollama();
  const options = { temperature: 0 };
  const whole = await client.chat({ model: MODEL, messages: user(SUM.question), options });
  assert.equal(whole.message.content, SUM.answer);
  let text = '';
  for await (const part of await client.chat({ model: MODEL, messages: user(SUM.question), stream: true, options })) text += part.message.content;
  assert.equal(text, SUM.answer);
  const generated = await client.generate({ model: MODEL, prompt: SUM.question, options });
  assert.equal(generated.response, SUM.answer);
  assert.deepEqual((await client.list()).models.map(({ name }) => name), [MODEL]);
  assert.deepEqual((await client.ps()).models.map(({ name }) => name), [MODEL]);
  assert.equal((await client.show({ model: MODEL })).model_info['general.architecture'], 'gemma4');
  assert.ok((await client.version()).version);
});

check('ollama: tools and thoughts', async () => {
  const client = ollama();
  const ask = (messages) => client.chat({ model: MODEL, messages, tools: [declared], options: { temperature: 0 } });
  const asked = user(TIME.question);
  const { message } = await ask(asked);
  assert.deepEqual(message.tool_calls.map((call) => [call.function.name, call.function.arguments]), [['current_time', { city: 'Paro' }]]);
  const answer = await ask([...asked, message, { role: 'tool', tool_name: 'current_time', content: TIME.result }]);
  assert.equal(answer.message.content, TIME.answer);
  const thought = await client.chat({ model: MODEL, messages: user("how many n in 'fork'"), think: true, options: { temperature: 0 } });
  assert.ok(thought.message.thinking.includes('f, o, r, k'));
  assert.equal(thought.message.content, 'There is no n in fork.');
});

check('ollama: errors and aborts', async () => {
  const client = ollama();
  await assert.rejects(client.chat({ model: 'none', messages: user('x') }), (error) => error.status_code === 404 && /ollama pull/.test(error.message));
  await assert.rejects(client.chat({ model: MODEL, messages: user('x'), format: { not: {} } }), (error) => error.status_code === 400 && /`format`.*`not` at #/.test(error.message));
  await assert.rejects(client.embed({ model: MODEL, input: 'x' }), (error) => error.status_code === 400 && /EmbeddingGemma/.test(error.message));
  await assert.rejects(client.pull({ model: MODEL }), (error) => error.status_code === 501 && /ollama pull/.test(error.message));
  const story = await client.chat({ model: MODEL, messages: user('tell a short story about an otter'), stream: true });
  await assert.rejects(async () => {
    for await (const _ of story) story.abort();
  }, { name: 'AbortError' });
  assert.equal((await client.chat({ model: MODEL, messages: user(SUM.question), options: { temperature: 0 } })).message.content, SUM.answer);
});

check('openai: chat, stream, models, completions', async () => {
  const client = openai();
  const request = { model: MODEL, messages: user(SUM.question), temperature: 0 };
  const whole = await client.chat.completions.create(request);
  assert.equal(whole.choices[0].message.content, SUM.answer);
  let text = '';
  let usage;
  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, SUM.answer);
  assert.equal(usage.total_tokens, whole.usage.total_tokens);
  const models = [];
  for await (const model of client.models.list()) models.push(model.id);
  assert.deepEqual(models, [MODEL]);
  assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
  const prompt = `<|turn>user\n${SUM.question}<turn|>\n<|turn>model\n`;
  assert.equal((await client.completions.create({ model: MODEL, prompt, temperature: 0 })).choices[0].text, SUM.answer);
});

check('openai: the client runs the tools', async () => {
  const client = openai();
  const cities = [];
  const current_time = ({ city }) => {
    cities.push(city);
    return TIME.result;
  };
  const runnable = { type: 'function', function: { ...declared.function, parse: JSON.parse, function: current_time } };
  for (const stream of [false, true]) {
    const runner = client.chat.completions.runTools({ model: MODEL, messages: user(TIME.question), tools: [runnable], temperature: 0, stream });
    assert.equal(await runner.finalContent(), TIME.answer);
  }
  assert.deepEqual(cities, ['Paro', 'Paro']);
});

check('a call is forced: openai, Vercel AI SDK', async () => {
  const client = openai();
  const ask = { model: MODEL, temperature: 0, tools: [declared] };
  const required = await client.chat.completions.create({ ...ask, messages: user(TIME.question), tool_choice: 'required' });
  assert.deepEqual(JSON.parse(required.choices[0].message.tool_calls[0].function.arguments), { city: 'Paro' });
  // A question that the model answers without a call by itself.
  const named = await client.responses.create({ ...ask, input: SUM.question, tools: [{ type: 'function', strict: false, ...distance }], tool_choice: { type: 'function', name: 'distance' } });
  assert.deepEqual(named.output.map(({ type, name }) => [type, name]), [['function_call', 'distance']]);
  assert.deepEqual(Object.keys(JSON.parse(named.output[0].arguments)).sort(), ['count', 'unit']);
  const none = await client.chat.completions.create({ ...ask, messages: user(TIME.question), tool_choice: 'none' });
  assert.equal(none.choices[0].message.tool_calls, undefined);
  const tools = { distance: tool({ description: 'Get a distance', inputSchema: jsonSchema(bounded) }) };
  const provider = createOpenAICompatible({ name: 'rullama', baseURL: `${url}/v1`, apiKey: 'secret' });
  const { toolCalls } = await generateText({ model: provider(MODEL), prompt: SUM.question, tools, toolChoice: 'required', temperature: 0 });
  assert.deepEqual(toolCalls.map(({ toolName }) => toolName), ['distance']);
  await assert.rejects(client.chat.completions.create({ ...ask, messages: user('x'), tool_choice: { type: 'function', function: { name: 'other' } } }), ({ status, param }) => status === 400 && param === 'tool_choice');
});

check('openai: responses', async () => {
  const client = openai();
  const whole = await client.responses.create({ model: MODEL, input: SUM.question, instructions: 'Talk like a butler.', temperature: 0 });
  assert.match(whole.output_text, /31 \+ 9 = 40/);
  const stream = client.responses.stream({ model: MODEL, input: "how many n in 'fork'", reasoning: { effort: 'low' }, temperature: 0 });
  let text = '';
  for await (const event of stream) if (event.type === 'response.output_text.delta') text += event.delta;
  const last = await stream.finalResponse();
  assert.equal(text, 'There is no n in fork.');
  assert.deepEqual(last.output.map(({ type }) => type), ['reasoning', 'message']);
  const tools = [{ type: 'function', strict: false, ...declared.function }];
  const input = user(TIME.question);
  const asked = await client.responses.stream({ model: MODEL, input, tools, temperature: 0 }).finalResponse();
  const [call] = asked.output;
  assert.deepEqual([call.name, JSON.parse(call.arguments)], ['current_time', { city: 'Paro' }]);
  const output = { type: 'function_call_output', call_id: call.call_id, output: TIME.result };
  const answer = await client.responses.create({ model: MODEL, input: [...input, call, output], tools, temperature: 0 });
  assert.equal(answer.output_text, TIME.answer);
});

const form = z.object({ kind: z.enum(['sum', 'größe']), result: z.number().min(0).max(99), notes: z.array(z.string().max(5)).max(2), inner: z.object({ ok: z.boolean() }) });

check('structured output: ollama, openai with zod, Vercel AI SDK', async () => {
  const messages = user(SUM.question);
  const format = z.toJSONSchema(form);
  for (const seed of [1, 2]) {
    const said = await ollama().chat({ model: MODEL, messages, format, options: { seed, temperature: 1 } });
    form.parse(JSON.parse(said.message.content));
    const completion = await openai().chat.completions.parse({ model: MODEL, messages, seed, response_format: zodResponseFormat(form, 'answer') });
    form.parse(completion.choices[0].message.parsed);
  }
  const response = await openai().responses.parse({ model: MODEL, input: SUM.question, text: { format: zodTextFormat(form, 'answer') } });
  form.parse(response.output_parsed);
  const object = await ollama().generate({ model: MODEL, prompt: SUM.question, format: 'json', options: { num_predict: 200, temperature: 0 } });
  if (object.done_reason === 'stop') assert.equal(typeof JSON.parse(object.response), 'object');
  const provider = createOpenAICompatible({ name: 'rullama', baseURL: `${url}/v1`, apiKey: 'secret', supportsStructuredOutputs: true });
  const { object: generated } = await generateObject({ model: provider(MODEL), prompt: SUM.question, schema: form });
  form.parse(generated);
});

check('openai: errors', async () => {
  const client = openai();
  const request = { model: MODEL, messages: user('x') };
  await assert.rejects(client.chat.completions.create({ ...request, model: 'none' }), (error) => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found');
  await assert.rejects(client.chat.completions.create({ ...request, n: 2 }), (error) => error instanceof OpenAI.BadRequestError && error.param === 'n');
  const form = { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'array', uniqueItems: true } } };
  await assert.rejects(client.chat.completions.create({ ...request, response_format: form }), (error) => error.status === 400 && error.param === 'response_format');
  const other = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'guessed', maxRetries: 0 });
  await assert.rejects(other.models.list(), (error) => error instanceof OpenAI.AuthenticationError);
});

check('Vercel AI SDK: text, stream, tools', async () => {
  const model = createOpenAICompatible({ name: 'rullama', baseURL: `${url}/v1`, apiKey: 'secret', includeUsage: true })(MODEL);
  const whole = await generateText({ model, prompt: SUM.question, temperature: 0 });
  assert.equal(whole.text, SUM.answer);
  const stream = streamText({ model, prompt: SUM.question, temperature: 0 });
  let text = '';
  for await (const part of stream.textStream) text += part;
  assert.equal(text, SUM.answer);
  assert.ok((await stream.usage).outputTokens > 4);
  const current_time = tool({ description, inputSchema: jsonSchema(city), execute: async () => TIME.result });
  const called = await generateText({ model, prompt: TIME.question, tools: { current_time }, stopWhen: stepCountIs(3), temperature: 0 });
  assert.equal(called.text, TIME.answer);
  assert.deepEqual(called.steps[0].toolCalls[0].input, { city: 'Paro' });
});

check('LangChain.js: both APIs', async () => {
  const headers = { authorization: 'Bearer secret' };
  const models = [
    new ChatOllama({ model: MODEL, baseUrl: url, headers, temperature: 0 }),
    new ChatOpenAI({ model: MODEL, apiKey: 'secret', configuration: { baseURL: `${url}/v1` }, temperature: 0, maxRetries: 0 }),
  ];
  const current_time = langchainTool(async () => TIME.result, { name: 'current_time', description, schema: city });
  for (const model of models) {
    const whole = await model.invoke([new SystemMessage('Talk like a butler.'), new HumanMessage(SUM.question)]);
    assert.match(whole.content, /31 \+ 9 = 40/);
    let text = '';
    for await (const part of await model.stream(SUM.question)) text += part.content;
    assert.equal(text, SUM.answer);
    const bound = model.bindTools([current_time]);
    const asked = [new HumanMessage(TIME.question)];
    const call = await bound.invoke(asked);
    assert.deepEqual(call.tool_calls.map(({ name, args }) => [name, args]), [['current_time', { city: 'Paro' }]]);
    const result = new ToolMessage({ content: TIME.result, tool_call_id: call.tool_calls[0].id, name: 'current_time' });
    assert.equal((await bound.invoke([...asked, call, result])).content, TIME.answer);
  }
});
