// The playground in a browser, against the real model: what a person does there, under the page's own policy.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chromium, type PageRig, pageRig, seriousFaults } from '../page-rig.ts';

let rig: PageRig;

describe.skipIf(chromium === null)('the playground', () => {
  beforeAll(async () => {
    rig = await pageRig({ contextTokens: '2048', slots: '4', temperature: '0' });
  });
  afterAll(() => rig.close());

  const written = (page: Page) => page.locator('[aria-busy=true]').waitFor({ state: 'detached' });
  const answerDone = '.turn.assistant.done .answer-line';

  test('answers as it writes, and tells what the answer cost', async () => {
    const page = await rig.open();
    await page.getByLabel('Message').fill('What is the capital of France?');
    await page.keyboard.press('Enter');
    await page.waitForSelector(answerDone);
    const text = await page.locator('.turn.assistant').textContent();
    expect(text).toContain('Paris');
    expect(text).toMatch(/First token[\d.]+ m?s/);
    expect(text).toMatch(/Cached\d+ of \d+/);
    await page.context().close();
  });

  test('is steered in mid-answer, stopped, and edited with a word of what stays cached', async () => {
    const page = await rig.open();
    const message = page.getByLabel('Message');
    await message.fill('Write a long story about a dog that sails around the world.');
    await message.press('Enter');
    await page.locator('.prose', { hasText: /.{20}/ }).waitFor();
    await message.fill('Stop the story. What is the capital of France?');
    await message.press('Enter');
    await page.waitForSelector('.turn.user.steering');
    await page.waitForSelector('.turn.assistant.steered .prose');
    expect(await page.locator('.turn').count()).toBe(4);
    await message.press('Escape');
    await written(page);

    await page.getByRole('button', { name: 'Edit' }).last().click();
    const status = page.locator('.turn.editing [role=status]');
    await page.getByLabel('Say it otherwise').fill('Stop. What is the capital of Spain?');
    await status.filter({ hasText: /Keeps [1-9]/ }).waitFor();
    const [, kept] = /Keeps ([\d,]+) of/.exec((await status.textContent())!)!;
    expect(Number(kept!.replace(',', '')) % 16).toBe(0); // whole blocks
    await page.getByRole('button', { name: 'Ask again' }).click();
    await page.waitForSelector('.turn.assistant.writing, .turn.assistant.done, .turn.assistant.cut');
    await written(page);
    const cached = await page.locator('.turn.assistant').last().locator('.cached').textContent();
    expect(Number(/(\d+) of/.exec(cached!)![1])).toBeGreaterThanOrEqual(Number(kept!.replace(',', '')));
    await page.context().close();
  });

  test('holds an answer to a schema that was put together in the form', async () => {
    const page = await rig.open();
    await page.getByRole('button', { name: 'Form' }).click();
    await page.getByRole('button', { name: 'Schema' }).click();
    await page.getByLabel('Name of the field').fill('capital');
    await page.getByLabel('Message').fill('What is the capital of France? Answer in JSON.');
    await page.keyboard.press('Enter');
    await page.waitForSelector(answerDone);
    const answer = JSON.parse((await page.locator('.turn.assistant .prose').textContent())!) as object;
    expect(Object.keys(answer)).toEqual(['capital']);
    await page.context().close();
  });

  test('compares code of an answer to a file that was pasted, and applies it', async () => {
    const page = await rig.open();
    await page.getByRole('button', { name: 'File' }).click();
    await page.getByLabel('Text', { exact: true }).fill('function add(a, b) {\n  return a - b;\n}\n');
    await page.getByLabel('Message').fill('Write a JavaScript function add(a, b) that returns a + b.');
    await page.keyboard.press('Enter');
    await page.waitForSelector(answerDone, { timeout: 180_000 });
    await page.getByRole('button', { name: 'Compare to file' }).first().click();
    expect(await page.locator('.diff .line-out').count()).toBeGreaterThan(0);
    await page.getByRole('button', { name: 'Apply to file' }).click();
    const text = await page.getByLabel('Text', { exact: true }).inputValue();
    expect(text).toContain('a + b');
    await page.context().close();
  });

  test('a model without a middle says so, in words', async () => {
    const page = await rig.open();
    await page.getByRole('button', { name: 'Fill in the middle' }).click();
    await page.getByRole('button', { name: 'Fill in at the cursor' }).click();
    await page.waitForSelector('.fim .failure');
    expect(await page.locator('.fim').textContent()).toContain('was not made to fill in the middle');
    await page.context().close();
  });

  test.each([
    ['light', 1280], // colours are the scheme's, what lies where is the width's
    ['dark', 390],
  ] as const)('has no serious fault of accessibility: %s, %d pixels wide', async (colorScheme, width) => {
    const options = { colorScheme, viewport: { width, height: 800 }, bypassCSP: true };
    const page = await rig.open('/', options);
    await page.getByRole('button', { name: 'What is the capital of France?' }).click();
    await page.waitForSelector(answerDone);
    expect(await seriousFaults(page)).toEqual([]);
    const overflow = 'document.documentElement.scrollWidth > document.documentElement.clientWidth';
    expect(await page.evaluate(overflow)).toBe(false);
    await page.context().close();
  });

  test('nothing was blocked by the page’s own policy, and nothing went wrong', () => {
    const refusals = /status of 40[01]/; // of the model without a middle
    expect(rig.complaints.filter((text) => !refusals.test(text))).toEqual([]);
  });
});
