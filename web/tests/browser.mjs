// Headless Chromium with WebGPU on its software adapter.
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

/** Milliseconds that a test waits for what is to come: no machine is so busy, and only what never comes is waited for so long. */
export const PATIENCE_MS = 120_000;

const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--disable-gpu-watchdog',
  // A camera and a microphone that need no permission.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];
const GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/**
 * Starts Chromium with a fresh profile. `webgpu: false` leaves it without an adapter; `extension` is a folder to load as one;
 * `serviceWorkers: 'allow'` lets pages keep themselves, and answer for servers.
 */
export async function startBrowser({ webgpu = true, extension, serviceWorkers = extension ? 'allow' : 'block', ...options } = {}) {
  const profile = mkdtempSync(path.join(os.tmpdir(), 'rullama-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [...FLAGS, ...(webgpu ? GPU : []), ...(extension ? [`--disable-extensions-except=${extension}`, `--load-extension=${extension}`] : [])],
    ignoreDefaultArgs: ['--disable-gpu', '--headless=old', ...(extension ? ['--disable-extensions'] : [])],
    viewport: { width: 1100, height: 800 },
    serviceWorkers,
    ...options,
    timeout: PATIENCE_MS,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const close = async () => {
    await context.close().catch(() => undefined);
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  };
  return { context, close };
}

/** Opens an address; `problems` collects what the page logs as errors. */
export async function openPage(context, address, options = {}) {
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  if (options.viewport) await page.setViewportSize(options.viewport);
  if (options.colorScheme) await page.emulateMedia({ colorScheme: options.colorScheme });
  await page.goto(address);
  return { page, problems };
}
