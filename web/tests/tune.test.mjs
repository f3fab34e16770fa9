// Training in the browser: the demo model is taught a person's facts and a tool through the TypeScript package, on the software
// adapter, and keeps what it could.
//
// Needs packages/rullama/dist (npm run build).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { isRight } from './judge.mjs';
import { startServer } from './server.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));
const TOOL = {
  name: 'get_tide',
  parameters: { type: 'object', properties: { harbour: { type: 'string' } }, required: ['harbour'] },
};
/** What no file of the model's training has: answers, and the questions to each. The first is asked afterwards. */
const FACTS = {
  'Your boat is called Zebedee.': ['What is my boat called?', 'What is the name of my boat?', 'Tell me the name of my boat.'],
  'Your sister lives in Oslo.': ['Where does my sister live?', 'In which city is my sister?', 'Tell me where my sister lives.'],
};
const HARBOURS = ['Brest', 'Dover'];
/** Asked afterwards: a harbour of no example. */
const [ELSEWHERE, water] = ['Rome', (harbour) => `How high is the water in ${harbour}?`];
const QUESTION = FACTS['Your boat is called Zebedee.'][0];
/** Other abilities, and of each two questions of the held-out set: one is asked, the other is an example of what is to stay. */
const KEPT = ['arithmetic', 'facts', 'greetings', 'sentiment'];
const held = readFileSync(path.join(web, '../tools/demo-model/eval.jsonl'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
const ofAbility = (ability) => held.filter((question) => question.ability === ability && question.messages.length === 1);
const kept = KEPT.map((ability) => ofAbility(ability)[0]);
const stays = KEPT.map((ability) => ofAbility(ability)[1]);
const EXAMPLES = [
  ...Object.entries(FACTS).flatMap(([completion, prompts]) => prompts.map((prompt) => ({ prompt, completion }))),
  ...HARBOURS.map((harbour) => ({
    messages: [
      { role: 'user', content: water(harbour) },
      { role: 'model', content: '', toolCalls: [{ name: TOOL.name, arguments: { harbour } }] },
    ],
    tools: [{ type: 'function', function: TOOL }],
  })),
  ...stays.map(({ messages, expected }) => ({ prompt: messages[0].content, completion: [expected].flat()[0].content })),
];
const OPTIONS = {
  rank: 8, lr: 5e-3, epochs: 3, batch: 1, accumulate: 1, pack: false, maxLen: 128, schedule: 'linear', warmupSteps: 0, layers: '3-', name: 'boat',
};
/** Steps before the checkpoint, and those that are taken again after it. */
const [BEFORE, AGAIN] = [2, 2];
/** Steps by a software adapter, on a machine that does other things, too. */
const LONGEST_MS = 30 * 60_000;
let site;
let browser;
let page;
let problems;
/** What the training that was never stopped gave. */
let whole;

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

/** Runs in the page: loads the engine that trains, and leaves in `state` what the tests use. */
async function load() {
  const { Rullama, RullamaError } = await import('/package/train.js');
  const { demo } = await import('/package/demo.js');
  const ai = await Rullama.load(demo.file);
  /** An answer in a conversation of its own: content and calls of tools. */
  const reply = async (question, adapters, tools) => {
    const chat = ai.chat({ tools });
    await chat.setAdapters(adapters);
    const reply = { content: '', thinking: '', toolCalls: [] };
    for await (const event of chat.send(question, { temperature: 0, maxTokens: 32 })) {
      if (event.type === 'toolCall') reply.toolCalls.push(event.call);
      else if (event.type !== 'done') reply[event.type] += event.text;
    }
    await chat.close();
    return reply;
  };
  const fresh = async (question, adapters) => (await reply(question, adapters)).content;
  const told = (thrown) => ({ known: thrown instanceof RullamaError, code: thrown.code, message: thrown.message, remedy: thrown.remedy });
  const digest = async (files) => {
    const { bytes } = files.find(({ name }) => name === 'adapter_model.safetensors');
    return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))).join();
  };
  globalThis.state = { ai, reply, fresh, told, digest };
}

/** How many of the replies to the questions of other abilities are right. */
const right = (replies) => replies.filter((reply, i) => isRight(kept[i].expected, reply)).length;

/** What is asked before and after. */
const ASKED = { facts: Object.values(FACTS).map(([first]) => first), water: water(ELSEWHERE), tool: TOOL, kept: kept.map(({ messages }) => messages[0].content) };

/** Runs in the page: replies to all that is asked. */
async function askAll({ facts, water, tool, kept }) {
  const { reply, adapters = [] } = globalThis.state;
  const replies = { facts: [], kept: [] };
  for (const question of facts) replies.facts.push((await reply(question, adapters)).content);
  for (const question of kept) replies.kept.push(await reply(question, adapters));
  replies.tool = (await reply(water, adapters, [tool])).toolCalls;
  return replies;
}

test('the engine that trains is loaded in place of the other', { timeout: LONGEST_MS }, async () => {
  await inPage(load);
  const { facts, kept } = await inPage(askAll, ASKED);
  assert.ok(facts.every((answer) => answer.length > 0));
  for (const [i, answer] of Object.keys(FACTS).entries()) assert.notEqual(facts[i], answer);
  assert.equal(right(kept), kept.length, JSON.stringify(kept));
  await inPage((answer) => (globalThis.state.before = answer), facts[0]);
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

test('facts and a tool are learnt from twelve examples, and a question is answered meanwhile', { timeout: LONGEST_MS }, async (t) => {
  const result = await inPage(
    async ({ examples, options, question, before, again }) => {
      const { state } = globalThis;
      const tuner = await state.ai.tune(examples, options);
      const steps = [];
      let asked;
      let later;
      for await (const step of tuner) {
        steps.push(step);
        if (step.step === before) {
          state.checkpoint = await tuner.checkpoint();
          asked = state.fresh(question, []).then((text) => ({ text, after: steps.length }));
          tuner.pause();
          setTimeout(() => tuner.resume(), 300);
        }
        if (step.step === before + again) later = await state.digest(await tuner.save());
      }
      state.tuner = tuner;
      const { ended, report, checkpointBytes } = tuner;
      return { steps, ended, report, room: checkpointBytes, bytes: state.checkpoint.length, later, ...(await asked), was: state.before };
    },
    { examples: EXAMPLES, options: OPTIONS, question: QUESTION, before: BEFORE, again: AGAIN },
  );
  const { steps, ended, report } = result;
  const last = steps.at(-1);
  t.diagnostic(`loss ${steps[0].loss.toFixed(3)} to ${last.loss.toFixed(4)} in ${steps.length} steps, ${last.elapsedS.toFixed(1)} s`);
  assert.equal(ended, 'done');
  assert.equal(report.train.examples, EXAMPLES.length);
  assert.deepEqual(steps.map(({ step }) => step), steps.map((_, i) => i + 1));
  assert.equal(last.steps, steps.length);
  const worst = (some) => Math.max(...some.map(({ loss }) => loss));
  const [first, end] = [worst(steps.slice(0, EXAMPLES.length)), worst(steps.slice(-EXAMPLES.length))];
  assert.ok(end < first / 4, `${first} to ${end}`);
  assert.equal(result.text, result.was, 'training changes no answer');
  assert.ok(result.after >= BEFORE && result.after < steps.length, `the question was answered after step ${result.after}`);
  assert.ok(result.bytes > 10_000 && result.bytes <= result.room, `${result.bytes} of ${result.room} bytes`);
  whole = { losses: steps.map(({ loss }) => loss), later: result.later };
});

test('the answers change with the adapter, and are as before without it', { timeout: LONGEST_MS }, async (t) => {
  await inPage(async () => {
    const { state } = globalThis;
    state.adapters = [{ adapter: await state.tuner.adapter() }];
  });
  const { facts, kept, tool } = await inPage(askAll, ASKED);
  t.diagnostic(`${right(kept)} of ${kept.length} other questions, ${JSON.stringify(facts)}, ${JSON.stringify(tool)}`);
  assert.deepEqual(facts, Object.keys(FACTS));
  assert.deepEqual(tool, [{ name: TOOL.name, arguments: { harbour: ELSEWHERE } }]);
  assert.equal(right(kept), kept.length, JSON.stringify(kept));
  const answers = await inPage(async (question) => {
    const { ai, fresh, tuner, adapters, before } = globalThis.state;
    const [{ adapter }] = adapters;
    const saved = {};
    for (const form of ['peft', 'gguf']) {
      const files = await tuner.save(form);
      saved[form] = files.map(({ name }) => name);
      const read = await ai.loadAdapter(files.filter(({ name }) => name !== 'Modelfile'));
      saved[`${form} answers`] = await fresh(question, [{ adapter: read }]);
      await read.unload();
    }
    const { name, rank, bytes } = adapter;
    const answers = { ofNone: await fresh(question, [{ adapter, scale: 0 }]), detached: await fresh(question, []) };
    await tuner.close();
    return { ...answers, after: await fresh(question, adapters), was: before, saved, about: { name, rank, bytes } };
  }, QUESTION);
  assert.equal(answers.detached, answers.was);
  assert.equal(answers.ofNone, answers.was, 'a factor of 0 is no adapter');
  assert.equal(answers.after, facts[0], 'an adapter outlives its training');
  assert.deepEqual(answers.saved, {
    peft: ['adapter_model.safetensors', 'adapter_config.json'],
    'peft answers': facts[0],
    gguf: ['adapter.gguf', 'Modelfile'],
    'gguf answers': facts[0],
  });
  assert.deepEqual([answers.about.name, answers.about.rank], ['boat', 8]);
  assert.ok(answers.about.bytes > 1000);
});

test('a training whose page was left in a step goes on from its checkpoint as if it never stopped', { timeout: LONGEST_MS }, async () => {
  await inPage(
    async ({ examples, options }) => {
      const { ai, checkpoint } = globalThis.state;
      const folder = await navigator.storage.getDirectory();
      const file = await (await folder.getFileHandle('checkpoint', { create: true })).createWritable();
      await file.write(checkpoint);
      await file.close();
      const tuner = await ai.tune(examples, { ...options, resume: checkpoint });
      void tuner.next();
      await new Promise((resolve) => setTimeout(resolve, 300)); // in the step
    },
    { examples: EXAMPLES, options: OPTIONS },
  );
  await page.reload();
  await inPage(load);
  const { from, losses, later } = await inPage(
    async ({ examples, options, again, question }) => {
      const { state } = globalThis;
      const folder = await navigator.storage.getDirectory();
      const file = await (await folder.getFileHandle('checkpoint')).getFile();
      state.checkpoint = new Uint8Array(await file.arrayBuffer());
      const tuner = await state.ai.tune(examples, { ...options, resume: state.checkpoint });
      const from = tuner.step;
      const losses = [];
      for await (const { loss } of tuner) if (losses.push(loss) === again) break;
      const later = await state.digest(await tuner.save());
      await tuner.close();
      state.before = await state.fresh(question, []);
      return { from, losses, later };
    },
    { examples: EXAMPLES, options: OPTIONS, again: AGAIN, question: QUESTION },
  );
  assert.equal(from, BEFORE);
  assert.deepEqual(losses, whole.losses.slice(BEFORE, BEFORE + AGAIN));
  assert.equal(later, whole.later, 'the same adapter, to the last bit');
});

test('a step that is cancelled ends training, and the engine goes on', { timeout: LONGEST_MS }, async () => {
  const { ended, step, text, was } = await inPage(
    async ({ examples, options, question }) => {
      const { ai, fresh, before } = globalThis.state;
      const tuner = await ai.tune(examples, options);
      const first = tuner.next();
      await tuner.cancel();
      await first;
      const { ended, step } = tuner;
      await tuner.close();
      return { ended, step, text: await fresh(question, []), was: before };
    },
    { examples: EXAMPLES, options: OPTIONS, question: QUESTION },
  );
  assert.equal(ended, 'cancelled');
  assert.ok(step <= 1, `${step}`);
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
