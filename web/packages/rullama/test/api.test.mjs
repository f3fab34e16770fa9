// The APIs in a page, on the fake engine: npm's `ollama` and `openai`, unmodified, over a handler in place of a server, and the client
// of the package beside them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { apiHandler, Client, clientFetch, Engine, fakeOpener, localPair, openaiClient, OpenAIError, serve } from '../../../dist-test/internals.js';

const MODEL = 'toy';
const user = (content) => [{ role: 'user', content }];
const tool = { type: 'function', function: { name: 'multiply', description: 'Multiplies', parameters: { type: 'object', properties: {} } } };

async function engine(step = 1, about = {}) {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step }));
  const client = new Client(end);
  const info = await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} });
  return new Engine(client, { ...info, ...about }, () => {});
}

async function page(options = {}) {
  const handler = apiHandler(await engine(options.step, options.about), { model: MODEL, ...options });
  const fetch = clientFetch(handler);
  const openai = new OpenAI({ baseURL: 'http://page/v1', apiKey: 'none', fetch, maxRetries: 0 });
  const ask = (path, body) => handler(new Request(`http://page${path}`, { method: body === undefined ? 'GET' : 'POST', body }));
  return { handler, openai, ollama: new Ollama({ host: 'http://page', fetch }), ask };
}

test('the client of the package answers as npm\'s does', async () => {
  const { openai } = await page();
  const own = openaiClient(await engine(), { model: MODEL });
  for (const client of [openai, own]) {
    const request = { model: MODEL, messages: user('say\nHello there.') };
    const whole = await client.chat.completions.create(request);
    assert.equal(whole.choices[0].message.content, 'Hello there.');
    assert.equal(whole.choices[0].finish_reason, 'stop');
    let [text, usage] = ['', undefined];
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } })) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, 'Hello there.');
    assert.deepEqual(usage, whole.usage);
    const called = await client.chat.completions.create({ model: MODEL, messages: user('6 times 7'), tools: [tool] });
    assert.equal(called.choices[0].finish_reason, 'tool_calls');
    assert.equal(called.choices[0].message.content, null);
    const [call] = called.choices[0].message.tool_calls;
    assert.deepEqual([call.type, call.function.name, JSON.parse(call.function.arguments)], ['function', 'multiply', { a: 6, b: 7 }]);
    const short = await client.chat.completions.create({ model: MODEL, messages: user('long'), max_tokens: 3 });
    assert.equal(short.choices[0].finish_reason, 'length');
    assert.equal((await client.completions.create({ model: MODEL, prompt: 'say\nAbc.' })).choices[0].text, 'Abc.');
    const models = [];
    for await (const model of client.models.list()) models.push(model.id);
    assert.deepEqual(models, [MODEL]);
    assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
    assert.deepEqual((await client.models.list()).data.map(({ id }) => id), [MODEL]);
    const logged = await client.chat.completions.create({ model: MODEL, messages: user('say\nHi'), logprobs: true });
    assert.equal(logged.choices[0].logprobs.content[0].token, 'hi');
  }
  assert.equal((await own.chat.completions.create({ messages: user('say\nNo name.') })).choices[0].message.content, 'No name.');
});

test('errors have their status, field and code, in both clients', async () => {
  const { openai } = await page();
  const own = openaiClient(await engine(), { model: MODEL });
  const cases = [
    [{ model: 'other' }, 404, 'model', 'model_not_found'],
    [{ n: 2 }, 400, 'n', null],
    [{ temperature: -1 }, 400, 'temperature', null],
    [{ top_p: 'much' }, 400, 'top_p', null],
    [{ messages: [] }, 400, 'messages', null],
    [{ messages: [3] }, 400, 'messages[0]', null],
    [{ response_format: { type: 'json_object' } }, 400, 'response_format', null],
    [{ tool_choice: 'required' }, 400, 'tool_choice', null],
    [{ tool_choice: 'some', tools: [tool] }, 400, 'tool_choice', null],
    [{ tool_choice: { type: 'function', function: { name: 'other' } }, tools: [tool] }, 400, 'tool_choice', null],
    [{ tools: [{ type: 'web_search' }] }, 400, 'tools[0].type', null],
    [{ logit_bias: { x: 1 } }, 400, 'logit_bias', null],
    [{ top_logprobs: 3 }, 400, 'top_logprobs', null],
    [{ max_tokens: 0 }, 400, 'max_tokens', null],
    [{ stop: [1] }, 400, 'stop', null],
    [{ messages: user('x'.repeat(9000)) }, 400, null, 'context_length_exceeded'],
    [{ messages: user('fail') }, 500, null, null],
  ];
  for (const [change, status, param, code] of cases) {
    for (const client of [openai, own]) {
      const request = client.chat.completions.create({ model: MODEL, messages: user('x'), ...change });
      await assert.rejects(request, (error) => {
        assert.deepEqual([error.status, error.param ?? null, error.code ?? null], [status, param, code], JSON.stringify(change));
        assert.ok(client === own ? error instanceof OpenAIError : error instanceof OpenAI.APIError);
        assert.equal(error.name === 'Error' ? error.constructor.name : error.name, { 400: 'BadRequestError', 404: 'NotFoundError', 500: 'InternalServerError' }[status]);
        return true;
      });
    }
  }
  await assert.rejects(own.embeddings.create({ input: 'a' }), (error) => error.status === 400 && /EmbeddingGemma/.test(error.message));
});

test('a stream that is left stops, and one that fails says so', async () => {
  const { openai } = await page({ step: 5 });
  const own = openaiClient(await engine(5), { model: MODEL });
  for (const client of [openai, own]) {
    const stream = await client.chat.completions.create({ model: MODEL, messages: user('long'), stream: true });
    let count = 0;
    for await (const _ of stream) if (++count === 4) stream.controller.abort();
    assert.ok(count < 40, `${count} chunks`);
    for await (const _ of await client.chat.completions.create({ model: MODEL, messages: user('long'), stream: true })) break;
    // The engine is free again at once.
    const text = (await client.chat.completions.create({ model: MODEL, messages: user('say\nFree.') })).choices[0].message.content;
    assert.equal(text, 'Free.');
    const control = new AbortController();
    const asked = client.chat.completions.create({ model: MODEL, messages: user('long') }, { signal: control.signal });
    setTimeout(() => control.abort(), 30);
    await assert.rejects(asked, (error) => error.name === 'APIUserAbortError' || error.constructor.name === 'APIUserAbortError');
    await assert.rejects(async () => {
      for await (const _ of await client.chat.completions.create({ model: MODEL, messages: user('flaky'), stream: true }));
      for await (const _ of await client.chat.completions.create({ model: MODEL, messages: user('flaky'), stream: true }));
    }, (error) => /not a number/.test(error.message));
  }
});

test('ollama: chat, generate, lists, tools, thoughts', async () => {
  const { ollama } = await page();
  const whole = await ollama.chat({ model: MODEL, messages: user('say\nHello there.') });
  assert.deepEqual([whole.message.content, whole.done, whole.done_reason], ['Hello there.', true, 'stop']);
  let text = '';
  for await (const part of await ollama.chat({ model: MODEL, messages: user('say\nHello there.'), stream: true })) text += part.message.content;
  assert.equal(text, 'Hello there.');
  const generated = await ollama.generate({ model: MODEL, prompt: 'say\nAbc.' });
  assert.equal(generated.response, 'Abc.');
  assert.ok(generated.context.length > 1);
  assert.equal((await ollama.generate({ model: MODEL, prompt: '' })).done_reason, 'load');
  const { message } = await ollama.chat({ model: MODEL, messages: user('6 times 7'), tools: [tool] });
  assert.deepEqual(message.tool_calls.map((call) => call.function.arguments), [{ a: 6, b: 7 }]);
  assert.match((await ollama.chat({ model: `${MODEL}:latest`, messages: user('hi'), think: true })).message.thinking, /Let me see/);
  assert.deepEqual((await ollama.list()).models.map(({ name }) => name), [MODEL]);
  assert.deepEqual((await ollama.ps()).models.map(({ name }) => name), [MODEL]);
  assert.equal((await ollama.show({ model: MODEL })).details.format, 'gguf');
  assert.ok((await ollama.version()).version);
  for (const [asked, status, part] of [
    [ollama.chat({ model: 'none', messages: user('x') }), 404, /none.*toy/],
    [ollama.chat({ model: MODEL, messages: user('x'), format: 'json' }), 400, /format/],
    [ollama.chat({ model: MODEL, messages: user('x'), options: { temperature: 'hot' } }), 400, /options\.temperature/],
    [ollama.chat({ model: MODEL, messages: user('x'), keep_alive: 'soon' }), 400, /keep_alive/],
    [ollama.generate({ model: MODEL, prompt: 'x', suffix: 'y' }), 400, /suffix/],
    [ollama.embed({ model: MODEL, input: 'x' }), 400, /EmbeddingGemma/],
    [ollama.pull({ model: MODEL }), 501, /page/],
  ]) {
    await assert.rejects(asked, (error) => error.status_code === status && part.test(error.message));
  }
});

test('bodies that are none, too deep or too large; addresses that are none', async () => {
  const { ask } = await page();
  for (const [path, body, status, part] of [
    ['/api/chat', '{"model": ', 400, 'not JSON'],
    ['/api/chat', ' ', 400, 'no body'],
    ['/v1/chat/completions', '[]', 400, 'object'],
    ['/v1/chat/completions', '['.repeat(100_000), 400, 'recursion'],
    ['/v1/chat/completions', `"${'x'.repeat(33 << 20)}"`, 413, 'MiB'],
    ['/v1/nothing', '{}', 404, '/v1/nothing'],
    ['/v1/models/none', undefined, 404, 'none'],
    ['/api/toString', undefined, 404, 'toString'],
  ]) {
    const response = await ask(path, body);
    const { error } = await response.json();
    assert.equal(response.status, status, path);
    assert.ok((path.startsWith('/v1') ? error.message : error).includes(part), JSON.stringify(error));
  }
});

test('as many requests wait as may, the next is told when to come again', async () => {
  const { ask } = await page({ maxQueue: 1, step: 5 });
  const request = JSON.stringify({ model: MODEL, messages: user('long'), max_tokens: 10 });
  const answers = await Promise.all([1, 2, 3].map(() => ask('/v1/chat/completions', request)));
  assert.deepEqual(answers.map(({ status }) => status), [200, 200, 503]);
  assert.equal(answers[2].headers.get('Retry-After'), '5');
  assert.equal((await answers[2].json()).error.code, 'server_overloaded');
  assert.equal((await ask('/v1/chat/completions', request)).status, 200);
});

test('embeddings, in the forms of all three clients', async () => {
  const about = { embedding: [2] };
  const { openai, ollama, ask } = await page({ about });
  const own = openaiClient(await engine(1, about), { model: MODEL });
  // The fake engine's vector of a text is its length and 1; npm's client asks for base64 by itself.
  for (const client of [openai, own]) {
    const found = await client.embeddings.create({ model: MODEL, input: ['one', 'three'] });
    assert.deepEqual(found.data.map(({ embedding, index }) => [Array.from(embedding), index]), [[[3, 1], 0], [[5, 1], 1]]);
    assert.deepEqual(found.usage, { prompt_tokens: 8, total_tokens: 8 });
  }
  const base64 = await (await ask('/v1/embeddings', JSON.stringify({ model: MODEL, input: 'x', encoding_format: 'base64' }))).json();
  assert.equal(base64.data[0].embedding, 'AACAPwAAgD8=');
  const { embeddings, prompt_eval_count } = await ollama.embed({ model: MODEL, input: ['one', 'three'] });
  assert.deepEqual([embeddings, prompt_eval_count], [[[3, 1], [5, 1]], 8]);
  assert.deepEqual((await ollama.embeddings({ model: MODEL, prompt: 'one' })).embedding, [3, 1]);
  assert.deepEqual((await ollama.embed({ model: MODEL, input: '' })).embeddings, []);
  for (const [change, param] of [[{ input: [1, 2] }, 'input[0]'], [{ input: ['a', ''] }, 'input'], [{ input: 'a', dimensions: 0 }, 'dimensions'], [{ input: 'a', prompt_name: 'poem' }, 'prompt_name']]) {
    await assert.rejects(own.embeddings.create({ model: MODEL, ...change }), (error) => error.status === 400 && error.param === param);
  }
  // Such a model answers nothing.
  await assert.rejects(own.chat.completions.create({ messages: user('x') }), (error) => error.param === 'model' && /embeddings/.test(error.message));
});
