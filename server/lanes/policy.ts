// A routing policy as data: words, task classes with the cost of failure, ordered rules, conditions of promotion and
// demotion. Owns the shape of the file and its checks, down to the names of facts; decides nothing.
// Before it: a JSON file; after it: decide.ts.
import { z } from 'zod';
import { checkJson } from '../base/json-body.ts';
import type { TaskSignals, Vocabulary } from './signals.ts';

const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const RULES_MAX = 64;
const WORDS_MAX = 512; // per category
const CATEGORIES_MAX = 32;
const CLASSES_MAX = 32;
const REASON_MAX = 240; // characters

const COSTS = ['low', 'medium', 'high'] as const;
export type CostOfFailure = (typeof COSTS)[number];

/** Facts of a condition beside `words.<category>`: signals, and what the session has been through. */
const SIGNAL_FACTS = [
  'turnIndex',
  'midTurn',
  'promptTokens',
  'contextTokens',
  'outputTokensMax',
  'toolsOffered',
  'toolCalls',
  'toolFailures',
  'recentFailures',
  'filesNamed',
  'filesTouched',
  'linesChanged',
  'reworkTurns',
  'background',
] as const satisfies readonly (keyof TaskSignals)[];
const STATE_FACTS = [
  'turnsInLane', // turns since the session came to its lane
  'filesGrown', // files touched since then
  'linesGrown', // lines changed since then
  'reworkGrown', // turns sent back since then
  'promotions',
  'delegated', // background tasks of the session that are under way
  'costOfFailure', // of the class that the rules chose: promotion and demotion only
] as const;

export type Fact = (typeof SIGNAL_FACTS)[number] | (typeof STATE_FACTS)[number] | `words.${string}`;

const name = z.string().regex(NAME, 'a name of a-z, 0-9 and -');
const phrase = z
  .string()
  .min(1)
  .max(64)
  .regex(/[^*\s]/, 'a word, not only *'); // `word*`: whatever begins with it
const reason = z.string().min(1).max(REASON_MAX); // {fact} stands for its value
const test = z.union([
  z.number(),
  z.boolean(),
  z.enum(COSTS),
  z.strictObject({ atLeast: z.number().optional(), atMost: z.number().optional() }),
  z.strictObject({ oneOf: z.array(z.enum(COSTS)).min(1).max(3) }),
]);

/** All tests hold; `any`: one of these conditions as well; `not`: and not this one. {} always holds. */
export interface Condition {
  readonly any?: readonly Condition[] | undefined;
  readonly not?: Condition | undefined;
  readonly facts?: Readonly<Record<string, z.output<typeof test>>> | undefined;
}

const condition: z.ZodType<Condition> = z.lazy(() =>
  z.strictObject({
    any: z.array(condition).min(1).max(16).optional(),
    not: condition.optional(),
    facts: z
      .record(
        z.string().refine(isFact, {
          message: `a fact: ${[...SIGNAL_FACTS, ...STATE_FACTS].join(', ')}, words.<category>`,
        }),
        test,
      )
      .optional(),
  }),
);

const move = z.strictObject({ name, when: condition, to: name, reason });

const policySchema = z
  .strictObject({
    name,
    /** Lanes from the quickest to the strongest: to the right is promotion. */
    order: z.array(name).min(1).max(8),
    words: z
      .record(name, z.array(phrase).max(WORDS_MAX))
      .refine((words) => Object.keys(words).length <= CATEGORIES_MAX, {
        message: `at most ${CATEGORIES_MAX} categories`,
      }),
    /** Words of a category do not count behind (or before) one of these within a clause, unless one of `unless` follows it. */
    negations: z
      .strictObject({
        before: z.array(phrase).max(WORDS_MAX).default([]),
        after: z.array(phrase).max(WORDS_MAX).default([]),
        unless: z.array(phrase).max(WORDS_MAX).default([]),
      })
      .optional(),
    classes: z
      .record(
        name,
        z.strictObject({
          lane: name,
          costOfFailure: z.enum(COSTS),
          about: z.string().max(REASON_MAX).optional(),
        }),
      )
      .refine((classes) => Object.keys(classes).length <= CLASSES_MAX, {
        message: `at most ${CLASSES_MAX} classes`,
      }),
    /** The first that holds decides the class; the lane is the class's unless the rule names one. */
    rules: z
      .array(z.strictObject({ name, when: condition, class: name, lane: name.optional(), reason }))
      .max(RULES_MAX),
    otherwise: z.strictObject({ class: name, lane: name.optional(), reason }),
    promote: z.array(move).max(RULES_MAX),
    demote: z.array(move).max(RULES_MAX),
  })
  .superRefine((policy, context) => {
    for (const { path, message } of contradictions(policy))
      context.addIssue({ code: 'custom', path, message });
  });

export type Policy = z.output<typeof policySchema>;

/** A file that is no policy: which place, what would be accepted. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

/** Checks everything that can be checked without lanes. Throws PolicyError. */
export function parsePolicy(value: unknown): Policy {
  const parsed = checkJson(value, policySchema);
  if (parsed.ok) return parsed.value;
  throw new PolicyError(parsed.fault.message);
}

/** Patterns of the policy's words. Make it once per policy. */
export function vocabularyOf({ words, negations }: Policy): Vocabulary {
  const { before = [], after = [], unless = [] } = negations ?? {};
  const but = unless.length === 0 ? '' : `(?!\\s*(?:${alternativesOf(unless)}))`;
  return {
    words: new Map(Object.entries(words).map(([category, list]) => [category, patternOf(list, 'giu')])),
    negatedBefore: before.length === 0 ? null : new RegExp(`(?:${alternativesOf(before)})${but}`, 'iu'),
    negatedAfter: after.length === 0 ? null : patternOf(after, 'iu'),
  };
}

function patternOf(list: readonly string[], flags: string): RegExp {
  return new RegExp(list.length === 0 ? '(?!)' : alternativesOf(list), flags);
}

// Whole words, any case, spaces as any white space; scripts that put no spaces between words are found anywhere.
function alternativesOf(list: readonly string[]): string {
  const spaced = list.filter((word) => !UNSPACED.test(word)).map(escapedWord);
  const unspaced = list.filter((word) => UNSPACED.test(word)).map(escapedWord);
  const whole =
    spaced.length === 0 ? [] : [`(?<!${WORD_CHARACTER})(?:${spaced.join('|')})(?!${WORD_CHARACTER})`];
  return [...whole, ...unspaced].join('|');
}

const WORD_CHARACTER = '[\\p{L}\\p{N}_-]';
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

function escapedWord(word: string): string {
  const escaped = word
    .trim()
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/\s+/g, '\\s+');
  return escaped.replaceAll('*', '[\\p{L}\\p{N}_]*');
}

function isFact(fact: string): boolean {
  const known: readonly string[] = [...SIGNAL_FACTS, ...STATE_FACTS];
  return known.includes(fact) || fact.startsWith('words.');
}

interface Contradiction {
  readonly path: (string | number)[];
  readonly message: string;
}

type Draft = Pick<
  z.output<typeof policySchema>,
  'order' | 'words' | 'classes' | 'rules' | 'otherwise' | 'promote' | 'demote'
>;

function contradictions(policy: Draft): Contradiction[] {
  const { order, words, classes, rules, otherwise, promote, demote } = policy;
  const found: Contradiction[] = [];
  const lane = (path: (string | number)[], given: string | undefined) => {
    if (given !== undefined && !order.includes(given)) {
      found.push({ path, message: `${given} is not in order (${order.join(', ')})` });
    }
  };
  const facts = (path: (string | number)[], { any, not, facts: tests }: Condition, early: boolean): void => {
    for (const fact of Object.keys(tests ?? {})) {
      if (fact.startsWith('words.') && !(fact.slice(6) in words)) {
        found.push({ path: [...path, fact], message: `there is no category ${fact.slice(6)}` });
      } else if (early && fact === 'costOfFailure') {
        found.push({
          path: [...path, fact],
          message: 'is what the rules decide; only promote and demote know it',
        });
      }
    }
    for (const inner of any ?? []) facts(path, inner, early);
    if (not !== undefined) facts(path, not, early);
  };
  for (const [name, { lane: given }] of Object.entries(classes)) lane(['classes', name, 'lane'], given);
  for (const [index, rule] of [...rules, { ...otherwise, when: {} }].entries()) {
    const path = index < rules.length ? ['rules', index] : ['otherwise'];
    lane([...path, 'lane'], rule.lane);
    facts([...path, 'when'], rule.when, true);
    if (!(rule.class in classes))
      found.push({ path: [...path, 'class'], message: `there is no class ${rule.class}` });
  }
  for (const [kind, moves] of [
    ['promote', promote],
    ['demote', demote],
  ] as const) {
    for (const [index, { to, when }] of moves.entries()) {
      lane([kind, index, 'to'], to);
      facts([kind, index, 'when'], when, false);
    }
  }
  return found;
}
