// keep_alive of a request, as Ollama writes it: a number of seconds or a duration; below zero for ever, zero not at all. Owns
// its reading. Before it: catalogue/choice.ts and the embeddings' routes.
import { z } from 'zod';

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const WHOLE = /^(-?\d+|-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)$/;
const BOUND = 'a number of seconds, or a duration such as 5m, is expected';

export const keepAliveField = z.union([z.number(), z.string().regex(WHOLE, BOUND)]).nullish();

/** Milliseconds; null: until memory is short; undefined: nothing was said. `value` passed the field's type. */
export function keepAliveMs(value: z.output<typeof keepAliveField>): number | null | undefined {
  if (value == null) return undefined;
  const text = String(value);
  if (text.startsWith('-')) return null;
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(amount) * UNITS_MS[unit!]!;
  return sum;
}
