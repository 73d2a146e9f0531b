// Small templates, one for each thing that chat templates do, against what transformers' Jinja made of them
// (test/golden/templates/make.py). Null: it refused.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Template } from '../../models/jinja/template.ts';

const { messages, tools, tokens, cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, 'templates/cases.json'), 'utf8'),
) as {
  readonly messages: readonly object[];
  readonly tools: readonly object[];
  readonly tokens: Readonly<Record<string, string>>;
  readonly cases: readonly (readonly [template: string, result: string | null])[];
};

function rendered(template: string): string | null {
  const variables = { ...tokens, messages, tools, documents: null, add_generation_prompt: true };
  try {
    return new Template(template).render(variables, () => new Date(2026, 10, 28));
  } catch {
    return null;
  }
}

test('templates give what transformers gives', () => {
  expect(cases.length).toBeGreaterThan(350);
  expect(cases.map(([template]) => [template, rendered(template)])).toEqual(cases);
});
