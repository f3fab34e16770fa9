// The GPU goes away under the page, in ways that browsers have. Needs app/dist (npm run build) with a model in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerText, ask, finished, limitAnswers, pageUnderTest, waitForChat } from './person.mjs';

const openLoaded = pageUnderTest();

/** Loses the device in the middle of an answer: the model is loaded again, and the same answer goes on to its end. */
async function loseAndGoOn(lose) {
  const { page } = await openLoaded();
  await limitAnswers(page, 48);
  await ask(page, 'Tell me a short story about a cat.');
  await page.waitForFunction(() => document.querySelector('.message.model .body')?.textContent.length > 8);
  const before = (await answerText(page)).trim();
  await lose(page);
  await page.waitForSelector('#loading:visible');
  await waitForChat(page);
  await finished(page, 1);
  const whole = (await answerText(page)).trim();
  assert.ok(whole.startsWith(before) && whole.length > before.length, `${before} / ${whole}`);
  assert.equal(await page.locator('.message.model').count(), 1);
  assert.equal(await page.locator('.error').count(), 0);
  await page.close();
}

test('a device that is destroyed in an answer is had again, and the answer goes on', async () => {
  const destroy = (page) =>
    page.workers()[0].evaluate(() => {
      const { createCommandEncoder } = GPUDevice.prototype;
      GPUDevice.prototype.createCommandEncoder = function (...descriptor) {
        this.destroy();
        return createCommandEncoder.apply(this, descriptor);
      };
    });
  await loseAndGoOn(destroy);
});

test("after a crash of the browser's GPU process the answer goes on", async () => {
  // The process ends before it answers.
  const crash = async (page) => {
    const session = await page.context().browser().newBrowserCDPSession();
    void session.send('Browser.crashGpuProcess').catch(() => undefined);
  };
  await loseAndGoOn(crash);
});
