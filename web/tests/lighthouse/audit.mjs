// Lighthouse over the page, in a Chromium of its own.
import { launch } from 'chrome-launcher';
import lighthouse, { desktopConfig, snapshot } from 'lighthouse';
import puppeteer from 'puppeteer-core';

const CATEGORIES = ['accessibility', 'best-practices'];
const CHROME = ['--headless=new', '--no-sandbox', '--no-first-run', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const QUIET = { onlyCategories: CATEGORIES, logLevel: 'error' };
const PATIENCE = { visible: true, timeout: 120_000 };

/** Of each state of the page the scores, from 0 to 1, and what lowers them in words. */
export async function audits(address, chromePath) {
  const chrome = await launch({ chromePath, chromeFlags: CHROME });
  try {
    const on = (config) => lighthouse(address, { ...QUIET, port: chrome.port }, config);
    return { phone: told(await on()), desktop: told(await on(desktopConfig)), chat: told(await chat(address, chrome.port)) };
  } finally {
    await chrome.kill();
  }
}

/** With the embedded model, after an answer. */
async function chat(address, port) {
  const browser = await puppeteer.connect({ browserURL: `http://127.0.0.1:${port}`, defaultViewport: { width: 1100, height: 800 } });
  const page = await browser.newPage();
  await page.goto(address);
  await (await page.waitForSelector('#load-embedded:enabled')).click();
  const prompt = await page.waitForSelector('#prompt:enabled', PATIENCE);
  await prompt.type('Why is the sky blue?');
  await prompt.press('Enter');
  await page.waitForSelector('.message.model .stats', PATIENCE);
  const result = await snapshot(page, { flags: QUIET, config: desktopConfig });
  await browser.disconnect();
  return result;
}

function told({ lhr: { audits, categories, runtimeError } }) {
  if (runtimeError) throw new Error(runtimeError.message);
  const all = CATEGORIES.flatMap((name) => categories[name].auditRefs).map(({ id, weight }) => ({ ...audits[id], weight }));
  const lacking = all.filter(({ score, weight }) => weight > 0 && score !== null && score < 1);
  return {
    scores: Object.fromEntries(CATEGORIES.map((name) => [name, categories[name].score])),
    looked: all.filter(({ score }) => score !== null).length,
    found: lacking.map(({ id, title, details }) => `${id}: ${title} ${JSON.stringify(details?.items ?? []).slice(0, 1500)}`),
  };
}
