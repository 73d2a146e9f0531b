// How long a grammar that was written to be dear holds the event loop: the longest portion of compiling it and the longest
// of its first masks, in the thread's own milliseconds: of all, and of those in which no garbage was collected. Work is counted in
// test/unit/server/grammar/portions.test.ts; here is what it takes.
// Run: npx tsx test/bench/grammar-portions.bench.ts [beginning of a name]
import { PerformanceObserver } from 'node:perf_hooks';
import { argv } from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { type Clock, WallClock } from '../../kernels/clock.ts';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { resolveModel } from '../../models/model.ts';
import { GrammarCompiler, type GrammarSource } from '../../server/grammar/compiler.ts';
import { threadMs } from './thread-time.ts';

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const word = (index: number): string => ((index * 2_654_435_761) >>> 0).toString(36);
const words = (seed: number): string => many(100, (i) => `${word(seed * 100 + i)}[a-z]{1,4}x`).join('|');
const schema = (value: unknown): GrammarSource => ({ kind: 'json-schema', schema: value, strict: true });
const text = (...patterns: readonly string[]) =>
  schema({ type: 'string', allOf: patterns.map((pattern) => ({ pattern })) });
const keys = (patterns: readonly string[]) =>
  schema({ type: 'object', patternProperties: Object.fromEntries(patterns.map((one) => [one, true])) });
const properties = (count: number) =>
  schema({
    type: 'object',
    properties: Object.fromEntries(many(count, (i) => [`p${i}`, { type: 'integer' }])),
  });

const sources: Readonly<Record<string, GrammarSource>> = {
  '5,000 properties': properties(5000),
  '3,000 Lark terminals': {
    kind: 'lark',
    definition: `start: ${many(3000, (i) => `/w${i}x*[a-z]*/`).join('|')}`,
  },
  'a pattern of 1,800 characters': text(`^(${words(0)})$`),
  'six for keys': keys(many(6, (i) => `^(${words(i)})$`)),
  'six for keys, anywhere': keys(many(6, words)),
  '1,000 for a text': text(...many(1000, (i) => `a${i}`)),
  'counts in counts': text('^(x{1,60}y{1,60}){1,20}$', '(a|x){1,200}y', '^[^z]{5,900}$'),
  'classes of characters': text('^[\\p{L}\\p{N}]{1,500}$', '\\p{Lu}.{100}\\p{Ll}'),
};

/** A stretch of work that nothing else of the thread comes between. */
interface Stretch {
  readonly fromMs: number; // of performance.now()
  readonly toMs: number;
  readonly ownMs: number; // computed
}

const collections: { readonly startTime: number; readonly duration: number }[] = [];
new PerformanceObserver((list) => collections.push(...list.getEntries())).observe({ entryTypes: ['gc'] });

const tokenizer = loadTokenizer(resolveModel('smollm2-135m-instruct'));
const rows: Record<string, object> = {};
for (const [name, source] of Object.entries(sources)) {
  if (name.startsWith(argv[2] ?? '')) rows[name] = await measured(source);
}
console.table(rows);

async function measured(source: GrammarSource): Promise<object> {
  const portions: Stretch[] = [];
  let begun = stretch();
  const compiler = new GrammarCompiler({
    ...{ tokenizer, vocabSize: tokenizer.vocabSize, stopTokenIds: [2] },
    clock: watched(
      () => portions.push(begun()),
      () => {
        begun = stretch();
      },
    ),
  });
  compiler.warmUp();
  begun = stretch();
  const grammar = await compiler.compile(source).catch((error: Error) => error);
  portions.push(begun());
  const masks: Stretch[] = [];
  const constraint = grammar instanceof Error ? null : grammar.newConstraint();
  for (const token of constraint === null ? [] : [...tokenizer.encode('{"p1'), -1]) {
    const begin = stretch();
    constraint!.mask();
    masks.push(begin());
    if (token >= 0) constraint!.accept(token);
  }
  await pause(50); // collections are told by then // collections are told by then
  await pause(50); // collections are told by then
  const refused = grammar instanceof Error ? { refused: grammar.message.slice(0, 60) } : {};
  return {
    portions: portions.length,
    ...longest('portion', portions),
    ...longest('mask', masks),
    ...refused,
  };
}

function longest(name: string, stretches: readonly Stretch[]): Record<string, string> {
  const clean = stretches.filter(
    ({ fromMs, toMs }) =>
      !collections.some(({ startTime, duration }) => startTime < toMs && startTime + duration > fromMs),
  );
  const most = (some: readonly Stretch[]) => Math.max(...some.map(({ ownMs }) => ownMs)).toFixed(1);
  if (stretches.length === 0) return {};
  return { [`longest ${name}`]: most(stretches), [`${name}, nothing collected`]: most(clean) };
}

function stretch(): () => Stretch {
  const [fromMs, beganMs] = [performance.now(), threadMs()];
  return () => ({ fromMs, toMs: performance.now(), ownMs: threadMs() - beganMs });
}

/** A clock that tells where portions end and begin. */
function watched(onEnd: () => void, onBegin: () => void): Clock {
  const wall = new WallClock();
  return {
    nowMs: () => wall.nowMs(),
    schedule: (delayMs, fn) => wall.schedule(delayMs, fn),
    defer(fn) {
      onEnd();
      wall.defer(() => {
        onBegin();
        fn();
      });
    },
  };
}
