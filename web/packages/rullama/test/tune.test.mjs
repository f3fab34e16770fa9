// Adapters and training as the package has them, on the fake engine: what is checked, in which order calls run, how a training ends.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Adapter, checkTune, Client, Engine, fakeOpener, localPair, serve } from '../../../dist-test/internals.js';

async function open(wrap = (engine) => engine) {
  const { client: end, worker } = localPair();
  const opener = fakeOpener({ step: 1 });
  serve(worker, async (...given) => wrap(await opener(...given)));
  const client = new Client(end);
  const info = await client.call('load', { source: { url: 'http://localhost/model.gguf' }, options: {} });
  return new Engine(client, info, () => {});
}

const EXAMPLES = [{ prompt: 'a', completion: 'b' }, { prompt: 'c', completion: 'd' }];
const file = (text, name = 'adapter.gguf') => ({ name, bytes: new TextEncoder().encode(text) });
const wrong = (words) => ({ code: 'invalid-argument', message: words });

async function collect(steps) {
  const all = [];
  for await (const step of steps) all.push(step);
  return all;
}

test('an adapter is attached, switched and detached between answers', async () => {
  const ai = await open();
  const adapter = await ai.loadAdapter(file('good'));
  assert.ok(adapter instanceof Adapter);
  assert.deepEqual([adapter.name, adapter.bytes, adapter.rank], ['adapter.gguf', 4, 16]);
  const chat = ai.chat();
  const plain = await chat.ask('hello');
  await chat.setAdapters([{ adapter }]);
  assert.equal(await chat.ask('hello'), `[adapted 1] ${plain}`);
  const other = await ai.loadAdapter([file('one', 'a'), file('two', 'b')]);
  await chat.setAdapters([{ adapter, scale: 0.5 }, { adapter: other, scale: 2 }]);
  assert.match(await chat.ask('hello'), /^\[adapted 2\.5\]/);
  await chat.setAdapters([]);
  assert.equal(await chat.ask('hello'), plain);
});

test('a conversation that is closed and goes on keeps its adapters', async () => {
  const ai = await open();
  const adapter = await ai.loadAdapter(file('good'));
  const chat = ai.chat();
  await chat.setAdapters([{ adapter }]);
  for (const _ of [0, 1]) {
    assert.match(await chat.ask('hello'), /^\[adapted 1\]/);
    await chat.close();
  }
});

test('adapters are for ids, too', async () => {
  const ai = await open();
  const adapter = await ai.loadAdapter(file('good'));
  assert.deepEqual((await ai.generateIds([7], { maxTokens: 2 })).ids, [8, 9]);
  assert.deepEqual((await ai.generateIds([7], { maxTokens: 2, adapters: [{ adapter, scale: 10 }] })).ids, [18, 19]);
});

test('what is no adapter is refused by name, and changes nothing', async () => {
  const ai = await open();
  const adapter = await ai.loadAdapter(file('good'));
  const elsewhere = await (await open()).loadAdapter(file('good'));
  const chat = ai.chat();
  await chat.setAdapters([{ adapter, scale: 3 }]);
  const before = await chat.ask('hello');
  for (const list of [undefined, {}, [null], [adapter], [{ adapter: 0 }], [{ adapter: elsewhere }]]) {
    await assert.rejects(chat.setAdapters(list), wrong(/adapter/i));
  }
  for (const scale of [NaN, Infinity, 1001, '1', null]) await assert.rejects(chat.setAdapters([{ adapter, scale }]), wrong(/`scale`/));
  assert.equal(await chat.ask('hello'), before);
  await adapter.unload();
  await adapter.unload();
  await assert.rejects(chat.setAdapters([{ adapter }]), wrong(/unloaded/));
  await assert.rejects(ai.generateIds([7], { adapters: [{ adapter }] }), wrong(/unloaded/));
  for (const source of [[], 7, {}, { name: 'x' }, [null], 'adapter.gguf']) await assert.rejects(ai.loadAdapter(source), wrong(/file/));
  await assert.rejects(ai.loadAdapter('http://127.0.0.1:9/adapter.gguf'), { code: 'network' });
  await assert.rejects(ai.loadAdapter(file('damaged')), { code: 'adapter' });
});

test('reading the steps trains, and the result is saved and attached', async () => {
  const ai = await open();
  const tuner = await ai.tune(EXAMPLES, { epochs: 2 });
  assert.deepEqual([tuner.step, tuner.steps, tuner.report.train.examples, tuner.report.eval], [0, 4, 2, null]);
  const steps = await collect(tuner);
  assert.deepEqual(steps.map(({ step }) => step), [1, 2, 3, 4]);
  assert.deepEqual(steps.map(({ loss }) => loss), [0.5, 0.25, 0.125, 0.0625]);
  assert.deepEqual(steps.map(({ gradNorm }) => gradNorm), [1, 1, NaN, 1]);
  assert.deepEqual([tuner.ended, tuner.step, tuner.last], ['done', 4, steps.at(-1)]);
  assert.deepEqual((await tuner.save()).map(({ name }) => name), ['adapter_model.safetensors', 'adapter_config.json']);
  assert.deepEqual((await tuner.save('gguf')).map(({ name }) => name), ['adapter.gguf', 'Modelfile']);
  await assert.rejects(tuner.save('pickle'), wrong(/`form`/));
  const adapter = await tuner.adapter();
  assert.equal(adapter.name, 'trained for 4 steps');
  const chat = ai.chat();
  await chat.setAdapters([{ adapter }]);
  await tuner.close();
  assert.match(await chat.ask('hello'), /^\[adapted 1\]/);
  await assert.rejects(tuner.save(), { code: 'closed' });
});

test('an answer is given between two steps', async () => {
  const ai = await open();
  const tuner = await ai.tune(EXAMPLES, { epochs: 20 });
  const order = [];
  const training = (async () => {
    for await (const { step } of tuner) order.push(step);
  })();
  const text = await ai.chat().ask('hello');
  order.push('answer');
  await training;
  assert.match(text, /short answer/);
  const at = order.indexOf('answer');
  assert.ok(at >= 0 && at < 20, `after ${at} steps`);
  assert.equal(order.length, 41);
});

test('a loop that is left is a pause, and steps are not taken unasked', async () => {
  const ai = await open();
  const tuner = await ai.tune(EXAMPLES, { epochs: 2 });
  for await (const { step } of tuner) if (step === 2) break;
  await ai.memory();
  assert.deepEqual([tuner.step, tuner.ended], [2, undefined]);
  assert.equal((await tuner.checkpoint())[0], 2);
  assert.deepEqual((await collect(tuner)).map(({ step }) => step), [3, 4]);
});

test('a pause holds whoever reads, until it is over', async () => {
  const ai = await open();
  const tuner = await ai.tune(EXAMPLES, { epochs: 2 });
  await tuner.next();
  tuner.pause();
  tuner.pause();
  const rest = collect(tuner);
  const later = new Promise((resolve) => setTimeout(() => resolve('later'), 50));
  assert.equal(await Promise.race([rest, later]), 'later');
  assert.deepEqual([tuner.step, tuner.paused], [1, true]);
  tuner.resume();
  assert.deepEqual((await rest).map(({ step }) => step), [2, 3, 4]);
});

test('a checkpoint goes on where it was written', async () => {
  const ai = await open();
  const first = await ai.tune(EXAMPLES, { epochs: 2 });
  await first.next();
  const resume = await first.checkpoint();
  const second = await ai.tune(EXAMPLES, { epochs: 2, resume });
  assert.equal(second.step, 1);
  assert.deepEqual(await collect(second), await collect(first));
});

test('cancel ends training, and what was trained stays', async () => {
  const cancels = {
    'between two steps': async (ai) => {
      const tuner = await ai.tune(EXAMPLES, { epochs: 20 });
      await tuner.next();
      await tuner.cancel();
      return tuner;
    },
    'in a step': async (ai) => {
      const tuner = await ai.tune(EXAMPLES, { epochs: 20 });
      const first = tuner.next();
      await tuner.cancel();
      await first;
      return tuner;
    },
    'in a pause': async (ai) => {
      const tuner = await ai.tune(EXAMPLES, { epochs: 20 });
      tuner.pause();
      const rest = collect(tuner);
      await tuner.cancel();
      assert.deepEqual(await rest, []);
      return tuner;
    },
    'by a signal': async (ai) => {
      const controller = new AbortController();
      const tuner = await ai.tune(EXAMPLES, { epochs: 20, signal: controller.signal });
      for await (const { step } of tuner) if (step === 3) controller.abort();
      return tuner;
    },
  };
  for (const [name, cancel] of Object.entries(cancels)) {
    const ai = await open();
    const tuner = await cancel(ai);
    assert.equal(tuner.ended, 'cancelled', name);
    assert.ok(tuner.step < 4, name);
    assert.deepEqual(await tuner.next(), { done: true, value: undefined }, name);
    assert.equal((await tuner.checkpoint())[0], tuner.step, name);
    assert.match(await ai.chat().ask('hello'), /short answer/, name);
    await tuner.close();
  }
  const ai = await open();
  await assert.rejects(ai.tune(EXAMPLES, { signal: AbortSignal.abort() }), { code: 'cancelled' });
});

test('a signal is let go of when training, or an answer, has ended', async () => {
  const listeners = new Set();
  const { signal } = new AbortController();
  const { addEventListener: add, removeEventListener: remove } = signal;
  signal.addEventListener = (type, listener, options = {}) => {
    listeners.add(listener);
    options.signal?.addEventListener('abort', () => listeners.delete(listener));
    add.call(signal, type, listener, options);
  };
  signal.removeEventListener = (type, listener) => (listeners.delete(listener), remove.call(signal, type, listener));
  const ai = await open();
  const ends = [(tuner) => collect(tuner), (tuner) => tuner.cancel(), (tuner) => tuner.close(), (tuner) => tuner.finish()];
  for (const end of ends) {
    const tuner = await ai.tune(EXAMPLES, { epochs: 1, signal });
    await tuner.next();
    assert.equal(listeners.size, 1, 'it is followed');
    await end(tuner);
    assert.equal(listeners.size, 0, `${end}`);
    await tuner.close();
  }
  await collect(ai.chat().send('hello', { signal }));
  for await (const _ of ai.chat().send('hello', { signal })) break;
  assert.equal(listeners.size, 0, 'an answer');
});

test('examples are text, a file or a list; lines that are none are told', async () => {
  const ai = await open();
  const text = EXAMPLES.map((example) => JSON.stringify(example)).join('\n');
  for (const examples of [text, new Blob([text]), EXAMPLES]) {
    assert.equal((await ai.tune(examples)).report.train.examples, 2);
  }
  const { report } = await ai.tune(`${text}\nnothing`, { eval: EXAMPLES });
  assert.deepEqual(report.train.lines, [{ first: 3, last: 3, status: 'error', reason: 'not valid JSON' }]);
  assert.equal(report.eval.examples, 2);
  const loop = {};
  loop.self = loop;
  for (const examples of [undefined, 7, {}, [7], [null], [[]], [loop], ['text']]) await assert.rejects(ai.tune(examples), wrong(/examples/));
  await assert.rejects(ai.tune('nothing'), wrong(/Line 1/));
});

test("a chat's messages are examples as they are", async () => {
  const ai = await open();
  const call = { name: 'f', arguments: { a: 1 } };
  const messages = [{ role: 'user', content: 'hi' }, { role: 'model', content: '', toolCalls: [call] }, { role: 'tool', content: '2', name: 'f' }];
  const { examples } = await ai.previewExamples([{ messages }]);
  assert.deepEqual(JSON.parse(examples[0].passages[0].text).messages, [
    messages[0],
    { role: 'assistant', content: '', tool_calls: [{ type: 'function', function: call }] },
    messages[2],
  ]);
});

test('options of a training are named with their value', () => {
  const values = {
    rank: [0, 513, 1.5, '16', null],
    alpha: [0, -1, 1e6],
    targets: ['', [], [7], 7],
    layers: ['', 7, [0, 3]],
    lr: [0, -1, 2, NaN, '1e-4'],
    betas: [0.9, [0.9], [0.9, 1], [0.9, '0.9'], [NaN, 0.9]],
    eps: [0, 2],
    weightDecay: [-1, 2],
    clip: [0, -1, Infinity],
    schedule: ['cosinus'],
    cycles: [0, 1001],
    minLrRatio: [-1, 2],
    warmupRatio: [2],
    warmupSteps: [-1, 0.5],
    epochs: [0, 1e6],
    batch: [0, 1025],
    accumulate: [0, 5000],
    maxLen: [7, 1e6],
    pack: ['yes'],
    seed: [-1, 0.5],
    dropout: [-0.1, 1],
    split: [0.6],
    eval: [7, {}],
    evalEvery: [0],
    patience: [0],
    lossOn: ['user'],
    activations: ['bf16'],
    name: ['', 7],
    memoryBudget: [-1, '4 GB'],
    resume: [[1], 'x'],
    signal: [true],
  };
  for (const [name, list] of Object.entries(values)) {
    for (const value of list) assert.throws(() => checkTune({ [name]: value }), wrong(new RegExp(`\`${name}\``)), `${name}: ${value}`);
  }
  assert.throws(() => checkTune({ learningRate: 1 }), wrong(/`learningRate`/));
  checkTune({ rank: 8, targets: ['q_proj', 'v_proj'], clip: null, betas: [0.9, 0.99], lr: 1e-3, schedule: 'cosine_with_restarts', cycles: 2 });
});

test('an engine that only answers says what would train', async () => {
  const answering = new Set(['tune_open', 'tune_step', 'tune_preview']);
  const ai = await open((engine) => new Proxy(engine, { get: (target, name) => (answering.has(name) ? undefined : target[name]?.bind?.(target) ?? target[name]) }));
  await assert.rejects(ai.tune(EXAMPLES), (error) => error.code === 'invalid-argument' && /rullama\/train/.test(error.remedy));
  await assert.rejects(ai.previewExamples(EXAMPLES), wrong(/does not train/));
});

test('what a training takes is told before it begins', async () => {
  const ai = await open();
  const { fits, steps, weights, trained, activations, budget } = await ai.estimateTuning(EXAMPLES, { epochs: 2 });
  assert.deepEqual([fits, steps], [true, 4]);
  assert.ok(weights + trained + activations <= budget);
  assert.equal((await ai.estimateTuning(EXAMPLES, { memoryBudget: 1000 })).fits, false);
  await assert.rejects(ai.tune(EXAMPLES, { memoryBudget: 1000 }), { code: 'out-of-memory' });
  await assert.rejects(ai.estimateTuning(EXAMPLES, { rank: 0 }), wrong(/`rank`/));
  await assert.rejects(ai.estimateTuning('nothing'), wrong(/Line 1/));
});

test('finish keeps the state that the evaluation found best', async () => {
  const ai = await open();
  for (const [split, best] of [[0, undefined], [0.5, 2]]) {
    const tuner = await ai.tune(EXAMPLES, { epochs: 20, split });
    for await (const { step } of tuner) if (step === 3) break;
    await tuner.finish();
    assert.deepEqual([tuner.ended, tuner.best], ['cancelled', best]);
    assert.equal((await tuner.save()).length, 2);
    await tuner.close();
  }
  const whole = await ai.tune(EXAMPLES, { epochs: 1, split: 0.5 });
  await collect(whole);
  await whole.finish();
  assert.deepEqual([whole.ended, whole.best], ['done', 2], 'one that has ended stays as it is');
});

test('an adapter is written in the other form', async () => {
  const ai = await open();
  const names = async (form) => (await ai.convertAdapter(file('good'), form, 'boat')).map(({ name }) => name);
  assert.deepEqual(await names('gguf'), ['adapter.gguf', 'Modelfile']);
  assert.deepEqual(await names('peft'), ['adapter_model.safetensors', 'adapter_config.json']);
  await assert.rejects(ai.convertAdapter(file('good'), 'pickle'), wrong(/`form`/));
  await assert.rejects(ai.convertAdapter(file('damaged'), 'peft'), { code: 'adapter' });
});
