import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JinjaError } from '../../../models/jinja/jinja-error.ts';
import { Template } from '../../../models/jinja/template.ts';

const { messages, tools, cases } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../golden/templates/cases.json'), 'utf8'),
) as { messages: object[]; tools: object[]; cases: [string, string | null][] };
const templates = cases.map(([template]) => template);

/** Templates with a piece of them taken out, doubled, or put into another. */
const damaged = fc
  .tuple(fc.constantFrom(...templates), fc.constantFrom(...templates), fc.nat(200), fc.nat(20), fc.nat(200))
  .map(([one, other, at, length, to]) => {
    const piece = other.slice(at % (other.length + 1), (at % (other.length + 1)) + length);
    const place = to % (one.length + 1);
    return one.slice(0, place) + piece + one.slice(place + (length % 3));
  });

test('whatever a template is, it renders or is refused in words', () => {
  fc.assert(
    fc.property(damaged, (text) => {
      try {
        expect(typeof new Template(text).render({ messages, tools })).toBe('string');
      } catch (error) {
        if (!(error instanceof JinjaError)) throw new Error(`${JSON.stringify(text)}: ${String(error)}`);
        expect(error.message).not.toBe('');
      }
    }),
    { numRuns: 3000 },
  );
});
