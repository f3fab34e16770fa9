// Every case of every operation in Chromium, each kernel variant against the CPU oracle.
//
// Browsers run at once. The first has WebGPU's guaranteed limits and runs the whole list with the kernels that a GPU
// gets. The others run what differs from that in kernel text, parameters or workgroups: with all that the adapter
// offers, variants with subgroups or more workgroup memory and sizes chosen by limits; as the software adapter that
// it is, what such an adapter prefers. What does not differ would only repeat the first run, and compiling a kernel
// takes a software adapter long: of all this, each variant of an operation and each line of a kernel (numbers apart) is
// computed once, and the browser accepts the text of every other kernel. What is left out is computed natively, and here
// with RULLAMA_FULL or CASES, a word of what is wanted.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { missing, runCases } from './cases.mjs';

const filter = process.env.CASES ?? '';
const all = Boolean(process.env.RULLAMA_FULL || filter);
const what = { filter, cover: !all };
const RUNS = {
  'guaranteed limits': { ...what, adapter: 'webgpu-defaults', asGpu: true },
  "the adapter's own limits": { ...what, adapter: 'native', asGpu: true, beyondDefaults: true },
  'choices for a CPU': { ...what, adapter: 'webgpu-defaults', beyondDefaults: true },
};

/** Operations whose kernels bind more buffers than browsers give: they run natively alone. */
const NATIVE = ['layer_tail'];

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const results = new Map();

/** A hung kernel must end the test; all of them take some ten minutes of two cores, on a busy machine a multiple. */
const LONGEST_MS = 30 * 60_000;

async function runAll() {
  if (missing) return;
  const runs = Object.entries(RUNS).map(async ([name, options]) => results.set(name, await timed(() => runCases(options))));
  await Promise.all(runs);
}

before(runAll, { timeout: LONGEST_MS });

async function timed(run) {
  const start = performance.now();
  const result = await run();
  return { ...result, minutes: (performance.now() - start) / 60_000 };
}

for (const name of Object.keys(RUNS)) {
  // Not the suite is skipped: its tests would not be counted.
  describe(`operations under ${name}`, () => {
    test('each agrees with its oracle', { skip: missing }, async (t) => {
      const { reports } = results.get(name);
      const ops = [...new Set(reports.map((report) => report.op))];
      assert.ok(ops.length > 0, `no case matches ${filter}`);
      for (const op of ops) await t.test(op, (t) => checkOp(t, reports.filter((report) => report.op === op)));
    });

    test('Chromium accepts every kernel', { skip: missing }, (t) => {
      const { kernels, texts, minutes, reports, lost, problems } = results.get(name);
      const subgroups = `${kernels.subgroups} with subgroups`;
      t.diagnostic(`${kernels.all} kernels, ${subgroups}; ${texts} of them only accepted; ${minutes.toFixed(1)} min`);
      assert.ok(kernels.all > 0 || sum(reports.map((r) => r.variants.length + r.accepted.length)) === 0);
      assert.equal(lost, undefined);
      assert.deepEqual(problems, []);
    });

    test('each is computed in every shape', { skip: missing }, (t) => {
      const left = sum(results.get(name).reports.map((report) => report.accepted.length));
      if (!all) return t.skip(`RULLAMA_FULL is not set: ${left} runs of lines that other runs have are made natively alone`);
      assert.equal(left, 0);
    });
  });
}

test('all runs see the same cases, and subgroups are used', { skip: missing }, () => {
  const [plain, full, cpu] = Object.keys(RUNS).map((name) => results.get(name));
  assert.deepEqual([full.cases, cpu.cases], [plain.cases, plain.cases]);
  assert.equal(plain.kernels.subgroups, 0);
  if (filter) return;
  assert.ok(full.subgroups, 'the adapter offers no subgroups: those variants were not run');
  assert.ok(full.kernels.subgroups > 0);
});

function checkOp(t, cases) {
  const [runs, accepted] = ['variants', 'accepted'].map((of) => sum(cases.map((c) => c[of].length)));
  const same = sum(cases.map((c) => c.same));
  const repeated = same > 0 ? `, ${same} left out: the same work under guaranteed limits` : '';
  t.diagnostic(`${cases.length} cases, ${runs} runs, ${accepted} only accepted${repeated}, ${sum(cases.map((c) => c.seconds)).toFixed(1)} s`);
  const failures = cases.flatMap((c) => c.failures);
  assert.equal(failures.length, 0, `${failures.length} failed:\n${failures.join('\n')}`);
  const idle = cases.filter((c) => !NATIVE.includes(c.op) && c.variants.length + c.accepted.length + c.same === 0);
  assert.deepEqual(idle, [], 'cases without a variant');
}
