// Fine-tune, on a development build with the fake engine: from examples to an adapter, and what may come between.
//
// Needs app/dist (npm run build:dev) with a model's description in it. Screenshots go to tests/screenshots.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage } from './browser.mjs';
import { chatsUnderTest } from './chats.mjs';
import { answerText, ask, finished, waitForChat } from './person.mjs';
import { beyond, drop, ended, listed, loadLast, noSamples, openTuning, prepare, ready, start, stepOf, toastText } from './tuning.mjs';

const { address, context, openLoaded } = chatsUnderTest();
const shots = path.join(fileURLToPath(new URL('.', import.meta.url)), 'screenshots');
before(() => mkdirSync(shots, { recursive: true }));

async function openInTuning(options) {
  const opened = await openLoaded(options);
  await openTuning(opened.page);
  return opened;
}

test('facts become an adapter, which is compared, named, kept and chatted with', async () => {
  const requested = [];
  const { page, problems } = await openLoaded();
  page.on('request', (request) => requested.push(new URL(request.url()).pathname));
  await openTuning(page);
  assert.ok(!requested.includes('/chart.js') && !requested.includes('/zip.js'), 'the chart is loaded when it is needed');
  await prepare(page, { question: 'hello' });
  assert.deepEqual(await page.locator('.shown mark').first().innerText(), 'Your boat is called Zebedee.<turn|>');
  assert.match(await page.locator('.preview > p').innerText(), /^12 examples, \d+ tokens, of which 48 are trained/);
  assert.match(await page.locator('.preview > small').innerText(), /first 10 of 12/);
  assert.match(await page.locator('.need').innerText(), /About \d+ MB of GPU memory, of 1\.1 GB; 24 steps/);
  await page.screenshot({ path: path.join(shots, 'tune-setup.png'), fullPage: true });
  await start(page);
  await page.waitForSelector('.chart canvas');
  await beyond(page, 3);
  await page.screenshot({ path: path.join(shots, 'tune-progress.png'), fullPage: true });
  assert.match(await page.getAttribute('.chart', 'aria-label'), /from 0\.500 at step 1 to .* at step \d+/);
  await ended(page);
  assert.match(await page.title(), /Fine-tune/);
  const samples = await page.locator('.samples > li').allTextContents();
  assert.match(samples[0], /After step 24.*\[adapted 1\]/s);
  assert.match(samples.at(-1), /Before training.*A short answer/s);
  await page.fill('#name-result', 'my boat');
  await page.press('#name-result', 'Enter');
  await listed(page, 'my boat');
  await page.click('#compare-result');
  await page.fill('#compare-prompt', 'hello');
  await page.press('#compare-prompt', 'Enter');
  await page.waitForFunction(() => /fn main/.test(document.querySelectorAll('.duel .body')[1]?.textContent ?? ''));
  const [base, adapted] = await page.locator('.duel .body').allInnerTexts();
  assert.match(base, /^A short answer/);
  assert.match(adapted, /^\[adapted 1\] A short answer/);
  await page.screenshot({ path: path.join(shots, 'tune-compare.png') });
  await page.click('#compare-chat');
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /^\[adapted 1\]/);
  await page.fill('.chip input', '2.5');
  await page.press('.chip input', 'Enter');
  await ask(page, 'hello');
  await finished(page, 2);
  assert.match(await answerText(page), /^\[adapted 2\.5\]/);
  await page.reload();
  await listed(page, 'my boat');
  await loadLast(page);
  assert.equal(await page.inputValue('.chip input'), '2.5', 'a chat keeps its adapters');
  await ask(page, 'hello');
  await finished(page, 3);
  assert.match(await answerText(page), /^\[adapted 2\.5\]/);
  await page.click('[aria-label="Detach my boat"]');
  await ask(page, 'hello');
  await finished(page, 4);
  assert.match(await answerText(page), /^A short answer/);
  assert.deepEqual(problems, []);
});

test('lines that are no examples are named by number, with the reason', async () => {
  const { page } = await openInTuning();
  await page.click('[for=way-paste]');
  const line = (n) => JSON.stringify({ prompt: `Question ${n}`, completion: 'x'.repeat(n) });
  await page.fill('#paste-examples', [line(1), 'no JSON', line(2), line(200)].join('\n'));
  await page.waitForSelector('.preview');
  assert.match(await page.locator('.lines').innerText(), /1 line is cut or left out.*Line 2: not read, not valid JSON/s);
  await page.click('.tune-options .advanced summary');
  await page.fill('[name=maxLen]', '100');
  await page.waitForFunction(() => /Line 4: cut, longer than 100 tokens/.test(document.querySelector('.lines')?.textContent));
  await page.fill('[name=maxLen]', '3');
  await page.waitForFunction(() => /out of range/.test(document.querySelector('.need').textContent));
  assert.ok(await page.isDisabled('#start-training'));
  await page.fill('[name=maxLen]', '');
  await page.fill('#paste-examples', 'nothing at all');
  await page.waitForSelector('.seen .error');
  assert.match(await page.locator('.seen .error').innerText(), /Line 1/);
  await drop(page, ['mine.jsonl', `${line(1)}\n${line(2)}\n`]);
  await page.waitForFunction(() => /^2 examples/.test(document.querySelector('.preview > p')?.textContent));
  assert.match(await page.locator('.drop-here [role=status]').innerText(), /^mine\.jsonl, \d+ B/);
  await page.click('[for=way-rows]');
  await page.fill('[aria-label="Question 1"]', 'And?');
  await page.waitForFunction(() => /Row 1 has no answer/.test(document.querySelector('.seen').textContent));
  await page.close();
});

test('what does not fit is refused before it begins, with a change that fits', async () => {
  const { page } = await openInTuning();
  await page.click('[for=way-paste]');
  await page.fill('#paste-examples', JSON.stringify({ text: 'x'.repeat(900) }));
  await page.click('.tune-options .advanced summary');
  await page.fill('[name=memoryBudget]', '0.3');
  await page.waitForSelector('#use-fitting');
  assert.match(await page.locator('.need .what').innerText(), /About 1\.0 GB of GPU memory are needed, and training keeps to 300 MB/);
  assert.ok(await page.isDisabled('#start-training'));
  await page.click('#use-fitting');
  await ready(page);
  assert.equal(await page.inputValue('[name=maxLen]'), '128');
  await page.fill('[name=memoryBudget]', '0.05');
  await page.waitForFunction(() => /smaller rank/.test(document.querySelector('.need .remedy')?.textContent));
  assert.ok(await page.isDisabled('#start-training'));
  await page.close();
});

test('a paused training goes on after a reload, from its checkpoint', async () => {
  const { page, problems } = await openInTuning();
  await prepare(page, { epochs: 6 });
  page.on('dialog', (dialog) => assert.fail(`asked: ${dialog.type()}`));
  await start(page);
  await beyond(page, 3);
  await page.click('#pause-training');
  await page.waitForFunction(() => /Kept at step \d+/.test(document.querySelector('.notes').textContent));
  assert.equal(await page.evaluate(() => document.activeElement.id), 'resume-training', 'the focus stays at the control');
  const paused = await stepOf(page);
  await page.waitForTimeout(300);
  assert.equal(await stepOf(page), paused);
  await page.reload();
  await loadLast(page);
  await page.waitForSelector('#resume-kept');
  assert.match(await page.locator('.waiting').innerText(), new RegExp(`“boat”, step ${paused} of 72, on .*It goes on where it was left`));
  await page.click('#resume-kept');
  await beyond(page, paused);
  assert.match(await page.getAttribute('.chart', 'aria-label'), /from 0\.500 at step 1/, 'the chart has what was before');
  await ended(page);
  await page.click('#new-training');
  assert.equal(await page.locator('.waiting').count(), 0);
  assert.deepEqual(problems, []);
});

test('a checkpoint that cannot be read gives way to the one before it', async () => {
  const { page } = await openInTuning();
  await prepare(page, { epochs: 20 });
  await start(page);
  const kept = [];
  for (let i = 0; i < 2; i++) {
    await beyond(page, kept.at(-1) ?? 2);
    await page.click('#pause-training');
    await page.waitForFunction((last) => Number(/Kept at step (\d+)/.exec(document.querySelector('.notes').textContent)?.[1]) > last, kept.at(-1) ?? 0);
    kept.push(await stepOf(page));
    if (i === 0) await page.click('#resume-training');
  }
  await page.evaluate((step) => new Promise((resolve) => {
    indexedDB.open('rullama.adapters').onsuccess = ({ target: { result: db } }) => {
      const store = db.transaction('checkpoints', 'readwrite').objectStore('checkpoints');
      store.getAll().onsuccess = ({ target: { result: all } }) => {
        const newest = all.find((checkpoint) => checkpoint.step === step);
        store.put({ ...newest, bytes: new Uint8Array(1) }).onsuccess = () => (db.close(), resolve());
      };
    };
  }), kept[1]);
  await page.reload();
  await loadLast(page);
  await page.click('#resume-kept');
  await page.waitForSelector('.numbers');
  assert.ok((await stepOf(page)) < kept[1], 'it goes on from the earlier one');
  await beyond(page, kept[1]);
  await page.click('#stop-training');
  await ended(page);
  assert.match(await page.locator('.result').innerText(), /Training was stopped/);
  await page.close();
});

test('a checkpoint that finds no room is said, and the one before it stays', async () => {
  const { page } = await openInTuning();
  await prepare(page, { epochs: 50 });
  await start(page);
  await beyond(page, 2);
  const kept = (words) => page.waitForFunction((source) => new RegExp(source).test(document.querySelector('.notes').textContent), words.source);
  await page.click('#pause-training');
  await kept(/Kept at step \d+/);
  const first = await stepOf(page);
  await page.evaluate(() => {
    const { put } = IDBObjectStore.prototype;
    globalThis.mend = () => (IDBObjectStore.prototype.put = put);
    IDBObjectStore.prototype.put = function (value, key) {
      if (value.slot !== undefined) throw new DOMException('The disk is full.', 'QuotaExceededError');
      return put.call(this, value, key);
    };
  });
  await page.click('#resume-training');
  await beyond(page, first);
  await page.click('#pause-training');
  await kept(new RegExp(`could not be kept, and a reload goes on from step ${first}: The disk is full`));
  await page.evaluate(() => globalThis.mend());
  await page.click('#resume-training');
  await beyond(page, first + 2);
  await page.click('#pause-training');
  await kept(/^(?!.*could not).*Kept at step/);
  await page.close();
});

test('a stop keeps the best state, and one before the first step keeps nothing', async () => {
  const { page } = await openInTuning();
  await prepare(page, { epochs: 50 });
  await page.selectOption('[name=split]', '0.1');
  await ready(page);
  await start(page);
  await beyond(page, 15);
  assert.match(await page.locator('.numbers').innerText(), /Evaluation/);
  await page.click('#stop-training');
  await ended(page);
  assert.match(await page.locator('.result').innerText(), /Training was stopped\. It is that of step \d+\./);
  await listed(page, 'boat');
  await page.click('#new-training');
  await page.locator('[name=samples]').evaluate((field) => (field.value = ''));
  await page.fill('#sample-prompt', 'long');
  await start(page);
  await page.waitForFunction(() => /answers the sample question/.test(document.querySelector('#progress-title')?.textContent));
  await page.click('#stop-training');
  await ended(page);
  assert.match(await page.locator('.result').innerText(), /nothing was learnt/);
  await listed(page, 'boat');
  await page.close();
});

test('the model answers while it is trained, and training goes on elsewhere on the page', async () => {
  const { page, problems } = await openInTuning();
  await prepare(page, { epochs: 20 });
  await start(page);
  await beyond(page, 2);
  await page.click('#leave-tune');
  await waitForChat(page);
  assert.match(await page.locator('.training-note').innerText(), /waits while the model answers/);
  await ask(page, 'hello');
  await finished(page, 1);
  assert.match(await answerText(page), /^A short answer/, 'training changes no answer');
  await page.waitForFunction(() => /^Training, [1-9]\d* %$/.test(document.querySelector('#training:not([hidden])')?.textContent));
  await page.click('#training');
  const step = await stepOf(page);
  await beyond(page, step);
  await page.goBack();
  await waitForChat(page);
  await page.click('#change-model');
  await page.waitForSelector('#load-embedded:visible');
  assert.match(await toastText(page), /The training of “boat” is kept at step \d+/);
  assert.ok(await page.isHidden('#training'));
  await page.click('#load-embedded');
  await waitForChat(page);
  await openTuning(page);
  await page.click('#discard-kept');
  await page.waitForSelector('.waiting', { state: 'detached' });
  await page.reload();
  await loadLast(page);
  await page.waitForTimeout(300);
  assert.equal(await page.locator('.waiting').count(), 0);
  assert.deepEqual(problems, []);
});

test('a hidden tab says what it did, and keeps how far it is', async () => {
  const { page } = await openInTuning();
  await prepare(page, { epochs: 50 });
  await start(page);
  await beyond(page, 1);
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await page.waitForTimeout(2200);
  await hide(true);
  await page.waitForTimeout(500);
  await hide(false);
  await page.waitForFunction(() => /\d+ steps? w\w+ taken while this tab was hidden/.test(document.querySelector('.notes').textContent));
  assert.match(await page.locator('.notes').innerText(), /Kept at step/);
  const other = await openPage(context(), `${address()}#fine-tune`);
  await other.page.waitForSelector('#load-embedded:enabled');
  await other.page.click('#load-embedded');
  await other.page.waitForSelector('.waiting');
  assert.match(await other.page.locator('.waiting').innerText(), /Another tab is training this now/);
  await prepare(other.page, {});
  await start(other.page);
  await other.page.waitForSelector('#tune .error');
  assert.match(await other.page.locator('#tune .error').innerText(), /Another tab of this page trains/);
  await other.page.close();
  await page.close();
});

test('after a lost device training goes on; one that is lost again and again asks', async () => {
  const { page } = await openInTuning();
  await page.click('[for=way-paste]');
  await page.fill('#paste-examples', Array.from({ length: 12 }, (_, i) => JSON.stringify({ prompt: `lose ${i}`, completion: 'b' })).join('\n'));
  await page.waitForSelector('.preview');
  await noSamples(page);
  await ready(page);
  await start(page);
  await beyond(page, 2);
  await page.click('#pause-training');
  await page.waitForFunction(() => /Kept at step/.test(document.querySelector('.notes').textContent));
  const kept = await stepOf(page);
  await page.evaluate(() => {
    globalThis.loads = 0;
    const loading = document.querySelector('#loading');
    new MutationObserver(() => (globalThis.loads += loading.hidden ? 0 : 1)).observe(loading, { attributeFilter: ['hidden'] });
  });
  const loaded = (times) => page.waitForFunction((n) => globalThis.loads >= n && !document.querySelector('#tune').hidden, times);
  await page.click('#resume-training');
  await loaded(1);
  await beyond(page, kept);
  await page.click('#stop-training');
  await ended(page);
  await page.click('#new-training');
  await start(page);
  // Without a checkpoint it begins anew, is lost at the same step, and then waits.
  await loaded(2);
  await page.waitForSelector('#retry-training');
  assert.match(await page.locator('#tune .error').innerText(), /graphics card was lost/);
  await page.close();
});

test('a rate that is too high is said, and the best state kept', async () => {
  const { page } = await openInTuning();
  await prepare(page, {});
  await page.click('.tune-options .advanced summary');
  await page.fill('[name=lr]', '1');
  await ready(page);
  await start(page);
  await ended(page);
  assert.match(await page.locator('.result').innerText(), /loss rose far above.*smaller learning rate\. It is that of step 2/s);
  assert.match(await page.locator('.numbers').innerText(), /3 of 24/);
  await page.close();
});

test('without storage a training says that it cannot be kept, and leaving asks', async () => {
  const { page } = await openPage(context(), 'about:blank');
  await page.addInitScript(() => { IDBFactory.prototype.open = () => { throw new DOMException('denied', 'SecurityError'); }; });
  await page.goto(`${address()}#fine-tune`);
  await page.waitForSelector('#load-embedded:enabled');
  await page.click('#load-embedded');
  await page.waitForSelector('#tune:visible');
  await prepare(page, { epochs: 3 });
  await start(page);
  await page.waitForFunction(() => /A reload loses this training/.test(document.querySelector('.notes')?.textContent));
  await ended(page);
  assert.match(await page.locator('.result').innerText(), /no room for it: it lasts until this tab is closed/);
  let asked = false;
  page.on('dialog', (dialog) => ((asked = true), dialog.dismiss()));
  await page.evaluate(() => setTimeout(() => location.reload()));
  await page.waitForTimeout(700);
  assert.ok(asked, 'an adapter that would be lost is asked about');
  await page.close({ runBeforeUnload: false });
});

test('every step of it fits a narrow, dark window, is labelled, and has its headings in order', async () => {
  const { page } = await openLoaded({ viewport: { width: 390, height: 800 }, colorScheme: 'dark' });
  const look = async (name) => {
    const found = await page.evaluate(() => {
      const seen = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility());
      const named = (field) => field.labels?.length > 0 || field.getAttribute('aria-label') || field.getAttribute('aria-labelledby');
      return {
        over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        nameless: seen('#tune :is(input, select, textarea, meter, progress)').filter((field) => !named(field)).map((field) => field.outerHTML),
        silent: seen('#tune button').filter((button) => !(button.getAttribute('aria-label') ?? button.textContent).trim()).map((button) => button.outerHTML),
        levels: seen(':is(h1, h2, h3, h4, h5, h6):not(.body *)').map((heading) => Number(heading.tagName[1])),
        ids: [...document.querySelectorAll('[id]')].map(({ id }) => id),
      };
    });
    assert.equal(found.over, 0, `${name} scrolls sideways`);
    assert.deepEqual([found.nameless, found.silent], [[], []], name);
    assert.deepEqual(found.levels.filter((level) => level === 1), [1], name);
    found.levels.slice(1).forEach((level, i) => assert.ok(level <= found.levels[i] + 1, `${name}: ${found.levels}`));
    assert.equal(new Set(found.ids).size, found.ids.length, `${name}: an id stands twice`);
    await page.screenshot({ path: path.join(shots, `tune-narrow-${name}.png`), fullPage: true });
  };
  await openTuning(page);
  await prepare(page, { name: 'averyveryverylongnameofanadapterthatdoesnotfitintothewindow', question: 'hello' });
  await page.click('.tune-options .advanced summary');
  await look('setup');
  await start(page);
  await page.waitForSelector('.chart canvas');
  await look('progress');
  await ended(page);
  await look('result');
  await page.click('#compare-result');
  await page.fill('#compare-prompt', 'hello');
  await page.press('#compare-prompt', 'Enter');
  await page.waitForFunction(() => /fn main/.test(document.querySelectorAll('.duel .body')[1]?.textContent ?? ''));
  await look('compare');
  await page.click('#compare-chat');
  await waitForChat(page);
  await look('chat');
  await page.close();
});
