// What a person does in Fine-tune.
import { waitForChat } from './person.mjs';

export const FACTS = 'sample-examples';

/** Opens Fine-tune from the model's menu. */
export async function openTuning(page) {
  await page.click('#model-name');
  await page.click('[role=menuitem]:has-text("Fine-tune")');
  await page.waitForSelector('#tune:visible');
}

/** Twelve facts, `epochs` times, ready to start; without a question there are no sample answers. */
export async function prepare(page, { name = 'boat', epochs = 2, question } = {}) {
  await page.click(`#${FACTS}`);
  await page.waitForSelector('.preview');
  await page.fill('#adapter-name', name);
  await page.fill('[name=epochs]', String(epochs));
  if (question === undefined) await noSamples(page);
  else await page.fill('#sample-prompt', question);
  await ready(page);
}

export const noSamples = (page) => page.locator('[name=samples]').evaluate((field) => (field.value = 'none'));

/** Waits until a training can start. */
export async function ready(page) {
  await page.waitForTimeout(400); // changes are read after a rest
  await page.waitForSelector('#start-training:enabled');
}

export const start = (page) => page.click('#start-training');
export const ended = (page, timeout = 30_000) => page.waitForSelector('.result', { timeout });
export const stepOf = async (page) => Number((await page.locator('.numbers dd').first().innerText()).split(' ')[0].replace(',', ''));

/** Waits until more than `step` steps are shown. */
export const beyond = (page, step) =>
  page.waitForFunction((n) => Number(document.querySelector('.numbers dd')?.textContent.split(' ')[0]) > n, step);

/** Loads the model of the visit before. */
export async function loadLast(page) {
  await page.click('#load-last');
  await Promise.race([page.waitForSelector('#tune:visible'), waitForChat(page)]);
}

/** Drops files, `[name, text or bytes]` each, onto the window. */
export const drop = (page, ...files) =>
  page.evaluate((files) => {
    const data = new DataTransfer();
    for (const [name, content] of files) data.items.add(new File([typeof content === 'string' ? content : Uint8Array.from(content)], name));
    window.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
  }, files);

/** Drags a file or folder of this machine onto the window, as a person does. */
export async function dropPath(page, path) {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: [path], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) await session.send('Input.dispatchDragEvent', { type, x: 200, y: 200, data });
  await session.detach();
}

export const PEFT = (text = 'good') => [['adapter_config.json', '{}'], ['adapter_model.safetensors', text]];
/** The header of a GGUF adapter, as far as the page looks. */
export const GGUF = [...Buffer.from('GGUF\x03\0\0\0general.type\x08\0\0\0\x07\0\0\0\0\0\0\0adapter', 'latin1')];

export const adapters = (page) => page.locator('.adapter-name').allInnerTexts();
export const listed = (page, ...names) =>
  page.waitForFunction((list) => JSON.stringify([...document.querySelectorAll('.adapter-name')].map((e) => e.textContent)) === JSON.stringify(list), names);

/** Opens the menu of an adapter and chooses an entry. */
export async function chooseAdapter(page, name, entry) {
  await page.click(`[aria-label="More for adapter ${name}"]`);
  await page.click(`[role=menuitem]:has-text("${entry}")`);
}

export const toastText = async (page) => (await page.locator('.toast > span').innerText()).trim();
