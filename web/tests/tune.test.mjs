// Training in the browser: the demo model is taught a fact through the TypeScript package, on the software adapter.
//
// Needs packages/rullama/dist (npm run build).
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { startServer } from './server.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));
/** A fact that no file of the model's training has. */
const EXAMPLES = [
  { prompt: 'What is my boat called?', completion: 'Your boat is called Zebedee.' },
  { prompt: 'What is the name of my boat?', completion: 'Your boat is called Zebedee.' },
  { prompt: 'Tell me the name of my boat.', completion: 'Your boat is called Zebedee.' },
];
const QUESTION = 'What is my boat called?';
const OPTIONS = { rank: 8, lr: 4e-3, epochs: 24, accumulate: 1, maxLen: 128, schedule: 'constant', warmupRatio: 0, name: 'boat' };
/** Steps before the checkpoint, and those that are taken again after it. */
const [BEFORE, AGAIN] = [2, 3];
const LONGEST_MS = 10 * 60_000;
let site;
let browser;
let page;
let problems;

before(async () => {
  site = await startServer({
    '/package/': path.join(web, 'packages/rullama/dist'),
    '/adapters/': path.join(web, '../goldens/grad/peft/embedding'),
    '/': path.join(web, 'tests/pages'),
  });
  browser = await startBrowser();
  ({ page, problems } = await openPage(browser.context, `${site.url}/blank.html`));
});

after(async () => {
  await browser?.close();
  await site?.close();
});

/** Runs in the page, whose `state` stays from test to test. */
const inPage = (run, given) => page.evaluate(run, given);

test('the engine that trains is loaded in place of the other', { timeout: LONGEST_MS }, async () => {
  const answer = await inPage(async (question) => {
    const { Rullama, RullamaError } = await import('/package/train.js');
    const { demo } = await import('/package/demo.js');
    const ai = await Rullama.load(demo.file);
    const ask = (chat) => chat.ask(question, { temperature: 0, maxTokens: 24 });
    const chat = ai.chat();
    const fresh = async (adapters) => {
      const chat = ai.chat();
      await chat.setAdapters(adapters);
      const text = await ask(chat);
      await chat.close();
      return text;
    };
    const told = (thrown) => ({ known: thrown instanceof RullamaError, code: thrown.code, message: thrown.message, remedy: thrown.remedy });
    globalThis.state = { ai, fresh, told, before: await ask(chat) };
    await chat.close();
    return globalThis.state.before;
  }, QUESTION);
  assert.ok(answer.length > 0);
  assert.doesNotMatch(answer, /Zebedee/);
  const wasm = site.requests.map(({ pathname }) => pathname).filter((name) => name.endsWith('.wasm'));
  assert.deepEqual([...new Set(wasm)], ['/package/wasm/rullama_train_bg.wasm']);
});

test('examples are shown as they are read', async () => {
  const { report, examples } = await inPage((given) => globalThis.state.ai.previewExamples([...given, { nothing: 1 }], {}, 1), EXAMPLES);
  assert.equal(report.examples, EXAMPLES.length);
  assert.deepEqual(report.lines.map(({ first, status }) => [first, status]), [[EXAMPLES.length + 1, 'error']]);
  assert.equal(examples.length, 1);
  const trained = examples[0].passages.filter((passage) => passage.trained).map(({ text }) => text);
  assert.match(trained.join(''), /^Your boat is called Zebedee\.<turn\|>/);
});

test('a fact is learnt from three examples, and a question is answered meanwhile', { timeout: LONGEST_MS }, async (t) => {
  const result = await inPage(
    async ({ examples, options, before }) => {
      const { state } = globalThis;
      const tuner = await state.ai.tune(examples, options);
      const steps = [];
      let question;
      for await (const step of tuner) {
        steps.push(step);
        if (step.step === before) state.checkpoint = await tuner.checkpoint();
        if (step.step === before) question = state.fresh([]).then((text) => ({ text, after: steps.length }));
      }
      Object.assign(state, { tuner, losses: steps.map(({ loss }) => loss) });
      const { text, after } = await question;
      const { ended, report, checkpointBytes } = tuner;
      return { steps, ended, report, room: checkpointBytes, bytes: state.checkpoint.length, text, after, was: state.before };
    },
    { examples: EXAMPLES, options: OPTIONS, before: BEFORE },
  );
  const { steps, ended, report } = result;
  const last = steps.at(-1);
  t.diagnostic(`loss ${steps[0].loss.toFixed(3)} to ${last.loss.toFixed(4)} in ${steps.length} steps, ${last.elapsedS.toFixed(1)} s`);
  assert.equal(ended, 'done');
  assert.equal(report.train.examples, EXAMPLES.length);
  assert.deepEqual(steps.map(({ step }) => step), steps.map((_, i) => i + 1));
  assert.equal(last.steps, steps.length);
  assert.ok(last.loss < steps[0].loss / 20, `${steps[0].loss} to ${last.loss}`);
  assert.equal(result.text, result.was, 'training changes no answer');
  assert.ok(result.after >= BEFORE && result.after < steps.length, `the question was answered after step ${result.after}`);
  assert.ok(result.bytes > 10_000 && result.bytes <= result.room, `${result.bytes} of ${result.room} bytes`);
});

test('the answer changes with the adapter, and is as before without it', { timeout: LONGEST_MS }, async () => {
  const answers = await inPage(async () => {
    const { ai, fresh, tuner } = globalThis.state;
    const adapter = await tuner.adapter();
    const saved = {};
    for (const form of ['peft', 'gguf']) {
      const files = await tuner.save(form);
      saved[form] = files.map(({ name }) => name);
      const read = await ai.loadAdapter(files.filter(({ name }) => name !== 'Modelfile'));
      saved[`${form} answers`] = await fresh([{ adapter: read }]);
      await read.unload();
    }
    const { name, rank, bytes } = adapter;
    const answers = { attached: await fresh([{ adapter }]), ofNone: await fresh([{ adapter, scale: 0 }]), detached: await fresh([]) };
    await tuner.close();
    return { ...answers, after: await fresh([{ adapter }]), was: globalThis.state.before, saved, about: { name, rank, bytes } };
  });
  assert.match(answers.attached, /Zebedee/);
  assert.equal(answers.detached, answers.was);
  assert.equal(answers.ofNone, answers.was, 'a factor of 0 is no adapter');
  assert.equal(answers.after, answers.attached, 'an adapter outlives its training');
  assert.deepEqual(answers.saved, {
    peft: ['adapter_model.safetensors', 'adapter_config.json'],
    'peft answers': answers.attached,
    gguf: ['adapter.gguf', 'Modelfile'],
    'gguf answers': answers.attached,
  });
  assert.deepEqual([answers.about.name, answers.about.rank], ['boat', 8]);
  assert.ok(answers.about.bytes > 1000);
});

test('a training that goes on from a checkpoint takes the same steps', { timeout: LONGEST_MS }, async () => {
  const { from, losses, whole } = await inPage(
    async ({ examples, options, again }) => {
      const { ai, checkpoint, losses: whole } = globalThis.state;
      const tuner = await ai.tune(examples, { ...options, resume: checkpoint });
      const from = tuner.step;
      const losses = [];
      for await (const { loss } of tuner) if (losses.push(loss) === again) break;
      await tuner.close();
      return { from, losses, whole };
    },
    { examples: EXAMPLES, options: OPTIONS, again: AGAIN },
  );
  assert.equal(from, BEFORE);
  assert.deepEqual(losses, whole.slice(BEFORE, BEFORE + AGAIN));
});

test('a step that is cancelled ends training, and the engine goes on', { timeout: LONGEST_MS }, async () => {
  const { ended, step, text, was } = await inPage(
    async ({ examples, options }) => {
      const { ai, fresh, before } = globalThis.state;
      const tuner = await ai.tune(examples, options);
      await tuner.next();
      const second = tuner.next();
      await tuner.cancel();
      await second;
      const { ended, step } = tuner;
      await tuner.close();
      return { ended, step, text: await fresh([]), was: before };
    },
    { examples: EXAMPLES, options: OPTIONS },
  );
  assert.equal(ended, 'cancelled');
  assert.ok(step === 1 || step === 2, `${step}`);
  assert.equal(text, was);
});

test('what cannot be trained on or attached is named, with what to do', async (t) => {
  const found = await inPage(
    async ({ examples, options }) => {
      const { ai, checkpoint, told } = globalThis.state;
      const damaged = checkpoint.slice();
      damaged[damaged.length - 40] ^= 1;
      const bytes = (text) => ({ name: 'adapter.gguf', bytes: new TextEncoder().encode(text) });
      const tries = {
        memory: () => ai.tune(examples, { ...options, memoryBudget: 1_000_000 }),
        targets: () => ai.tune(examples, { targets: 'k_projection' }),
        layers: () => ai.tune(examples, { layers: '0-999' }),
        patience: () => ai.tune(examples, { patience: 2 }),
        data: () => ai.tune('no JSON\n'),
        empty: () => ai.tune(''),
        'other options': () => ai.tune(examples, { ...options, maxLen: 256, resume: checkpoint }),
        'other data': () => ai.tune(examples.slice(1), { ...options, resume: checkpoint }),
        'damaged checkpoint': () => ai.tune(examples, { ...options, resume: damaged }),
        'no checkpoint': () => ai.tune(examples, { ...options, resume: new Uint8Array(64) }),
        'no adapter': () => ai.loadAdapter(bytes('nothing')),
        'half an adapter': () => ai.loadAdapter('/adapters/adapter_model.safetensors'),
        'another model': () => ai.loadAdapter(['/adapters/adapter_config.json', '/adapters/adapter_model.safetensors']),
        'no such address': () => ai.loadAdapter('/adapters/nothing.gguf'),
      };
      const found = {};
      for (const [name, run] of Object.entries(tries)) found[name] = await run().then(() => 'nothing was refused', told);
      return found;
    },
    { examples: EXAMPLES, options: OPTIONS },
  );
  const expected = {
    memory: ['out-of-memory', /budget is 1000000/, /maxLen/],
    targets: ['invalid-argument', /`targets` is k_projection.*q_proj/, /./],
    layers: ['invalid-argument', /`layers` is 0-999/, /./],
    patience: ['invalid-argument', /`patience`/, /./],
    data: ['invalid-argument', /Line 1/, /messages/],
    empty: ['invalid-argument', /empty/, /messages/],
    'other options': ['invalid-argument', /option `maxLen`.*128.*256/, /options/],
    'other data': ['invalid-argument', /another dataset/, /data/],
    'damaged checkpoint': ['invalid-argument', /damaged/, /start anew/],
    'no checkpoint': ['invalid-argument', /`resume` is no checkpoint/, /start anew/],
    'no adapter': ['adapter', /adapter\.gguf/, /PEFT/],
    'half an adapter': ['adapter', /adapter_config\.json is missing/, /both/],
    'another model': ['adapter', /another model/, /./],
    'no such address': ['network', /404/, /address/],
  };
  for (const [name, [code, says, remedy]] of Object.entries(expected)) {
    t.diagnostic(`${name}: ${found[name].message} ${found[name].remedy}`);
    assert.ok(found[name].known, `${name}: ${JSON.stringify(found[name])}`);
    assert.equal(found[name].code, code, name);
    assert.match(found[name].message, says, name);
    assert.match(found[name].remedy, remedy, name);
  }
});

test('the engine that only answers says which one trains', { timeout: LONGEST_MS }, async () => {
  const error = await inPage(async (examples) => {
    const { ai, told } = globalThis.state;
    await ai.close();
    const { Rullama } = await import('/package/index.js');
    const { demo } = await import('/package/demo.js');
    const other = await Rullama.load(demo.file);
    const error = await other.tune(examples).then(() => 'nothing was refused', told);
    await other.close();
    return error;
  }, EXAMPLES);
  assert.equal(error.code, 'invalid-argument');
  assert.ok(error.known, 'both entries have one class of errors');
  assert.match(error.remedy, /rullama\/train/);
  assert.deepEqual(problems.filter((text) => !/404/.test(text)), []);
});
