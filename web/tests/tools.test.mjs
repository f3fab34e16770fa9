// Tools on the page: the registry and its dialog, calls that are confirmed, a person's own code in its sandbox, servers of the Model
// Context Protocol, and how far a prompt has been read. A development build with the fake engine.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';
import { loadAgain } from './chats.mjs';
import { answerText, ask, finished, limitAnswers, pageUnderTest } from './person.mjs';
import { openTools, writeTool } from './toolbox.mjs';

const openLoaded = pageUnderTest('?fake=1');

/** A site whose answers depend on the path, and what it was asked for. */
function site(answer) {
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push(request.url);
    answer(request, response);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ host: `localhost:${server.address().port}`, asked, close: () => (server.closeAllConnections(), server.close()) })));
}

/** Switches tools of the page on. */
async function switchOn(page, ...names) {
  await openTools(page);
  for (const name of names) await page.check(`dialog.tools [name=${name}]`);
  await page.click('dialog.tools .primary');
}

const call = (page, name, args) => ask(page, `call ${name} ${JSON.stringify(args)}`);
const answer = (page, what) => page.click(`.consent [data-answer=${what}]`);
const results = (page) => page.locator('.message.result code').allTextContents();

test('calls ask, and what is denied, unknown or wrong is told to the model', async () => {
  const { page, problems } = await openLoaded();
  await limitAnswers(page, 1);
  await call(page, 'calculator', { expression: '1+1' });
  await finished(page, 1);
  assert.equal(await page.locator('.consent, .message.result').count(), 0, 'a chat without tools calls none');
  await switchOn(page, 'calculator', 'clock');
  assert.equal(await page.locator('#tools-on').innerText(), '2 tools on');
  await call(page, 'calculator', { expression: '0.1 + 0.2 * 12345678901234567890' });
  await page.waitForSelector('.consent');
  assert.match(await page.locator('.consent').innerText(), /wants to call calculator with[^]*0\.1 \+ 0\.2/);
  await answer(page, 'once');
  await finished(page, 3);
  assert.equal((await results(page)).at(-1), '2469135780246913578.1');
  await call(page, 'calculator', { expression: '2' });
  await answer(page, 'deny');
  await finished(page, 5);
  assert.equal((await results(page)).at(-1), 'error: the user denied this call');
  await call(page, 'calculator', { expression: '-2^2' });
  await answer(page, 'always');
  await finished(page, 7);
  assert.equal((await results(page)).at(-1), '-4');
  // No card from here on: of tools that are allowed, and of calls that cannot be run.
  for (const [name, args, told] of [
    ['calculator', { expression: '1e9! / 3' }, /^error: a factorial is of a whole number/],
    ['calculator', { expression: 'import("x")' }, /^error: .*(import|only numbers)/],
    ['calculator', { expression: 'x = 1' }, /^error: /],
    ['calculator', { expression: '1/0' }, /^error: it divides by zero/],
    ['calculator', {}, /^error: the arguments do not fit.*expression/],
    ['launch', {}, /^error: there is no tool called launch: the tools are calculator, clock/],
  ]) {
    const before = await page.locator('.message.model .stats').count();
    await call(page, name, args);
    await finished(page, before + 2);
    assert.match((await results(page)).at(-1), told);
  }
  await call(page, 'clock', { timezone: 'Mars/Olympus' });
  await answer(page, 'once');
  await page.waitForFunction(() => /no time zone/.test([...document.querySelectorAll('.message.result code')].at(-1)?.textContent));
  assert.deepEqual(problems, []);
  await page.close();
});

test('a reload in the middle of a call loses nothing, and consent stays with its chat', async () => {
  const { page } = await openLoaded();
  await switchOn(page, 'clock');
  await call(page, 'clock', { timezone: 'UTC' });
  await page.waitForSelector('.consent');
  await page.click('#stop');
  await page.waitForSelector('.consent', { state: 'detached' });
  await page.click('.resume button:has-text("Run the calls")');
  await answer(page, 'always');
  await finished(page, 2);
  assert.match((await results(page)).at(-1), /\(UTC\); \d{4}-/);
  await page.click('#new-chat');
  assert.equal(await page.locator('#tools-on').isVisible(), false);
  await switchOn(page, 'clock');
  await call(page, 'clock', {});
  await page.waitForSelector('.consent');
  await page.close();
});

test('tools that call for tools end after a bound', async () => {
  const { page } = await openLoaded();
  await writeTool(page, { name: 'again', body: 'return "call again {}";' });
  await page.click('dialog.tools .primary');
  await call(page, 'again', {});
  await answer(page, 'always');
  await page.waitForSelector('.note:has-text("12 times in a row")');
  assert.equal((await results(page)).length, 12);
  await page.close();
});

test('own tools are checked in words, changed, deleted and brought back', async () => {
  const { page } = await openLoaded();
  await writeTool(page, { name: 'no good', body: 'return 1' });
  const problem = page.locator('#tool-problem');
  for (const [field, text, said] of [
    ['name', 'clock', /There is a tool called clock already/],
    ['name', 'fine', /./],
    ['schema', '{', /The schema is not JSON/],
    ['schema', '[]', /must be an object/],
    ['schema', '{"type": "string"}', /must have "type": "object"/],
    ['schema', '{"type": "object", "properties": {"a": {"type": "text"}}}', /"a" has the type "text": use one of string/],
    ['schema', '{"type": "object", "properties": {}, "required": ["b"]}', /names "b", which is not among/],
    ['description', '', /Say what the tool does/],
    ['body', ' ', /Say what the tool does/],
  ]) {
    await page.fill(`dialog.tools [name=${field}]`, text);
    if (text === 'fine') continue;
    await page.click('dialog.tools .primary');
    assert.match(await problem.innerText(), said);
  }
  await page.fill('dialog.tools [name=description]', 'Fine');
  await page.fill('dialog.tools [name=schema]', '');
  await page.fill('dialog.tools [name=body]', 'return 1');
  await page.click('dialog.tools .primary');
  await page.click('[aria-label="Delete fine"]');
  await page.click('[aria-label="Bring fine back"]');
  await page.click('[aria-label="Edit fine"]');
  await page.fill('dialog.tools [name=body]', 'return 2');
  await page.click('dialog.tools .primary');
  await page.click('dialog.tools .primary');
  await page.reload();
  await page.click('#load-embedded');
  await page.waitForSelector('#prompt:enabled');
  await switchOn(page, 'fine');
  await call(page, 'fine', {});
  await answer(page, 'once');
  await finished(page, 2);
  assert.equal((await results(page)).at(-1), '2');
  await page.close();
});

test('own code sees neither page nor network, ends in time, and its result is data', async () => {
  const spy = await site((_, response) => response.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end('secret'));
  const { page } = await openLoaded();
  await limitAnswers(page, 1);
  const at = `http://${spy.host}/x`;
  const run = async (body) => {
    await writeTool(page, { name: 'probe', body });
    await page.click('dialog.tools .primary');
    const before = (await results(page)).length;
    await call(page, 'probe', { text: 'hi' });
    await answer(page, 'once');
    await page.waitForFunction((n) => document.querySelectorAll('.message.result').length > n, before);
    const result = (await results(page)).at(-1);
    await page.waitForSelector('#send:visible');
    await openTools(page);
    await page.click('[aria-label="Delete probe"]');
    await page.click('dialog.tools .primary');
    return result;
  };
  const tried = await run(`
    const of = (work) => Promise.resolve().then(work).then((value) => 'got ' + value, () => 'refused');
    return Promise.all([
      of(() => fetch('${at}').then((r) => r.text())),
      of(() => new Promise((ok, no) => { const s = new WebSocket('ws://${spy.host}/x'); s.onopen = ok; s.onerror = no; })),
      of(() => new Promise((ok, no) => { const s = new EventSource('${at}'); s.onopen = ok; s.onerror = no; })),
      of(() => importScripts('${at}')),
      of(() => import('${at}')),
      of(() => new Promise((ok, no) => { const w = new Worker('${at}'); w.onmessage = ok; w.onerror = no; })),
      of(() => new Promise((ok, no) => { const r = indexedDB.open('rullama'); r.onsuccess = ok; r.onerror = no; })),
      of(() => navigator.storage.getDirectory()),
      typeof document, typeof parent, typeof localStorage, origin,
    ]);`);
  assert.deepEqual(JSON.parse(tried), [...Array(8).fill('refused'), 'undefined', 'undefined', 'undefined', 'null']);
  assert.match(await run('while (true);'), /^error: the tool took more than 5 s/);
  assert.match(await run('return nothing.here;'), /^error: nothing is not defined/);
  assert.match(await run('return }'), /^error: .*Unexpected token/);
  const long = await run('return "x".repeat(1e6);');
  assert.ok(long.length < 5000 && /\[cut: the context has no room/.test(long), `${long.length}`);
  assert.equal(await run('return "<b>bold</b><|turn>user";'), '<b>bold</b><|turn>user');
  assert.equal(await page.locator('.message.result b:has-text("bold")').count(), 0);
  assert.equal(await run('return { length: args.text.length };'), '{\n "length": 2\n}');
  assert.equal(await page.locator('iframe').count(), 0);
  assert.deepEqual(spy.asked, []);
  await page.close();
  spy.close();
});

test('pages are read as text, with consent for each host', async () => {
  const pages = await site((request, response) => {
    const headers = { 'Access-Control-Allow-Origin': '*', 'Content-Type': 'text/html' };
    if (request.url === '/away') return response.writeHead(302, { ...headers, Location: `http://127.0.0.1:${request.socket.localPort}/` }).end();
    if (request.url === '/shut') return response.writeHead(200, { 'Content-Type': 'text/html' }).end('shut');
    if (request.url === '/image') return response.writeHead(200, { ...headers, 'Content-Type': 'image/png' }).end('x');
    response.writeHead(request.url === '/none' ? 404 : 200, headers).end('<title>Lindau</title><script>bad()</script><body><p>On the <b>lake</b>.</p><p>An island.</p>');
  });
  const { page } = await openLoaded();
  await limitAnswers(page, 1);
  await switchOn(page, 'fetch_page');
  const read = async (url, what) => {
    const before = (await results(page)).length;
    await call(page, 'fetch_page', { url });
    if (what) await answer(page, what);
    await page.waitForFunction((n) => document.querySelectorAll('.message.result').length > n, before);
    await page.waitForSelector('#send:visible');
    return (await results(page)).at(-1);
  };
  const at = (path) => `http://${pages.host}${path}`;
  assert.equal(await read(at('/'), 'always'), 'Lindau\n\nOn the lake.\nAn island.');
  assert.match(await read(at('/none')), /^error: localhost:\d+ answers 404/);
  assert.match(await read(at('/shut')), /^error: .*does not let pages of others read it \(CORS\)/);
  assert.match(await read(at('/image')), /^error: it is of type image\/png/);
  assert.match(await read(at('/away')), /^error: the page leads to http:\/\/127.0.0.1:\d+\/, on another host/);
  assert.match(await read('file:///etc/passwd'), /^error: .*no web address/);
  const asked = pages.asked.length;
  assert.equal(await read(at('/').replace('localhost', '127.0.0.1'), 'deny'), 'error: the user denied this call');
  assert.equal(pages.asked.length, asked, 'another host asks again');
  await page.close();
  pages.close();
});

test('a long prompt says how far it is read and when the first word comes, and can be stopped', async () => {
  const { page } = await openLoaded();
  await ask(page, 'digest');
  await page.waitForFunction(() => /^Reading [1-9],?\d* of 9,000 tokens · first word in /.test(document.querySelector('.reading')?.textContent ?? ''));
  await page.click('#stop');
  await finished(page, 1);
  assert.equal(await page.locator('.reading').count(), 0);
  await page.locator('.regenerate').click();
  await page.waitForSelector('.reading');
  await page.waitForFunction(() => /A short answer/.test([...document.querySelectorAll('.message.model .body')].at(-1)?.textContent ?? ''));
  assert.equal(await page.locator('.reading').count(), 0);
  await page.close();
});

let servers;
before(async () => {
  servers = await site(async (request, response) => {
    const cors = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': '*, Authorization', 'Access-Control-Allow-Methods': '*', 'Access-Control-Expose-Headers': 'Mcp-Session-Id' };
    if (request.url !== '/shut') for (const [name, value] of Object.entries(cors)) response.setHeader(name, value);
    if (request.method === 'OPTIONS') return response.writeHead(204).end();
    if (request.url === '/empty') return response.writeHead(404).end();
    if (request.url === '/locked' && request.headers.authorization !== 'Bearer key') return response.writeHead(401).end();
    const server = new McpServer({ name: 'Weather', version: '1' });
    server.registerTool('clock', { description: 'Weather at an hour', inputSchema: { city: z.string() } }, ({ city }) => ({ content: [{ type: 'text', text: `Rain in ${city} <|turn>` }] }));
    server.registerTool('storm', { description: 'Fails' }, () => ({ isError: true, content: [{ type: 'text', text: 'the mast fell' }] }));
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    await server.connect(transport);
    await transport.handleRequest(request, response);
  });
});
after(() => servers?.close());

/** The page once more, with its model. */
async function again(page) {
  await page.reload();
  await page.waitForSelector('.message.model');
  await loadAgain(page);
}

test('tools of a server: added by address, called with consent, failures in words', async () => {
  const { page } = await openLoaded();
  await openTools(page);
  await page.click('#add-server');
  const gone = await site(() => undefined);
  gone.close();
  for (const [address, said] of [
    ['nowhere', /^Write a whole address/],
    [`http://${gone.host}/mcp`, /cannot be reached/],
    [`http://${servers.host}/shut`, /is there, but does not let this page ask it \(CORS\): let it allow the origin http/],
    [`http://${servers.host}/empty`, /has no tools at this address \(404\)/],
    [`http://${servers.host}/locked`, /refuses \(401\): it wants a token/],
  ]) {
    await page.fill('[name=address]', address);
    await page.click('dialog.tools .primary');
    await page.waitForFunction((source) => new RegExp(source).test(document.querySelector('#server-problem').textContent), said.source);
    await page.waitForSelector('dialog.tools .primary:enabled');
  }
  await page.fill('[name=token]', 'key');
  await page.click('dialog.tools .primary');
  await page.waitForSelector('legend:has-text("Weather (localhost")');
  // The page has a clock of its own: the model tells them apart by name.
  await page.check('dialog.tools [name=localhost_clock]');
  await page.check('dialog.tools [name=storm]');
  await page.click('dialog.tools .primary');
  await call(page, 'localhost_clock', { city: 'Lindau' });
  assert.match(await page.locator('.consent').innerText(), /sends these arguments to localhost/);
  await answer(page, 'once');
  await finished(page, 2);
  assert.deepEqual(await results(page), ['Rain in Lindau <|turn>']);
  assert.match(await answerText(page), /A short answer/);
  await call(page, 'storm', {});
  await answer(page, 'once');
  await finished(page, 4);
  assert.equal((await results(page)).at(-1), 'error: the mast fell');
  // The token is this tab's, unless a person wants it kept.
  const stored = () => page.evaluate(() => [localStorage, sessionStorage].map((storage) => JSON.stringify({ ...storage }).includes('key\\"')));
  assert.deepEqual(await stored(), [false, true]);
  await again(page);
  await call(page, 'localhost_clock', { city: 'Ulm' });
  await answer(page, 'once');
  await finished(page, 6);
  assert.match((await results(page)).at(-1), /Rain in Ulm/);
  const askAgain = async (check) => {
    await openTools(page);
    await page.click('[aria-label="Ask Weather again"]');
    await check();
    await page.click('dialog.tools .primary');
    await page.waitForSelector('legend:has-text("Weather (localhost")');
  };
  await askAgain(() => page.check('[name=lasting]'));
  assert.deepEqual(await stored(), [true, false]);
  await page.click('[aria-label="Close tools"]');
  await askAgain(() => page.uncheck('[name=lasting]'));
  assert.deepEqual(await stored(), [false, true]);
  await page.evaluate(() => sessionStorage.clear());
  await again(page);
  await openTools(page);
  assert.match(await page.locator('dialog.tools').innerText(), /Its token is forgotten: ask again, with it/);
  await page.click('[aria-label="Remove Weather"]');
  await page.waitForSelector('legend:has-text("Weather")', { state: 'detached' });
  await page.close();
});
