// Answers of a form, on the fake engine and a compiler of schemas in place of the wasm: what is asked for arrives, what cannot be kept is
// named before the answer begins, and the compiler is loaded once, with the first format.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { apiHandler, Client, clientFetch, Engine, fakeOpener, localPair, openaiClient, serve } from '../../../dist-test/internals.js';

const MODEL = 'toy';
const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
const unkept = { not: {} };
const WORDS = 'cannot be kept: the schema\'s keyword `not` at # is not supported.';
const user = (content) => [{ role: 'user', content }];

class Compiler {
  static loaded = 0;
  static open = 0;
  static compiled = 0;

  follow_call(text, quote) {
    assert.equal(quote, 7);
    if (text.includes('"not"')) throw new Error('calls of `f` cannot be held to its parameters: the schema\'s keyword `not` at # is not supported');
    return this.follow(text);
  }

  follow(text) {
    if (text.includes('"not"')) throw new Error('the schema\'s keyword `not` at # is not supported');
    if (text.includes('"trap"')) throw new WebAssembly.RuntimeError('unreachable');
    Compiler.open += 1;
    Compiler.compiled += 1;
    return { allowed: () => new Uint32Array(1), accept: () => undefined, free: () => (Compiler.open -= 1) };
  }
}

/** `missing`: how often the compiler cannot be had. */
async function open(missing = 0) {
  [Compiler.loaded, Compiler.open, Compiler.compiled] = [0, 0, 0];
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }), async () => {
    Compiler.loaded += 1;
    if (Compiler.loaded <= missing) throw new Error('it is not there');
    return Compiler;
  });
  const client = new Client(end);
  const engine = new Engine(client, await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} }), () => {});
  const handler = apiHandler(engine, { model: MODEL });
  const npm = new OpenAI({ baseURL: 'http://page/v1', apiKey: 'none', fetch: clientFetch(handler), maxRetries: 0 });
  return { engine, npm, own: openaiClient(engine, { model: MODEL }), ollama: new Ollama({ host: 'http://page', fetch: clientFetch(handler) }) };
}

test('a chat, both APIs and both clients hand the format on', async () => {
  const { engine, npm, own, ollama } = await open();
  await engine.chat().ask('hi');
  assert.equal(Compiler.loaded, 0, 'nothing asked for it');
  const kept = (text) => JSON.parse(text).kept;
  assert.deepEqual(kept(await engine.chat().ask('hi', { format: schema })), schema);
  assert.equal(kept(await engine.chat().ask('hi', { format: 'json' })), 'json');
  for (const client of [npm, own]) {
    const create = async (response_format) => (await client.chat.completions.create({ model: MODEL, messages: user('hi'), response_format })).choices[0].message.content;
    assert.deepEqual(kept(await create({ type: 'json_schema', json_schema: { name: 'n', strict: true, schema } })), schema);
    assert.equal(kept(await create({ type: 'json_object' })), 'json');
    assert.match(await create({ type: 'text' }), /short answer/);
    const response = await client.responses.create({ model: MODEL, input: 'hi', text: { format: { type: 'json_schema', name: 'n', schema } } });
    assert.deepEqual(kept(response.output_text), schema);
    assert.deepEqual(response.text.format.schema, schema);
  }
  for (const format of [schema, JSON.stringify(schema)]) {
    assert.deepEqual(kept((await ollama.chat({ model: MODEL, messages: user('hi'), format })).message.content), schema);
    assert.deepEqual(kept((await ollama.generate({ model: MODEL, prompt: 'hi', format })).response), schema);
  }
  assert.deepEqual([Compiler.loaded, Compiler.open], [1, 0]);
});

test('a form is compiled once an answer, and one that nobody takes is let go of', async () => {
  const { engine } = await open();
  await engine.chat().ask('hi', { format: schema });
  await engine.chat().ask('hi', { format: 'json' });
  assert.deepEqual([Compiler.compiled, Compiler.open], [2, 0]);
  // Of many that wait only some are held, and the others compiled at their turn.
  await Promise.all(Array.from({ length: 6 }, (_, i) => engine.chat().ask('hi', { format: { ...schema, title: `${i}` } })));
  assert.ok(Compiler.compiled >= 8 && Compiler.compiled <= 2 + 2 * 6 - 2, `${Compiler.compiled}`);
  assert.equal(Compiler.open, 0);
  // It fails before the engine asks for its form.
  await assert.rejects(engine.chat().ask('fail', { format: schema }), { code: 'nan' });
  assert.equal(Compiler.open, 0);
});

test('what cannot be kept is named by the field of the request, before the answer begins', async () => {
  const { engine, npm, ollama } = await open();
  await assert.rejects(engine.chat().ask('hi', { format: unkept }), (error) => error.code === 'invalid-argument' && error.message.includes(`\`format\` is a schema, which ${WORDS}`));
  for (const format of [3, 'xml', [], null]) await assert.rejects(engine.chat().ask('hi', { format }), (error) => /`format`/.test(error.message) && /schema/.test(error.remedy));
  const form = (schema) => ({ type: 'json_schema', json_schema: { name: 'n', schema } });
  for (const stream of [false, true]) {
    const asked = npm.chat.completions.create({ model: MODEL, messages: user('hi'), stream, response_format: form(unkept) });
    await assert.rejects(asked, ({ status, param, message }) => status === 400 && param === 'response_format' && message.includes(WORDS));
  }
  const response = npm.responses.create({ model: MODEL, input: 'hi', text: { format: { type: 'json_schema', name: 'n', schema: unkept } } });
  await assert.rejects(response, ({ status, param, message }) => status === 400 && param === 'text.format' && message.includes(WORDS));
  await assert.rejects(ollama.chat({ model: MODEL, messages: user('hi'), format: unkept }), ({ status_code, message }) => status_code === 400 && message.includes(`\`format\` ${WORDS}`));
  for (const wrong of [{ type: 'json_schema' }, { type: 'json_schema', json_schema: {} }, { type: 'grammar' }, 'json', form(3)]) {
    await assert.rejects(npm.chat.completions.create({ model: MODEL, messages: user('hi'), response_format: wrong }), ({ status, param }) => status === 400 && param === 'response_format');
  }
  for (const format of ['xml', '{', 3]) await assert.rejects(ollama.chat({ model: MODEL, messages: user('hi'), format }), ({ status_code }) => status_code === 400);
});

test('a compiler that cannot be had is asked for again; one that trapped is not', async () => {
  const { engine } = await open(1);
  await assert.rejects(engine.chat().ask('hi', { format: 'json' }), /it is not there/);
  assert.equal(JSON.parse(await engine.chat().ask('hi', { format: 'json' })).kept, 'json');
  for (const format of [{ trap: 1 }, schema]) {
    await assert.rejects(engine.chat().ask('hi', { format }), (error) => error.code === 'invalid-argument' && /again/.test(error.remedy));
  }
  assert.match(await engine.chat().ask('hi'), /answer/);
});

test('a call is forced, by all the forms of `tool_choice`', async () => {
  const { npm, own } = await open();
  const parameters = { type: 'object', properties: { a: { type: 'integer' } } };
  const tools = ['f', 'g'].map((name) => ({ type: 'function', function: { name, parameters } }));
  const flat = tools.map(({ type, function: inner }) => ({ type, ...inner, strict: false }));
  for (const client of [npm, own]) {
    const create = async (tool_choice, given = tools) => (await client.chat.completions.create({ model: MODEL, messages: user('hi'), tools: given, tool_choice })).choices[0];
    const required = await create('required');
    assert.deepEqual([required.message.tool_calls[0].function.name, required.finish_reason], ['f', 'tool_calls']);
    assert.equal((await create({ type: 'function', function: { name: 'g' } })).message.tool_calls[0].function.name, 'g');
    for (const free of ['auto', 'none']) assert.equal((await create(free)).message.tool_calls, undefined);
    const response = await client.responses.create({ model: MODEL, input: 'hi', tools: flat, tool_choice: { type: 'function', name: 'g' } });
    assert.deepEqual([response.output[0].name, response.tool_choice.name], ['g', 'g']);
    const unheld = [{ type: 'function', function: { name: 'f', parameters: unkept } }];
    await assert.rejects(create('required', unheld), ({ status, param, message }) => status === 400 && param === 'tool_choice' && message.includes('calls of `f` cannot be held'));
  }
  assert.deepEqual([Compiler.loaded, Compiler.open], [1, 0]);
});
