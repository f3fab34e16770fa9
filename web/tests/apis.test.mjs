// The APIs in a page, with the real engine: npm's `ollama` and `openai`, unmodified, ask the page's own addresses, which its service
// worker answers; and the same requests to `rullama serve` get answers of the same shape.
//
// Needs the package (npm run build), a model in app/dist and the command line program: its path in RULLAMA_BIN, or
// target/debug/rullama.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = path.join(here, '../packages/rullama/dist');
const program = process.env.RULLAMA_BIN ?? path.join(here, '../../target/debug/rullama');
const noProgram = !existsSync(program) && `${program} is not there: run \`cargo build -p rullama-cli\``;
const MODEL = 'embedded';
const SUM = { question: 'What is 31 plus 9?', answer: '31 + 9 = 40' };
const TIME = { question: 'What is the time in Paro now?', result: '{"time": "16:25"}', answer: 'It is 16:25 in Paro.' };
const city = { type: 'object', properties: { city: { type: 'string', description: 'The city' } }, required: ['city'] };
const tool = { type: 'function', function: { name: 'current_time', description: 'Get the current time in a city', parameters: city } };
const user = (content) => [{ role: 'user', content }];
/** A picture and a sound with what the embedded model says of them. */
const shown = Object.fromEntries(
  readFileSync(path.join(here, '../../tools/demo-model/eval.jsonl'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line)).flatMap(({ id, messages, expected }) => {
    if (!['pictures, held out: shapes, colours, counts 15', 'sounds, held out: tones and rhythms 6'].includes(id)) return [];
    const [{ type, data }, { text }] = messages[0].content;
    return [[type, { data, question: text, answer: expected.content }]];
  }),
);
const dataUrl = `data:image/webp;base64,${shown.image.data}`;
/** Parameters whose values are short. */
const bounded = { type: 'object', properties: { unit: { enum: ['km', 'miles'] }, count: { type: 'integer', minimum: 1, maximum: 9 } }, required: ['unit', 'count'] };
const form = z.object({ kind: z.enum(['sum', 'größe']), result: z.number().min(0).max(99).multipleOf(0.5), notes: z.array(z.string().max(3)).max(1), ok: z.boolean() });

let folder;
let site;
let browser;
let page;

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'rullama-apis-'));
  copyFileSync(path.join(dist, 'service-worker.js'), path.join(folder, 'service-worker.js'));
  writeFileSync(path.join(folder, 'index.html'), '<!doctype html><title>APIs</title>');
  writeFileSync(path.join(folder, 'entry.js'), "export { Ollama } from 'ollama/browser';\nexport { default as OpenAI } from 'openai';\n");
  const options = { bundle: true, format: 'esm', nodePaths: [path.join(here, '../node_modules')], logLevel: 'error' };
  await build({ ...options, entryPoints: [path.join(folder, 'entry.js')], outfile: path.join(folder, 'clients.js') });
  site = await startServer({ '/parts/': dist, '/model/': path.join(here, '../app/dist/model'), '/': folder });
  browser = await startBrowser({ serviceWorkers: 'allow' });
  ({ page } = await openPage(browser.context, `${site.url}/index.html`));
  await page.evaluate(async (model) => {
    const [{ Rullama }, { serveApis }] = [await import('/parts/index.js'), await import('/parts/api.js')];
    globalThis.ai = await Rullama.load('embedded');
    globalThis.service = await serveApis(ai, { model });
    Object.assign(globalThis, await import('/clients.js'));
    globalThis.openai = new OpenAI({ baseURL: `${service.address}/v1`, apiKey: 'none', dangerouslyAllowBrowser: true, maxRetries: 0 });
    globalThis.ollama = new Ollama({ host: service.address });
  }, MODEL);
});

after(async () => {
  await browser?.close();
  await site?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('ollama, unmodified: chat, stream, tools, lists, errors', async () => {
  const given = await page.evaluate(async ({ MODEL, SUM, TIME, tool }) => {
    const options = { temperature: 0 };
    const ask = (content, rest) => ollama.chat({ model: MODEL, messages: [{ role: 'user', content }], options, ...rest });
    const whole = await ask(SUM.question);
    let [text, parts] = ['', 0];
    for await (const part of await ask(SUM.question, { stream: true })) [text, parts] = [text + part.message.content, parts + 1];
    const { message } = await ask(TIME.question, { tools: [tool] });
    const story = await ask('tell a short story about an otter', { stream: true });
    const aborted = await (async () => {
      for await (const _ of story) story.abort();
    })().catch(({ name }) => name);
    const models = (await ollama.list()).models.map(({ name }) => name);
    const missing = await ollama.chat({ model: 'none', messages: [{ role: 'user', content: 'x' }] }).catch(({ status_code, message }) => `${status_code} ${message}`);
    return { whole: whole.message.content, text, parts, calls: message.tool_calls, models, missing, aborted };
  }, { MODEL, SUM, TIME, tool });
  assert.deepEqual([given.whole, given.text, given.models, given.aborted], [SUM.answer, SUM.answer, [MODEL], 'AbortError']);
  assert.ok(given.parts > 4, `${given.parts} parts`);
  assert.deepEqual(given.calls.map((call) => [call.function.name, call.function.arguments]), [['current_time', { city: 'Paro' }]]);
  assert.match(given.missing, /^404 .*none.*embedded/);
});

test('openai, unmodified, and the client of the package: chat, stream, tools, completions, models', async () => {
  const given = await page.evaluate(async ({ MODEL, SUM, TIME, tool }) => {
    const { Rullama } = await import('/parts/index.js');
    const request = { model: MODEL, messages: [{ role: 'user', content: SUM.question }], temperature: 0 };
    const ask = async (client) => {
      let text = '';
      for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) text += chunk.choices[0]?.delta.content ?? '';
      const prompt = `<|turn>user\n${SUM.question}<turn|>\n<|turn>model\n`;
      const continued = await client.completions.create({ model: MODEL, prompt, temperature: 0 });
      const wrong = await client.chat.completions.create({ ...request, n: 2 }).catch(({ status, param }) => [status, param]);
      const models = [];
      for await (const model of client.models.list()) models.push(model.id);
      return { text, continued: continued.choices[0].text, wrong, models };
    };
    const own = Rullama.openai(ai, { model: MODEL });
    // A whole answer with its tokens from the one, a call and what follows it from the other.
    const whole = await openai.chat.completions.create({ ...request, logprobs: true, top_logprobs: 2 });
    const tokens = whole.choices[0].logprobs.content;
    const messages = [{ role: 'user', content: TIME.question }];
    const { choices } = await own.chat.completions.create({ model: MODEL, messages, tools: [tool], temperature: 0 });
    messages.push(choices[0].message, { role: 'tool', tool_call_id: choices[0].message.tool_calls[0].id, content: TIME.result });
    const answer = await own.chat.completions.create({ model: MODEL, messages, tools: [tool], temperature: 0 });
    return {
      both: [await ask(openai), await ask(own)],
      spelt: tokens.map(({ token }) => token).join(''),
      tops: tokens.every(({ top_logprobs, logprob }) => top_logprobs.length === 2 && logprob <= 0),
      reason: choices[0].finish_reason,
      answer: answer.choices[0].message.content,
    };
  }, { MODEL, SUM, TIME, tool });
  const { both, spelt, tops, reason, answer } = given;
  for (const found of both) assert.deepEqual(found, { text: SUM.answer, continued: SUM.answer, wrong: [400, 'n'], models: [MODEL] });
  assert.deepEqual([spelt, tops, reason, answer], [SUM.answer, true, 'tool_calls', TIME.answer]);
});

test('pictures and sounds: both clients, unmodified, and the client of the package', async () => {
  const given = await page.evaluate(async ({ MODEL, shown: { image, audio }, dataUrl }) => {
    const { Rullama } = await import('/parts/index.js');
    const own = Rullama.openai(ai, { model: MODEL });
    const said = {};
    const chat = await ollama.chat({ model: MODEL, messages: [{ role: 'user', content: image.question, images: [image.data] }], options: { temperature: 0 } });
    said.ollama = chat.message.content;
    said.generate = (await ollama.generate({ model: MODEL, prompt: image.question, images: [image.data], options: { temperature: 0 } })).response;
    const create = async (client, part, { question: text }) => {
      const messages = [{ role: 'user', content: [part, { type: 'text', text }] }];
      return (await client.chat.completions.create({ model: MODEL, messages, temperature: 0 })).choices[0].message.content;
    };
    const picture = { type: 'image_url', image_url: { url: dataUrl } };
    const sound = { type: 'input_audio', input_audio: { data: audio.data, format: 'wav' } };
    said.openai = await create(openai, picture, image);
    said.own = await create(own, sound, audio);
    const input = [{ role: 'user', content: [{ type: 'input_image', image_url: dataUrl, detail: 'auto' }, { type: 'input_text', text: image.question }] }];
    said.responses = (await openai.responses.create({ model: MODEL, input, temperature: 0 })).output_text;
    const frames = [{ image_url: { url: dataUrl }, seconds: 61 }, dataUrl];
    const film = [{ type: 'video', frames, timestamps: [0, 62] }, { type: 'text', text: image.question }];
    const told = await openai.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: film }], max_tokens: 1 });
    const still = await openai.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: image.question }], max_tokens: 1 });
    // Each frame between two marks, and `01:01 ` or ` 01:02 ` before it.
    const soft = 2 * (await ai.cost({ type: 'image', image: image.data, tokens: 70 }));
    const times = (await ai.tokenize('01:01 ')).length + (await ai.tokenize(' 01:02 ')).length;
    said.film = [told.usage.prompt_tokens - still.usage.prompt_tokens, soft + 4 + times];
    const far = { type: 'image_url', image_url: { url: 'https://example.org/x.png' } };
    said.far = await create(openai, far, image).catch(({ status, param, message }) => `${status} ${param} ${message}`);
    return said;
  }, { MODEL, shown, dataUrl });
  const { own, far, film, ...pictures } = given;
  assert.equal(film[0], film[1]);
  for (const [way, text] of Object.entries(pictures)) assert.equal(text, shown.image.answer, way);
  assert.equal(own, shown.audio.answer);
  assert.match(far, /^400 messages\[0\]\.content .*not fetched: give the data itself/);
});

test('answers of a form: both clients, unmodified, the package, and what cannot be kept', async () => {
  const given = await page.evaluate(async ({ MODEL, SUM, tool, bounded, schema, completion, response }) => {
    const messages = [{ role: 'user', content: SUM.question }];
    const texts = [];
    const create = (rest) => openai.chat.completions.create({ model: MODEL, messages, ...rest });
    texts.push((await ollama.chat({ model: MODEL, messages, format: schema, options: { temperature: 0 } })).message.content);
    texts.push((await create({ seed: 1, temperature: 1, response_format: completion })).choices[0].message.content);
    let streamed = '';
    const stream = await openai.responses.create({ model: MODEL, input: SUM.question, text: { format: response }, temperature: 1, stream: true });
    for await (const event of stream) if (event.type === 'response.output_text.delta') streamed += event.delta;
    texts.push(streamed, await ai.chat().ask(SUM.question, { temperature: 1, seed: 3, format: schema }));
    const cut = (await create({ response_format: { type: 'json_object' }, max_tokens: 3 })).choices[0];
    const bad = { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object', properties: { a: { uniqueItems: true } } } } };
    const refused = await create({ response_format: bad, stream: true }).catch(({ status, param, message }) => `${status} ${param} ${message}`);
    // A question that the model answers without a call by itself.
    const distance = { type: 'function', function: { name: 'distance', description: 'Get a distance', parameters: bounded } };
    const choice = { type: 'function', function: { name: 'distance' } };
    const forced = (await create({ tools: [tool, distance], tool_choice: choice, temperature: 0, max_tokens: 60 })).choices[0];
    const { name, arguments: given } = forced.message.tool_calls[0].function;
    const call = [forced.finish_reason, forced.message.tool_calls.length, name, Object.keys(JSON.parse(given)).sort()];
    // The engine answers freely as before.
    const free = await ai.chat().ask(SUM.question, { temperature: 0 });
    return { call, texts, cut: [cut.finish_reason, cut.message.content[0]], refused, free };
  }, { MODEL, SUM, tool, bounded, schema: z.toJSONSchema(form), completion: zodResponseFormat(form, 'answer'), response: zodTextFormat(form, 'answer') });
  for (const text of given.texts) form.parse(JSON.parse(text));
  assert.deepEqual(given.call, ['tool_calls', 1, 'distance', ['count', 'unit']]);
  assert.deepEqual([given.cut, given.free], [['length', '{'], SUM.answer]);
  assert.match(given.refused, /^400 response_format .*`uniqueItems` at #\/properties\/a is not supported/);
});

test('a conversation is copied, saved and restored with its caches', async () => {
  const given = await page.evaluate(async () => {
    const chat = ai.chat();
    const greedy = { temperature: 0 };
    await chat.ask('What is the capital of France?', greedy);
    const [fork, saved] = [await chat.fork(), await chat.save()];
    const restored = await ai.restore(saved);
    const next = 'What is 31 plus 9?';
    const texts = [];
    const computed = [];
    for (const each of [chat, fork, restored]) {
      texts.push(await each.ask(next, greedy));
      computed.push(each.last.timings.prefilledTokens / each.last.promptTokens);
    }
    const damaged = saved.slice();
    damaged[saved.length - 9] ^= 1;
    const refused = await ai.restore(damaged).catch(({ code, message }) => `${code} ${message}`);
    const text = 'Größe <|turn> 🦀';
    return { texts, computed, refused, same: (await ai.detokenize(await ai.tokenize(text))) === text, unknown: await ai.detokenize([2 ** 31]).catch(({ code }) => code) };
  });
  assert.equal(new Set(given.texts).size, 1);
  assert.match(given.texts[0], /40/);
  for (const share of given.computed) assert.ok(share < 0.7, `${share} of the prompt was computed again`);
  assert.match(given.refused, /^invalid-argument .*checksum/);
  assert.deepEqual([given.same, given.unknown], [true, 'invalid-argument']);
});

test('another page asks the one that holds the engine; when none does, it is told what to do', async () => {
  const other = (await openPage(browser.context, `${site.url}/index.html`)).page;
  const ask = () =>
    other.evaluate(async ({ MODEL, SUM }) => {
      const body = JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: SUM.question }], temperature: 0 });
      const response = await fetch('/v1/chat/completions', { method: 'POST', body });
      const { choices, error } = await response.json();
      return { status: response.status, text: choices?.[0].message.content, error };
    }, { MODEL, SUM });
  try {
    assert.deepEqual(await ask(), { status: 200, text: SUM.answer, error: undefined });
    // Other addresses are the site's own.
    assert.equal(await other.evaluate(async () => (await fetch('/nothing')).status), 404);
    await page.evaluate(() => service.close());
    const { status, error } = await ask();
    assert.deepEqual([status, error.type], [503, 'service_unavailable_error']);
    assert.match(error.message, /Open the page/);
    const local = await other.evaluate(async () => (await (await fetch('/api/tags')).json()).error);
    assert.match(local, /no open page holds a model/);
  } finally {
    await other.close();
    await page.evaluate(async (model) => {
      const { serveApis } = await import('/parts/api.js');
      // Elsewhere first: a worker with another base takes the place of the one before.
      const moved = await serveApis(ai, { model, base: '/rullama' });
      const there = await fetch(`${moved.address}/api/version`);
      const here = await fetch('/api/version');
      moved.close();
      globalThis.service = await serveApis(ai, { model });
      return [moved.address, there.status, here.status];
    }, MODEL).then((given) => assert.deepEqual(given, [`${site.url}/rullama`, 200, 404]));
  }
});

/** Short answers will do, apart from calls: each parameter of a length. */
const few = { options: { num_predict: 3 } };
const max_tokens = 3;
/** Both draw the same tokens. */
const greedy = (address, body) =>
  address.startsWith('/v1') ? { temperature: 0, ...body } : { ...body, options: { temperature: 0, ...body.options } };
/** Requests whose answers are compared: address and body; a stream is told by its records. */
const REQUESTS = [
  ['/api/chat', { model: MODEL, messages: user(SUM.question), stream: false, ...few }],
  ['/api/chat', { model: MODEL, messages: user(TIME.question), tools: [tool] }],
  ['/api/chat', { model: MODEL, messages: user("how many n in 'fork'"), think: true, stream: false, logprobs: true, top_logprobs: 1, ...few }],
  ['/api/chat', { model: MODEL, messages: [] }],
  ['/api/generate', { model: MODEL, prompt: SUM.question, stream: false, ...few }],
  ['/api/generate', { model: MODEL, prompt: 'Once', raw: true, ...few }],
  ['/api/embed', { model: MODEL, input: 'x' }],
  ['/api/show', { model: MODEL }],
  ['/api/tags'],
  ['/api/ps'],
  ['/api/version'],
  ['/api/pull', { model: MODEL }],
  ['/api/none'],
  ['/v1/chat/completions', { model: MODEL, messages: user(SUM.question), max_tokens }],
  ['/v1/chat/completions', { model: MODEL, messages: user(SUM.question), stream: true, stream_options: { include_usage: true } }],
  ['/v1/chat/completions', { model: MODEL, messages: user(TIME.question), tools: [tool], stream: true }],
  ['/v1/chat/completions', { model: MODEL, messages: user(TIME.question), tools: [tool] }],
  ['/v1/chat/completions', { model: MODEL, messages: user("how many n in 'fork'"), reasoning_effort: 'low', logprobs: true, top_logprobs: 2, max_tokens }],
  ['/v1/chat/completions', { model: MODEL, messages: user(TIME.question), tools: [tool], tool_choice: 'required' }],
  ...['some', 'required', { type: 'function', function: { name: 'other' } }].map((tool_choice, i) => [
    '/v1/chat/completions', { model: MODEL, messages: user('x'), tools: i === 1 ? [{ type: 'function', function: { name: 'f', parameters: { not: {} } } }] : [tool], tool_choice },
  ]),
  ['/v1/completions', { model: MODEL, prompt: 'Once', max_tokens, logprobs: 2 }],
  ['/v1/completions', { model: MODEL, prompt: 'Once', max_tokens, stream: true, stream_options: { include_usage: true } }],
  ['/v1/responses', { model: MODEL, input: SUM.question, instructions: 'Be brief.', max_output_tokens: 3, top_logprobs: 1 }],
  ['/v1/responses', { model: MODEL, input: user("how many n in 'fork'"), reasoning: { effort: 'low' }, stream: true, top_logprobs: 1 }],
  ['/v1/responses', { model: MODEL, input: user(TIME.question), tools: [{ type: 'function', ...tool.function, strict: false }], stream: true }],
  ['/v1/responses', { model: MODEL, input: user([{ type: 'input_image', image_url: dataUrl }]), max_output_tokens: 2 }],
  ['/v1/responses', { model: MODEL, input: 'x', text: { format: { type: 'json_object' } }, max_output_tokens: 2 }],
  ['/v1/chat/completions', { model: MODEL, messages: user([{ type: 'image_url', image_url: { url: dataUrl } }]), max_tokens: 2 }],
  ['/v1/chat/completions', { model: MODEL, messages: user('x'), response_format: { type: 'json_object' }, max_tokens: 2 }],
  ['/api/chat', { model: MODEL, messages: user('x'), format: 'json', stream: false, ...few }],
  ['/api/generate', { model: MODEL, prompt: 'x', images: ['aGk='] }],
  ['/v1/models'],
  [`/v1/models/${MODEL}`],
  ['/v1/embeddings', { model: MODEL, input: 'x' }],
  ['/v1/none', {}],
  ...Object.entries({
    model: 'none', n: 2, temperature: 'hot', top_p: 3, stop: 3, messages: [], tool_choice: 'required', tools: [{ type: 'x' }],
    max_tokens: 0, response_format: { type: 'json_schema' }, top_logprobs: 30, logit_bias: { x: 1 }, functions: [{}], reasoning_effort: 'huge', stream: 'yes', presence_penalty: 101,
  }).map(([name, value]) => ['/v1/chat/completions', { model: MODEL, messages: user('x'), [name]: value }]),
  ...[
    { previous_response_id: 'resp_1' }, { truncation: 'some' }, { input: [] }, { input: [{ type: 'item_reference', id: 'x' }] }, { background: true },
    { input: [{ type: 'function_call', name: 'f', arguments: '{' }] }, { input: user([{ type: 'input_image', image_url: 'https://example.org/x' }]) },
    { text: { format: { type: 'json_schema', name: 'n', schema: { not: {} } } } }, { input: [{ content: 'x' }] },
  ].map((change) => ['/v1/responses', { model: MODEL, input: 'x', ...change }]),
  ...[[{ type: 'image_url', image_url: { url: 'data:image/png,x' } }], [{ type: 'file' }], [{ type: 'video_url', video_url: 'aGk=' }], [{ type: 'video', frames: [] }], [{ type: 'video', frames: Array(33).fill('aGk=') }], [{ type: 'image_url' }]].map((content) => [
    '/v1/chat/completions', { model: MODEL, messages: user(content) },
  ]),
  ...Object.entries({ think: 'much', format: 'xml', keep_alive: 'soon', options: { temperature: -1 }, top_logprobs: 3, model: '', stream: 3 }).map(([name, value]) => [
    '/api/chat', { model: MODEL, messages: user('x'), [name]: value },
  ]),
  ...Object.entries({ suffix: 'x', template: 'x', images: ['x'], system: 'x' }).map(([name, value]) => ['/api/generate', { model: MODEL, prompt: 'x', raw: true, [name]: value }]),
  ...Object.entries({ echo: true, best_of: 2, suffix: 'x', logprobs: 6, prompt: ['a', 'b'] }).map(([name, value]) => ['/v1/completions', { model: MODEL, prompt: 'x', [name]: value }]),
].map(([address, body]) => [address, body && greedy(address, body)]);

/** What an answer is made of: members by name and type, a list as what its first members are; `param` and `code` as they stand. */
function shape(value, name = '') {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== 'object' || value === null) return ['param', 'code', 'object', 'type', 'role', 'finish_reason', 'done_reason', 'done'].includes(name) ? value : value === null ? null : typeof value;
  // What is in the model's file differs in extent; what is told of it does not in kind. A token's text is a name there.
  if (name === 'model_info') return { 'general.architecture': shape(value['general.architecture']) };
  const members = Object.entries(value).map(([key, value]) => [key, shape(value, key)]);
  return Object.fromEntries(members.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** An answer's status, type and shapes: of a stream each that differs from the one before it. */
async function told(response) {
  const [type, text] = [response.headers.get('content-type'), await response.text()];
  if (!/ndjson|event-stream/.test(type)) return { status: response.status, type: type.split(';')[0], shapes: [shape(JSON.parse(text))] };
  const lines = text.split('\n').filter((line) => line !== '');
  const shapes = lines.map((line) => (line === 'data: [DONE]' || line.startsWith('event: ') ? line : JSON.stringify(shape(JSON.parse(line.replace(/^data: /, ''))))));
  return { status: response.status, type, shapes: shapes.filter((each, i) => each !== shapes[i - 1]) };
}

test('the page and `rullama serve` answer in the same shapes', { skip: noProgram }, async (t) => {
  const env = { ...process.env, OLLAMA_MODELS: '/nonexistent' };
  const server = spawn(program, ['serve', '--port', '0', '--token', 'secret'], { stdio: ['ignore', 'pipe', 'ignore'], env });
  try {
    const [line] = await once(createInterface({ input: server.stdout }), 'line');
    const url = /http:\/\/[^/]+/.exec(line)[0];
    const ask = (address, body) => {
      const headers = { authorization: 'Bearer secret', 'content-type': 'application/json' };
      return fetch(url + address, { headers, ...(body && { method: 'POST', body: JSON.stringify(body) }) });
    };
    const { error } = await (await ask('/api/generate', { model: MODEL })).json();
    if (error?.includes('no usable GPU adapter')) return t.skip(error);
    // The README's word: the same program asks the page or a server, by one address.
    const texts = await page.evaluate(async ({ url, MODEL, SUM }) => {
      const program = async (host) => {
        const client = new OpenAI({ baseURL: `${host}/v1`, apiKey: 'secret', dangerouslyAllowBrowser: true, maxRetries: 0 });
        const request = { model: MODEL, messages: [{ role: 'user', content: SUM.question }], temperature: 0 };
        return (await client.chat.completions.create(request)).choices[0].message.content;
      };
      return [await program(service.address), await program(url)];
    }, { url, MODEL, SUM });
    assert.deepEqual(texts, [SUM.answer, SUM.answer]);
    const inPage = (address, body) =>
      page.evaluate(async ([address, body]) => {
        const response = await fetch(address, body && { method: 'POST', body: JSON.stringify(body) });
        return [await response.text(), response.status, [...response.headers]];
      }, [address, body]);
    for (const [address, body] of REQUESTS) {
      const [text, status, headers] = await inPage(address, body);
      const [here, there] = [await told(new Response(text, { status, headers })), await told(await ask(address, body))];
      assert.deepEqual(here, there, `${address} ${JSON.stringify(body)}`);
    }
  } finally {
    server.kill();
  }
});
