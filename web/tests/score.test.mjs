// Right answers in the browser: the embedded model answers the held-out set through the TypeScript package.
//
// Needs packages/rullama/dist (cargo xtask web, npm run build). PER_ABILITY questions of each of ABILITIES are asked:
// by default 1 of those that use every part of template and parser, since the software adapter takes seconds for a
// question; `npm run score` asks all of the set. An answer is judged by judge.mjs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { openPage, startBrowser } from './browser.mjs';
import { isRight, onlyIds } from './judge.mjs';
import { startServer } from './server.mjs';

const web = fileURLToPath(new URL('..', import.meta.url));
const setFile = path.join(web, '../tools/demo-model/eval.jsonl');
const perAbility = Number(process.env.PER_ABILITY ?? 1);
/** Names between commas, or `all`. */
const abilities = process.env.ABILITIES ?? 'arithmetic,memory,system prompts,thinking,tool calls,tool answers';
/** Most tokens of an answer, as in tools/demo-model/evaluate.py. */
const MAX_TOKENS = 200;
/** Of the whole set: 95 % in f32, less 2 points for quantised weights. */
const LEAST_RIGHT = 93;
let site;
let browser;

before(async () => {
  site = await startServer({
    '/package/': path.join(web, 'packages/rullama/dist'),
    '/model/': path.join(web, 'app/public/model'),
    '/': path.join(web, 'tests/pages'),
  });
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await site?.close();
});

/** The first `limit` questions of each ability that is asked for. */
function sample(questions, limit) {
  const taken = new Map();
  const wanted = abilities === 'all' ? undefined : abilities.split(',');
  return questions.filter(({ ability, messages }) => {
    // Those with pictures and sounds are the native program's to answer.
    if (messages.some(({ content }) => typeof content !== 'string')) return false;
    if (wanted && !wanted.includes(ability)) return false;
    taken.set(ability, (taken.get(ability) ?? 0) + 1);
    return taken.get(ability) <= limit;
  });
}

/** A question as the package takes it: what the conversation starts from, and the message to answer. */
function conversation({ messages, tools, thinking }) {
  const [first, ...rest] = messages;
  const system = first.role === 'system' ? first.content : undefined;
  const turns = (system === undefined ? messages : rest).map(({ role, content, thinking, tool_calls, name }) => ({
    role,
    content,
    ...(thinking && { thinking }),
    ...(tool_calls && { toolCalls: tool_calls }),
    ...(name && { name }),
  }));
  const options = { tools: tools.map((tool) => tool.function), thinking, messages: turns.slice(0, -1) };
  return { options: system === undefined ? options : { ...options, system }, message: turns.at(-1) };
}

/** Runs in the page: answers with the model that `load` left there. */
async function answer({ options, message, maxTokens }) {
  const chat = globalThis.engine.chat(options);
  const reply = { content: '', thinking: '', toolCalls: [], ids: [] };
  for await (const event of chat.send(message, { temperature: 0, maxTokens })) {
    if (event.type === 'done') reply.ids = event.summary.ids;
    else if (event.type === 'toolCall') reply.toolCalls.push(event.call);
    else reply[event.type] += event.text;
  }
  await chat.close();
  return reply;
}

/** Runs in the page. */
async function load() {
  const { Rullama } = await import('/package/index.js');
  globalThis.engine = await Rullama.load('embedded', { embedded: '/model/model.json' });
  return globalThis.engine.info;
}

function table(scores) {
  const width = Math.max(...[...scores.keys()].map((name) => name.length));
  const percent = (part, whole) => ((100 * part) / whole).toFixed(1).padStart(12);
  const row = (name, { asked, right, compared, same }) =>
    `${name.padEnd(width)}${String(asked).padStart(10)}${percent(right, asked)}${compared > 0 ? percent(same, compared) : '-'.padStart(12)}`;
  const sum = (a, b) => Object.fromEntries(Object.keys(a).map((key) => [key, a[key] + b[key]]));
  const all = [...scores.values()].reduce(sum);
  const head = `${'ability'.padEnd(width)} questions     right %  same ids %`;
  return { all, text: [head, ...[...scores].sort().map(([name, score]) => row(name, score)), row('all', all)].join('\n') };
}

test('the embedded model gives right answers', async (t) => {
  const lines = readFileSync(setFile, 'utf8').trimEnd().split('\n');
  const questions = sample(lines.map((line) => JSON.parse(line)), perAbility);
  assert.ok(questions.length > 0, `the set has none of ${abilities}`);
  const { page, problems } = await openPage(browser.context, `${site.url}/blank.html`);
  const info = await page.evaluate(load);
  const scores = new Map();
  const started = performance.now();
  for (const question of questions) {
    const reply = await page.evaluate(answer, { ...conversation(question), maxTokens: MAX_TOKENS });
    const score = scores.get(question.ability) ?? { asked: 0, right: 0, compared: 0, same: 0 };
    const right = isRight(question.expected, reply);
    const ids = onlyIds(question);
    scores.set(question.ability, {
      asked: score.asked + 1,
      right: score.right + right,
      compared: score.compared + (ids !== undefined),
      same: score.same + isDeepStrictEqual(ids, reply.ids),
    });
    t.diagnostic(`${question.id}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    if (!right) t.diagnostic(`wrong: ${question.id}: wanted ${JSON.stringify(question.expected)}, got ${JSON.stringify(reply)}`);
  }
  const { all, text } = table(scores);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`${info.name} on ${info.device || 'an unnamed adapter'} (${info.backend}), cache ${info.kv}, ${seconds} s\n\n${text}`);
  assert.ok((100 * all.right) / all.asked >= LEAST_RIGHT, `${all.right} of ${all.asked} are right`);
  // Nearly even choices may fall otherwise after quantisation: two of a small sample, one in fifty of the whole set.
  assert.ok(all.same >= all.compared - Math.max(2, all.compared / 50), `${all.same} of ${all.compared} have the reference's ids`);
  assert.deepEqual(problems, []);
  await page.close();
});
