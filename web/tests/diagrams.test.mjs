// Diagrams on the page: blocks of Mermaid in answers and messages become pictures, and nothing that they contain gets further than that.
//
// Needs app/dist (npm run build:dev) with a model's description in it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openPage, startBrowser } from './browser.mjs';
import { clean } from './clean.mjs';
import { ask, finished, keptLater, openLoadedAt, openStartAt, until, waitForChat } from './person.mjs';
import { startServer } from './server.mjs';

const dist = path.join(fileURLToPath(new URL('.', import.meta.url)), '../app/dist');
const FLOW = 'flowchart TD\n  A[Begin] --> B{Done?}\n  B -->|yes| C[End of it]\n  B -->|no| A';
const SEQUENCE = 'sequenceDiagram\n  accTitle: A greeting\n  Alice->>Bob: Hello Bob\n  Bob-->>Alice: Hello Alice';
const WIDE = `flowchart LR\n${Array.from({ length: 24 }, (_, i) => `  n${i}[Step number ${i}] --> n${i + 1}`).join('\n')}`;

let site;
let browser;
/** Where nothing may ever arrive. */
let elsewhere;

before(async () => {
  site = await startServer({ '/': dist });
  elsewhere = await startServer({}, { cors: true });
  browser = await startBrowser();
});
after(async () => {
  await browser?.close();
  await elsewhere?.close();
  await site?.close();
});

const block = (source) => `\`\`\`mermaid\n${source}\n\`\`\``;
const answer = (source) => `say\nHere it is:\n\n${block(source)}\n\nThat was it.`;
const chat = (options) => openLoadedAt(browser.context, `${site.url}/?fake=1`, options);

/** The page with what lays out answers: `show(text, writing)` shows one in place of the last. */
async function layout(from = browser.context, address = site.url) {
  const opened = await openStartAt(from, `${address}/?fake=1`);
  await opened.page.evaluate(async () => {
    const { MarkdownView } = await import('/markdown.js');
    const article = Object.assign(document.createElement('article'), { className: 'message model' });
    document.querySelector('main').prepend(article);
    let view;
    globalThis.begin = () => {
      const body = Object.assign(document.createElement('div'), { className: 'body' });
      article.replaceChildren(body);
      view = new MarkdownView(body);
    };
    globalThis.show = (text, writing = false) => view.show(text, writing);
    globalThis.begin();
  });
  return { ...opened, show: (text, writing) => opened.page.evaluate(([text, writing]) => globalThis.show(text, writing), [text, writing]) };
}

const drawn = (page, count = 1, within = '.message.model') =>
  page.waitForFunction(([n, s]) => document.querySelectorAll(`${s} .picture img`).length >= n, [count, within]);
const remark = async (page) => (await page.waitForSelector('.no-diagram')).innerText();
const fileOf = (image) => image.evaluate(({ src }) => decodeURIComponent(src));
/** What a picture says: its texts, without their places. */
const wordsOf = (image) =>
  fileOf(image).then((file) => Array.from(file.matchAll(/<text\b[^]*?<\/text>/g), ([text]) => text.replaceAll(/<[^>]*>/g, '').replaceAll(/\s+/g, ' ').trim()));

test('a flowchart and a sequence diagram are pictures; before the first, nothing of what draws them is loaded', async () => {
  const seen = site.requests.length;
  const { page, problems } = await chat();
  const loaded = () => site.requests.slice(seen).map(({ pathname }) => pathname.slice(1)).filter((name) => /^(mermaid|diagrams|highlight)\b/.test(name));
  await ask(page, 'say\n```\nplain\n```');
  await finished(page, 1);
  assert.deepEqual(loaded(), []);
  await ask(page, answer(FLOW));
  await finished(page, 2);
  await drawn(page);
  await ask(page, answer(SEQUENCE));
  await finished(page, 3);
  await drawn(page, 2);
  assert.deepEqual(loaded(), ['diagrams.js', 'mermaid.js', 'diagrams.html']);
  const [flow, sequence] = await page.locator('.message.model .picture img').all();
  for (const [image, texts] of [[flow, ['Begin', 'Done?', 'End of it', 'yes']], [sequence, ['Alice', 'Hello Bob', 'Hello Alice']]]) {
    const { width, height } = await image.boundingBox();
    assert.ok(width > 100 && height > 100, `${width} x ${height}`);
    assert.ok(await image.evaluate(({ naturalWidth, complete }) => complete && naturalWidth > 100));
    assert.match(await fileOf(image), /^data:image\/svg\+xml;charset=utf-8,<svg /);
    const words = await wordsOf(image);
    for (const text of texts) assert.ok(words.includes(text), `${text} is in ${words}`);
  }
  assert.equal(await flow.getAttribute('alt'), 'Diagram. “Show code” has it as text.');
  assert.equal(await sequence.getAttribute('alt'), 'Diagram: A greeting');
  assert.deepEqual(problems, []);
  await page.close();
});

test('the code is one click away, and copied as other code is', async () => {
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const { page } = await chat();
  await ask(page, answer(FLOW));
  await finished(page, 1);
  await drawn(page);
  const [code, picture] = [page.locator('.message.model pre'), page.locator('.message.model .picture')];
  assert.deepEqual([await code.isVisible(), await picture.isVisible()], [false, true]);
  const copied = async () => {
    await page.evaluate(() => navigator.clipboard.writeText(''));
    await page.click('.message.model figure.diagram button:last-of-type');
    return until(() => page.evaluate(() => navigator.clipboard.readText()), (text) => text !== '');
  };
  assert.equal(await copied(), FLOW);
  await page.locator('.message.model figure.diagram button', { hasText: 'Show code' }).focus();
  await page.keyboard.press('Enter');
  assert.deepEqual([await code.isVisible(), await picture.isVisible()], [true, false]);
  assert.equal(await code.innerText(), FLOW);
  assert.equal(await copied(), FLOW);
  await page.click('.message.model >> text=Show diagram');
  assert.deepEqual([await code.isVisible(), await picture.isVisible()], [false, true]);
  await page.close();
});

test('a block is code until its end is written, and then one picture, whatever follows', async () => {
  const { page, show, problems } = await layout();
  const text = `Here:\n\n${block(FLOW)}`;
  for (let end = 1; end < text.length; end += 3) {
    await show(text.slice(0, end), true);
    assert.equal(await page.locator('figure.diagram').count(), 0, text.slice(0, end));
  }
  await show(`${text}\n`, true);
  await drawn(page);
  await page.evaluate(() => (globalThis.first = document.querySelector('.picture img')));
  await page.click('text=Show code');
  for (const more of ['\n\nAnd', '\n\nAnd so on.\n\nThe end']) await show(text + more, true);
  await show(`${text}\n\nAnd so on.\n\nThe end.`);
  assert.ok(await page.evaluate(() => document.querySelector('.picture img') === globalThis.first), 'the picture is the same');
  assert.ok(await page.locator('figure.diagram pre').isVisible(), 'and the reader’s choice');
  await show(`Here:\n\n${block(SEQUENCE)}`);
  await page.waitForFunction(() => document.querySelector('.picture img')?.alt.includes('greeting'));
  assert.deepEqual(problems, []);
  await page.close();
});

test('what Mermaid cannot parse stays code, with what it says about the line', async () => {
  const { page, show, problems } = await layout();
  const broken = 'flowchart TD\n  A[Begin] --> B{Done?\n  B -->';
  await show(block(broken));
  const text = await remark(page);
  assert.match(text, /^This is no diagram that can be drawn: .*line \d/);
  assert.ok(text.length < 300, text);
  await show(block('nothing of the kind <b>at all</b>'.repeat(50)));
  await page.waitForFunction(() => /No diagram type/.test(document.querySelector('.no-diagram')?.textContent));
  assert.ok((await remark(page)).length < 300);
  assert.deepEqual([await page.locator('figure.diagram pre').isVisible(), await page.locator('.picture, .no-diagram b').count()], [true, 0]);
  // A frame that refused one draws the next.
  await show(`${block(broken)}\n\n${block(FLOW)}`);
  await drawn(page);
  assert.deepEqual(problems, []);
  await page.close();
});

test('a message of the person shows its diagrams, and all else as it was written', async () => {
  const { page, problems } = await chat();
  const message = `Is **this** right?\n  1\n\n${block(SEQUENCE)}\n\nAnd <b>this</b>: \`\`\`mermaid`;
  await ask(page, message);
  await finished(page, 1);
  await drawn(page, 1, '.message.user');
  assert.deepEqual(await page.locator('.message.user p:visible').allInnerTexts(), ['Is **this** right?\n  1', 'And <b>this</b>: ```mermaid']);
  assert.equal(await page.locator('.message.user > p').textContent(), message);
  await page.click('.message.user [data-tool=edit]');
  assert.equal(await page.inputValue('.message.user textarea'), message);
  await page.fill('.message.user textarea', 'Only words');
  await page.click('.message.user button.primary');
  await page.waitForFunction(() => document.querySelector('.message.user > p')?.textContent === 'Only words');
  assert.equal(await page.locator('.message.user figure').count(), 0);
  assert.deepEqual(problems, []);
  await page.close();
});

const owned = 'parent.parent.postMessage(`owned`,`*`)';
/** Diagrams that try to run scripts, to load something, or to loosen what they are drawn under. */
const hostile = (url) => ({
  'a script in a label': `flowchart TD\n  A["<script>${owned}</script><img src='${url}/1' onerror='${owned}'>"] --> B["<iframe srcdoc='<script>${owned}</script>'></iframe>"]`,
  'a click that runs': `flowchart TD\n  A --> B\n  click A "javascript:${owned}"\n  click B href "javascript:${owned}"\n  click B call alert()`,
  'a click that leads away': `flowchart TD\n  A --> B\n  click A href "${url}/2" _top`,
  'a looser level': `%%{init: {"securityLevel": "loose", "htmlLabels": true, "secure": [], "flowchart": {"htmlLabels": true}}}%%\nflowchart TD\n  A["<img src='${url}/3' onerror='${owned}'>"] --> B\n  click A call alert(${owned})`,
  'a looser level in front matter': `---\nconfig:\n  securityLevel: loose\n  htmlLabels: true\n  dompurifyConfig:\n    ADD_TAGS: [script, iframe]\n    ADD_ATTR: [onerror, srcdoc]\n  flowchart:\n    htmlLabels: true\n---\nflowchart TD\n  A["<img src='${url}/4' onerror='${owned}'>"] --> B`,
  'styles from elsewhere': `%%{init: {"themeCSS": "@import url(${url}/5); * { background: url(${url}/6) }", "fontFamily": "x; } @import '${url}/7'; * { background: url(${url}/8) "}}%%\nflowchart TD\n  A --> B`,
  'a style of a node': `flowchart TD\n  A --> B\n  classDef c fill:red,background-image:url(//${new URL(url).host.replace(':', '\\:')}/9),filter:url(${'#'}x)\n  class B c\n  style A fill:url(/10)`,
  'theme variables': `%%{init: {"theme": "base", "themeVariables": {"primaryColor": "red; } * { background: url(${url}/12) } a {", "lineColor": "</style><script>${owned}</script>"}}}%%\nflowchart TD\n  A --> B`,
  'a picture': `flowchart TD\n  A@{ img: "${url}/13", label: "A", w: 60, h: 60 } --> B`,
  'a link of an actor': `sequenceDiagram\n  participant A\n  links A: {"x": "javascript:${owned}", "y": "${url}/14"}\n  A->>A: <svg onload=${owned}></svg>`,
  'a class with a callback': `classDiagram\n  class A\n  callback A "${owned}"\n  link A "javascript:${owned}"\n  note for A "<img src=${url}/15 onerror=${owned}>"`,
});

test('a hostile diagram runs nothing, loads nothing and changes nothing on the page', async () => {
  const { page, show, problems } = await layout();
  const dialogs = [];
  const foreign = [];
  const failures = new Map();
  page.on('dialog', (dialog) => (dialogs.push(dialog.message()), dialog.dismiss()));
  // What a policy refuses is a request here too, but nobody is asked.
  page.on('requestfailed', (request) => failures.set(request, request.failure().errorText));
  page.on('request', (request) => /^(data|blob):/.test(request.url()) || request.url().startsWith(site.url) || foreign.push(request));
  await page.evaluate(() => {
    globalThis.messages = [];
    addEventListener('message', ({ data }) => globalThis.messages.push(data));
    globalThis.outside = () => {
      const copy = document.documentElement.cloneNode(true);
      copy.querySelector('.message.model').remove();
      copy.querySelector('iframe.drawing')?.remove();
      return copy.outerHTML;
    };
    globalThis.before = globalThis.outside();
  });
  let pictures = 0;
  for (const [name, source] of Object.entries(hostile(elsewhere.url))) {
    await page.evaluate(() => globalThis.begin());
    await show(block(source));
    await page.waitForSelector('.picture img, .no-diagram');
    pictures += await page.locator('.picture img').count();
    const elements = await page.evaluate(() => [...document.querySelectorAll('.message.model *')].map(({ localName }) => localName).filter((name) => !/^(div|figure|figcaption|span|button|pre|code|img|p|bdi)$/.test(name)));
    assert.deepEqual(elements, [], name);
    for (const image of await page.locator('.picture img').all()) {
      const file = await fileOf(image);
      // A link to elsewhere may stand there: in a picture nobody can follow it.
      const found = /<(?:script|iframe|img)\b[^>]*|<[^<>]*\s(?:on\w+=|(?:xlink:)?href="\s*javascript:)[^>]*|@import[^}]*/i.exec(file)?.[0];
      assert.equal(found, undefined, name);
    }
    assert.ok(await page.evaluate(() => globalThis.outside() === globalThis.before), `${name}: the page is as it was`);
  }
  // Most of them are diagrams all the same.
  assert.ok(pictures >= 6, `${pictures} pictures`);
  await page.waitForTimeout(500);
  assert.deepEqual([dialogs, elsewhere.requests], [[], []]);
  assert.deepEqual(foreign.map((request) => failures.get(request)).filter((reason) => !/csp|ERR_BLOCKED/i.test(reason)), []);
  assert.ok(await page.evaluate(() => !globalThis.messages.includes('owned')));
  assert.deepEqual(problems.filter((text) => !/Content Security Policy|not allowed to load|Refused to/i.test(text)), []);
  await page.close();
});

test('whatever ran in the frame that draws would reach neither the page nor a network', async () => {
  const { page } = await openPage(browser.context, `${site.url}/?fake=1`);
  const code = (url) => `(async () => {
    const tried = async (f) => { try { return String(await f()); } catch (error) { return error.name; } };
    const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const found = {
      origin: self.origin,
      page: await tried(() => parent.parent.document.title),
      frame: await tried(() => parent.document.title),
      storage: await tried(() => localStorage.length),
      fetch: await tried(() => fetch('${url}/fetch')),
      socket: await tried(() => new Promise((resolve) => { const one = new WebSocket('${url.replace('http', 'ws')}/socket'); one.onerror = () => resolve('failed'); one.onopen = () => resolve('open'); })),
      eval: await tried(() => (0, eval)('1')),
      worker: await tried(() => new Promise((resolve) => { const one = new Worker(URL.createObjectURL(new Blob(['postMessage(1)']))); one.onmessage = () => resolve('ran'); one.onerror = () => resolve('refused'); setTimeout(() => resolve('silent'), 500); })),
      top: await tried(() => { top.location = '${url}/top'; return 'asked'; }),
      popup: await tried(() => open('${url}/popup') === null),
    };
    document.body.innerHTML = '<img src="${url}/image" onerror="parent.parent.postMessage({ handler: true }, \\'*\\')"><style>@import url(${url}/style); body { background: url(${url}/background) }</style><iframe src="${url}/frame"></iframe><svg onload="parent.parent.postMessage({ handler: true }, \\'*\\')"></svg>';
    document.body.append(Object.assign(document.createElement('script'), { textContent: 'parent.parent.postMessage({ handler: true }, "*")' }));
    await after(300);
    parent.parent.postMessage({ found }, '*');
    location = '${url}/away';
  })()`;
  const told = await page.evaluate(async (code) => {
    const frame = Object.assign(document.createElement('iframe'), { src: 'diagrams.html', className: 'drawing' });
    await new Promise((resolve) => ((frame.onload = resolve), document.body.append(frame)));
    const told = [];
    addEventListener('message', ({ source, data }) => source !== window && told.push(data));
    frame.contentWindow.frames[0].postMessage(code, '*');
    while (!told.some(({ found }) => found)) await new Promise((resolve) => setTimeout(resolve, 50));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    return told;
  }, code(elsewhere.url));
  assert.equal(told.length, 1, JSON.stringify(told));
  const { worker, socket, ...found } = told[0].found;
  assert.notEqual(worker, 'ran');
  assert.notEqual(socket, 'open');
  assert.deepEqual(found, {
    origin: 'null', page: 'SecurityError', frame: 'SecurityError', storage: 'SecurityError', fetch: 'TypeError', eval: 'EvalError', top: 'SecurityError', popup: 'true',
  });
  assert.equal(new URL(page.url()).origin, site.url);
  assert.deepEqual(elsewhere.requests, []);
  // They would have been seen.
  await page.evaluate((url) => fetch(`${url}/seen`).catch(() => undefined), elsewhere.url);
  assert.deepEqual(elsewhere.requests.splice(0).map(({ pathname }) => pathname), ['/seen']);
  await page.close();
});

test('the policy of the frame that draws names the script in it', () => {
  const html = readFileSync(path.join(dist, 'diagrams.html'), 'utf8');
  const [, script] = /<script>([^]*?)<\/script>/.exec(html);
  const hash = createHash('sha256').update(script).digest('base64');
  assert.ok(html.includes(`script-src 'sha256-${hash}' blob:;`), `write sha256-${hash} into the policy of app/public/diagrams.html`);
});

test('a source that is too long stays code', async () => {
  const { page, show } = await layout();
  const seen = site.requests.length;
  await show(block(`${FLOW}\n%% ${'x'.repeat(20_000)}`));
  assert.equal(await remark(page), 'Shown as code: it has more than 20,000 characters, too many for a diagram.');
  assert.ok(await page.locator('figure.diagram pre').isVisible());
  assert.ok(!site.requests.slice(seen).some(({ pathname }) => pathname === '/mermaid.js'));
  await page.close();
});

test('a diagram that never ends is stopped; the page answers meanwhile, and others are drawn', async () => {
  const endless = `
    addEventListener('message', ({ data: { id, source } }) => {
      while (source.includes('endless'));
      parent.parent.postMessage({ id, svg: '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><circle r="25"/></svg>', width: 50, height: 50, label: '' }, '*');
    });
    parent.parent.postMessage('drawing', '*');`;
  const { page, show, problems } = await layout();
  await page.route('**/mermaid.js', (route) => route.fulfill({ contentType: 'text/javascript', body: endless }));
  await page.evaluate(() => {
    globalThis.longest = 0;
    let last = performance.now();
    setInterval(() => {
      const now = performance.now();
      globalThis.longest = Math.max(globalThis.longest, now - last);
      last = now;
    }, 20);
  });
  await show(`${block('one')}\n\n${block('endless')}\n\n${block('two')}`);
  await drawn(page, 2);
  assert.equal(await remark(page), 'Shown as code: drawing the diagram took more than 10 seconds.');
  assert.equal(await page.locator('figure.diagram pre:visible').innerText(), 'endless');
  assert.equal(await page.locator('iframe.drawing').count(), 1, 'one frame, without the loop');
  const longest = await page.evaluate(() => globalThis.longest);
  assert.ok(longest < 2500, `the page was without an answer for ${longest} ms`);
  assert.deepEqual(problems, []);
  await page.close();
});

test('what the frame says is no picture unless it is one', async () => {
  const says = (answer) => `addEventListener('message', ({ data: { id } }) => parent.parent.postMessage({ id, ...${answer} }, '*')); parent.parent.postMessage('drawing', '*');`;
  const wrong = {
    'no file': "{ svg: 5, width: 10, height: 10, label: '' }", 'no size': "{ svg: '<svg/>', width: NaN, height: 10, label: '' }", 'a huge one': "{ svg: '<svg/>', width: 10, height: 1e9, label: '' }",
    'a broken one': "{ svg: '<svg', width: 10, height: 10, label: '' }", markup: "{ svg: '<p onclick=alert(1)>x</p>', width: 10, height: 10, label: '' }", 'long words': "{ error: '<b>x</b>'.repeat(1e6) }",
  };
  for (const [name, answer] of Object.entries(wrong)) {
    const { page, show } = await layout();
    await page.route('**/mermaid.js', (route) => route.fulfill({ contentType: 'text/javascript', body: says(answer) }));
    await show(block(name));
    const text = await remark(page);
    assert.match(text, name === 'long words' ? /^This is no diagram that can be drawn: .{200}…$/ : /^Shown as code: the diagram is empty, or too large for a picture\.$/, name);
    assert.equal(await page.locator('.picture, .no-diagram b').count(), 0);
    await page.close();
  }
});

test('a diagram stays code where what draws it cannot be loaded, and the next one tries again', async () => {
  const { page, show } = await layout();
  await page.route('**/mermaid.js', (route) => route.fulfill({ status: 503 }));
  await show(block(FLOW));
  assert.match(await remark(page), /what draws diagrams cannot be loaded\. Check the connection/);
  await page.unroute('**/mermaid.js');
  await show(block(SEQUENCE));
  await drawn(page);
  await page.close();
});

test('diagrams take the page’s colours, also when those change', async () => {
  const { page, problems } = await chat();
  await ask(page, answer(FLOW));
  await finished(page, 1);
  await drawn(page);
  const image = page.locator('.message.model .picture img');
  const light = await fileOf(image);
  assert.match(light, /#1d1f1e/i);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.waitForFunction((src) => decodeURIComponent(document.querySelector('.message.model .picture img').src) !== src, light);
  const dark = await fileOf(image);
  assert.match(dark, /#eceeea/i);
  assert.doesNotMatch(dark, /#1d1f1e/i);
  assert.equal(await page.locator('.message.model figure.diagram button').count(), 2);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.waitForFunction((src) => decodeURIComponent(document.querySelector('.message.model .picture img').src) === src, light);
  assert.deepEqual(problems, []);
  await page.close();
});

test('of many diagrams those are drawn that are near, the others when they come near', async () => {
  const { page, show, problems } = await layout();
  const many = 80;
  await show(Array.from({ length: many }, (_, i) => block(`flowchart TD\n  A${i}[Number ${i}] --> B --> C --> D`)).join('\n\n'));
  await drawn(page, 1);
  await page.waitForTimeout(1500);
  const first = await page.locator('.picture img').count();
  assert.ok(first < many / 2, `${first} of ${many}`);
  await page.locator('figure.diagram').last().scrollIntoViewIfNeeded();
  await page.waitForFunction((last) => document.querySelectorAll('figure.diagram')[last].querySelector('.picture img'), many - 1);
  assert.deepEqual(problems, []);
  await page.close();
});

test('a wide diagram is scrolled within its block, on a narrow page that runs from right to left too', async () => {
  const arabic = await startBrowser({ locale: 'ar', bypassCSP: true });
  const { page, problems } = await openLoadedAt(arabic.context, `${site.url}/?fake=1`, { viewport: { width: 390, height: 800 } });
  await ask(page, `${answer(WIDE)}\n\n${block(SEQUENCE)}\n\n${block('flowchart TD\n  A --> ')}`);
  await finished(page, 1);
  await drawn(page, 1);
  await page.locator('.message.model figure.diagram').nth(2).scrollIntoViewIfNeeded();
  await page.waitForSelector('.message.model .no-diagram');
  await drawn(page, 2);
  const [all, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(all <= shown, `${all} of ${shown}`);
  const beyond = await page.evaluate(() => [...document.querySelectorAll('figure.diagram')].map((figure) => figure.getBoundingClientRect()).filter(({ left, right }) => left < 0 || right > innerWidth).length);
  assert.equal(beyond, 0, 'blocks are within the window, those of the message too');
  const wide = await page.locator('.message.model .picture').first().evaluate(({ scrollWidth, clientWidth }) => [scrollWidth, clientWidth]);
  assert.ok(wide[0] > 2 * wide[1], `${wide}`);
  assert.ok((await page.locator('.message.model .picture img').nth(1).boundingBox()).width <= 390);
  assert.equal(await page.locator('.message.model .picture img').nth(1).getAttribute('alt'), 'مخطط: \u2068A greeting\u2069');
  assert.match(await page.locator('.message.model .no-diagram').innerText(), /^لا يمكن رسم هذا المخطط/);
  await clean(page, 'diagrams from right to left');
  assert.deepEqual(problems, []);
  await arabic.close();
});

test('diagrams are drawn without a network, once one was drawn with it', async () => {
  const keeping = await startBrowser({ serviceWorkers: 'allow' });
  const own = await startServer({ '/': dist });
  const { page } = await openPage(keeping.context, `${own.url}/?fake=1`);
  await page.waitForFunction(() => navigator.serviceWorker.controller?.state === 'activated');
  await page.click('#load-embedded');
  await waitForChat(page);
  await ask(page, answer(FLOW));
  await finished(page, 1);
  await drawn(page);
  await until(() => keptLater(page), (kept) => kept.some((url) => url.includes('/mermaid.js')));
  await own.close();
  await page.reload();
  await page.waitForSelector('.message.model');
  await drawn(page);
  await keeping.close();
});
