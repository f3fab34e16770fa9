// The page's texts: every language says what English says, with the same values, and no text stands outside of the tables.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { byEnglish, ENGLISH, OTHERS, setLanguage, t, wanted } from '../../dist-test/app.js';

const src = fileURLToPath(new URL('../src/', import.meta.url));
const english = Object.values(ENGLISH).flatMap((table) => Object.values(table));

/** A text's values: of each its name and, where it depends on a number, the forms. */
const holes = (text) => [...text.matchAll(/\{(\w+)(?:\|([^}]*))?\}/g)].map(([, name, forms]) => ({ name, forms: forms?.split('|').map((form) => form.split('=')) }));

test('no English text stands for two', () => {
  const twice = english.filter((text, i) => english.indexOf(text) !== i);
  assert.deepEqual(twice, []);
});

for (const [language, areas] of Object.entries(OTHERS)) {
  test(`${language}: every text, with the values of the English one and all forms of its plurals`, () => {
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories.toSorted();
    const texts = byEnglish(language);
    assert.deepEqual(Object.keys(texts), english);
    for (const [area, table] of Object.entries(ENGLISH)) assert.deepEqual(Object.keys(areas[area]), Object.keys(table), area);
    for (const [from, to] of Object.entries(texts)) {
      assert.ok(to.trim() !== '' && to === to.trim(), `${from}: ${to}`);
      const names = (text) => holes(text).map(({ name }) => name).toSorted();
      assert.deepEqual([...new Set(names(to))], [...new Set(names(from))], from);
      for (const hole of holes(to).filter((one) => one.forms)) assert.deepEqual(hole.forms.map(([form]) => form).toSorted(), forms, from);
      // Whatever depends on a number in English does so here.
      for (const { name, forms: own } of holes(from)) if (own) assert.ok(holes(to).some((one) => one.name === name && one.forms), `${from}: ${name}`);
    }
  });
}

test('numbers and plurals follow the language; values that run the other way are kept together', () => {
  assert.equal(t('{n|one=# token|other=# tokens}', { n: 1 }), '1 token');
  assert.equal(t('{n|one=# token|other=# tokens}', { n: 12_345 }), '12,345 tokens');
  assert.equal(t('No value here'), 'No value here');
  assert.equal(t('{name} and {name}', { name: '{n}' }), '{n} and {n}');
  try {
    setLanguage({ locale: 'de-DE', rtl: false, texts: byEnglish('de') });
    assert.equal(t('{n|one=# token|other=# tokens}', { n: 12_345 }), '12.345 Tokens');
    setLanguage({ locale: 'ar', rtl: true, texts: byEnglish('ar') });
    const tokens = (n) => t('{n|one=# token|other=# tokens}', { n });
    assert.deepEqual([0, 1, 2, 3, 11, 100].map(tokens), ['لا رموز', 'رمز واحد', 'رمزان', '3 رموز', '11 رمزًا', '100 رمز']);
    assert.equal(t('Load {title}', { title: 'gemma' }), 'تحميل \u2068gemma\u2069');
    assert.equal(t('A text that no table has'), 'A text that no table has');
  } finally {
    setLanguage({ locale: 'en', rtl: false, texts: {} });
  }
});

test('the language is the one that was chosen, else the first of the browser’s that is here', () => {
  assert.deepEqual(wanted(null, ['fr-CH', 'de-CH', 'en']), { code: 'de', locale: 'de-CH', rtl: false });
  assert.deepEqual(wanted('ar', ['de-CH']), { code: 'ar', locale: 'ar', rtl: true });
  assert.deepEqual(wanted('ar', ['en', 'ar-EG']), { code: 'ar', locale: 'ar-EG', rtl: true });
  assert.deepEqual(wanted('xx', ['fr']), { code: 'en', locale: 'en', rtl: false });
  assert.deepEqual(wanted('constructor', []), { code: 'en', locale: 'en', rtl: false });
});

/** What a model reads or only developers see. */
const APART = /^(texts\/|tools\/(page-tools|calculator|sandbox|kept)\.ts|offline\/(precache|service-worker)\.ts|markdown\/(parser|mathml|highlight|formula-rules)\.ts)/;
const NAMES = new Set([
  'Android', 'Windows', 'ChromeOS', 'Linux', 'Firefox', 'Chrome', 'Safari', 'Enter', 'Escape', 'Esc', 'Backspace', 'Key', 'Slash', 'Tab', 'Files',
  'Gemma 4 E2B', 'Gemma 4 E4B', 'Gemma 4 12B', 'Gemma 4 26B-A4B', 'Gemma 4 31B', 'The page has no #', 'File \\`', 'Bearer ', 'The text',
  // For the model.
  'Write down exactly what is said, in its language, and nothing else.',
  // Told to no person: why the database is not used, what is cut for the model.
  'The database does not open.', ', which is not read]', ' tools: this call was not run', ' characters, of which these are the first]',
]);
/** Text for people: a word with a capital, or several words. Classes and selectors are neither. */
const forPeople = (text) => (/^[“(]?[A-Z][a-z]+(?![a-zA-Z]*(?:Error|Exception))(?:[ .,:;…!?’”]|$)/.test(text) || /^\W*[a-z]+(?: [a-z]+){3,}/.test(text) || /[a-z]{2}[.:;,] [a-z]{2}/.test(text)) && !NAMES.has(text);
const TECHNICAL = /^(p, li|ul, ol|a, button|input, button|\.|#|use strict|error: |\n?\[cut: |the arguments do not fit|noopener|\(p|return args|<|[a-z]+ - )/;

/** The texts in a script, apart from comments. */
function literals(code) {
  const found = [];
  // Before a slash that begins an expression there is no value.
  const token = /"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`|(?<=(?:^|[(,=:[!&|?{};+\n]|return)\s*)\/(?![*/])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/g;
  for (const [, plain, template] of code.matchAll(token)) {
    if (plain !== undefined) found.push(plain.replace(/\\n/g, '\n').replace(/\\(.)/g, '$1'));
    else if (template !== undefined) found.push(...template.split(/\$\{[^}]*\}*/));
  }
  return found;
}

test('no text for people stands outside of the tables', () => {
  const files = readdirSync(src, { recursive: true }).map((name) => name.split(path.sep).join('/')).filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && !APART.test(name));
  assert.ok(files.length > 80);
  const left = files.flatMap((name) => {
    const { code } = transformSync(readFileSync(`${src}${name}`, 'utf8'), { loader: 'ts', target: 'es2022', charset: 'utf8' });
    return literals(code).filter((text) => forPeople(text) && !TECHNICAL.test(text)).map((text) => `${name}: ${text}`);
  });
  assert.deepEqual(left, []);
  assert.ok(forPeople('Load') && forPeople('it is empty: try again') && !forPeople('quiet tool'));
});

test('what the page is opened with is in the tables', () => {
  const page = readFileSync(`${src}../public/index.html`, 'utf8');
  const body = page.slice(page.indexOf('<body>'));
  const texts = [...body.matchAll(/aria-label="([^"]+)"|<(?:button|a)[^>]*>([^<\n]+)</g)].map(([, label, text]) => label ?? text);
  assert.ok(texts.length > 6);
  assert.deepEqual(texts.filter((text) => !english.includes(text)), []);
  const { description } = JSON.parse(readFileSync(`${src}../public/model/model.json`, 'utf8'));
  assert.ok(english.includes(description), 'the embedded model’s description');
});
