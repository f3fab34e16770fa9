// `/v1/responses` and media in requests, on the fake engine, by npm's `openai`, unmodified, and the package's own client.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { apiHandler, Client, clientFetch, Engine, fakeOpener, localPair, openaiClient, serve } from '../../../dist-test/internals.js';

const MODEL = 'toy';
const tool = { type: 'function', name: 'multiply', description: 'Multiplies', parameters: { type: 'object', properties: {} }, strict: false };

async function clients() {
  const { client: end, worker } = localPair();
  serve(worker, fakeOpener({ step: 1 }));
  const client = new Client(end);
  const engine = new Engine(client, await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} }), () => {});
  const handler = apiHandler(engine, { model: MODEL });
  const npm = new OpenAI({ baseURL: 'http://page/v1', apiKey: 'none', fetch: clientFetch(handler), maxRetries: 0 });
  return { npm, own: openaiClient(engine, { model: MODEL }), handler };
}

test('responses: a text, a conversation with a tool, thoughts, limits', async () => {
  const { npm, own } = await clients();
  for (const client of [npm, own]) {
    const whole = await client.responses.create({ model: MODEL, input: 'say\nHello there.', instructions: 'Be brief.', temperature: 0 });
    assert.deepEqual([whole.output_text, whole.status, whole.instructions, whole.previous_response_id], ['Hello there.', 'completed', 'Be brief.', null]);
    assert.ok(whole.usage.input_tokens > 0 && whole.usage.total_tokens > whole.usage.input_tokens);
    const asked = [{ role: 'user', content: [{ type: 'input_text', text: '6 times 7' }] }];
    const { output: [call] } = await client.responses.create({ model: MODEL, input: asked, tools: [tool] });
    assert.deepEqual([call.type, call.name, JSON.parse(call.arguments)], ['function_call', 'multiply', { a: 6, b: 7 }]);
    const result = { type: 'function_call_output', call_id: call.call_id, output: '42' };
    const next = await client.responses.create({ model: MODEL, input: [...asked, call, result, { role: 'user', content: 'say\n42.' }], tools: [tool] });
    assert.equal(next.output_text, '42.');
    const short = await client.responses.create({ model: MODEL, input: 'long', max_output_tokens: 3 });
    assert.deepEqual([short.status, short.incomplete_details], ['incomplete', { reason: 'max_output_tokens' }]);
    const thought = await client.responses.create({ model: MODEL, input: 'hi', reasoning: { effort: 'low' } });
    assert.deepEqual(thought.output.map(({ type }) => type), ['reasoning', 'message']);
    const logged = await client.responses.create({ model: MODEL, input: 'say\nHi', top_logprobs: 1 });
    assert.equal(logged.output[0].content[0].logprobs[0].token, 'hi');
  }
});

test('responses: the events add up to the response, numbered without a gap', async () => {
  const { npm, own } = await clients();
  for (const client of [npm, own]) {
    for (const request of [{ input: 'hi', reasoning: { effort: 'low' } }, { input: '6 times 7', tools: [tool] }]) {
      const events = [];
      for await (const event of await client.responses.create({ model: MODEL, stream: true, ...request })) events.push(event);
      assert.deepEqual(events.map(({ sequence_number }) => sequence_number), events.map((_, i) => i));
      assert.deepEqual([events[0].type, events[1].type, events.at(-1).type], ['response.created', 'response.in_progress', 'response.completed']);
      const { output, output_text } = events.at(-1).response;
      if (client === own) assert.equal(output_text, output.flatMap(({ content = [], type }) => (type === 'message' ? content : [])).map(({ text }) => text).join(''));
      assert.deepEqual(events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item), output);
      const told = (type) => events.filter((event) => event.type === type).map(({ delta }) => delta).join('');
      for (const item of output) {
        if (item.type === 'function_call') assert.equal(told('response.function_call_arguments.delta'), item.arguments);
        else assert.equal(told(item.type === 'message' ? 'response.output_text.delta' : 'response.reasoning_text.delta'), item.content[0].text);
      }
    }
  }
  // npm's own assembly of the events.
  const stream = npm.responses.stream({ model: MODEL, input: 'say\nHello there.' });
  assert.equal((await stream.finalResponse()).output_text, 'Hello there.');
  await assert.rejects(async () => {
    for (let i = 0; i < 2; i++) for await (const { type, response } of await own.responses.create({ input: 'flaky', stream: true })) if (type === 'response.failed') throw response.error;
  }, (error) => error.code === 'server_error' && /not a number/.test(error.message));
});

test('responses: what cannot be had is named', async () => {
  const { npm } = await clients();
  const item = (item) => ({ input: [item] });
  for (const [change, field] of [
    [{ previous_response_id: 'resp_1' }, 'previous_response_id'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ prompt: { id: 'p' } }, 'prompt'],
    [{ background: true }, 'background'],
    [{ truncation: 'some' }, 'truncation'],
    [{ top_logprobs: 21 }, 'top_logprobs'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type'],
    [{ reasoning: { effort: 'huge' } }, 'reasoning.effort'],
    [{ input: [] }, 'input'],
    [{ input: 3 }, 'input'],
    [{ input: undefined }, 'input'],
    [item(3), 'input[0]'],
    [item({ content: 'x' }), 'input[0]'],
    [item({ type: 'item_reference', id: 'x' }), 'input[0].type'],
    [item({ type: 'function_call', call_id: 'a', name: 'f', arguments: '{' }), 'input[0].arguments'],
    [item({ type: 'function_call', call_id: 'a', name: 'f', arguments: '[]' }), 'input[0].arguments'],
    [item({ type: 'function_call', call_id: 'a' }), 'input[0]'],
    [item({ type: 'function_call_output', call_id: 'a', output: [3] }), 'input[0].output'],
    [item({ role: 'user', content: [{ type: 'input_image', image_url: 'https://example.org/x.png' }] }), 'input[0].content'],
  ]) {
    const asked = npm.responses.create({ model: MODEL, input: 'a', ...change });
    await assert.rejects(asked, ({ status, param }) => (assert.deepEqual([status, param], [400, field], JSON.stringify(change)), true));
  }
});

test('pictures and sounds of requests: what is none is named, and nothing is fetched', async () => {
  const { handler } = await clients();
  const ask = async (path, body) => {
    const response = await handler(new Request(`http://page${path}`, { method: 'POST', body: JSON.stringify({ model: MODEL, ...body }) }));
    const { error } = await response.json();
    return [response.status, error.message ?? error];
  };
  const part = (part) => ['/v1/chat/completions', { messages: [{ role: 'user', content: [{ type: 'text', text: 'x' }, part] }] }];
  const url = (url) => part({ type: 'image_url', image_url: { url } });
  for (const [[path, body], field, words] of [
    [url('https://example.org/x.png'), 'messages[0].content', 'cannot be used: `messages` is https://example.org/x.png, which is not fetched: give the data itself, as base64 or in a data URL.'],
    [url('data:image/png,abc'), 'messages[0].content', 'which is not of base64'],
    [url('data:image/png;base64,&&'), 'messages[0].content', 'is no base64'],
    [url(''), 'messages[0].content', 'has no data: give it as base64'],
    [part({ type: 'file' }), 'messages[0].content', 'cannot be read: a part of the content is of type `file`'],
    [part({ type: 'image_url' }), 'messages[0].content', 'has no data'],
    [part({ type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } }), 'messages[0].content', 'samples'],
    [part({ type: 'video_url', video_url: { url: 'AAAA' } }), 'messages[0].content', 'give its frames as pictures'],
    [['/api/chat', { messages: [{ role: 'user', content: 'x', images: ['http://example.org/x.png'] }] }], 'messages[0].images', 'is not fetched'],
    [['/api/generate', { prompt: 'x', images: ['not base64!'] }], 'images', 'is no base64'],
  ]) {
    const [status, message] = await ask(path, body);
    assert.equal(status, 400, message);
    assert.ok(message.startsWith(`\`${field}\` `) && message.includes(words), `${field}, ${words}: ${message}`);
  }
});
