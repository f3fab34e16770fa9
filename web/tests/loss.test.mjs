// The GPU goes away under the page, in ways that browsers have. Needs app/dist (npm run build) with a model in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANSWER_MS, ask, expectError, finished, limitAnswers, pageUnderTest, waitForChat } from './person.mjs';

const openLoaded = pageUnderTest();

/** Loses the device in the middle of an answer, then goes on as the error says, without reloading the page. */
async function loseAndGoOn(lose) {
  const { page } = await openLoaded();
  await limitAnswers(page, 2000);
  await ask(page, 'Tell a long story, as long as you can.');
  await page.waitForFunction(() => document.querySelector('.message.model .body')?.textContent, null, { timeout: ANSWER_MS });
  await lose(page);
  const what = await expectError(page, /^device-lost$/);
  assert.equal(await page.locator('.error').count(), 1);
  assert.ok(await page.locator('#prompt').isDisabled());
  assert.equal(await page.locator('#stop:visible').count(), 0, 'the answer has ended');
  await page.click('.error button');
  await waitForChat(page);
  await limitAnswers(page, 4);
  await ask(page, 'Hi');
  await finished(page, 1);
  assert.equal(await page.locator('.error').count(), 0);
  await page.close();
  return what;
}

test('a device that is destroyed in an answer offers the way back', async (t) => {
  const destroy = (page) =>
    page.workers()[0].evaluate(() => {
      const { createCommandEncoder } = GPUDevice.prototype;
      GPUDevice.prototype.createCommandEncoder = function (...descriptor) {
        this.destroy();
        return createCommandEncoder.apply(this, descriptor);
      };
    });
  t.diagnostic(await loseAndGoOn(destroy));
});

test("a crash of the browser's GPU process in an answer offers the way back", async (t) => {
  // The process ends before it answers.
  const crash = async (page) => {
    const session = await page.context().browser().newBrowserCDPSession();
    void session.send('Browser.crashGpuProcess').catch(() => undefined);
  };
  t.diagnostic(await loseAndGoOn(crash));
});
