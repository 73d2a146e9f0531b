// How long one form of an answer holds the event loop: `npx tsx test/bench/loop.bench.ts [MODEL]`. For each hostile
// input: the portions that compiling takes, the longest of them, then the first mask, and the longest mask and step of
// a drawn text, in ms of the thread's own time. test/unit/server/grammar/portions.test.ts counts instead.
import { type Clock, WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { loadModel } from '../../models/model.ts';
import { type CustomGrammar, GrammarCompiler, type GrammarSource } from '../../server/grammar/compiler.ts';
import { toolGrammar } from '../../server/tools/call-grammar.ts';
import type { Tool } from '../../server/tools/definition.ts';
import { hermes } from '../../server/tools/dialect.ts';
import { threadMs } from './thread-time.ts';

const drawnMax = 60; // tokens of the drawn text

const many = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));
const schema = (value: unknown): GrammarSource => ({ kind: 'json-schema', schema: value, strict: true });
const word = (index: number): string => ((index * 2_654_435_761) >>> 0).toString(36);
const object = (count: number, make: (index: number) => unknown, rest: object = {}) => ({
  type: 'object',
  properties: Object.fromEntries(many(count, (i) => [`property_${i}`, make(i)])),
  ...rest,
});
const text = { type: 'string' };

function tools(count: number, propertyCount: number): CustomGrammar | GrammarSource {
  const each = many(count, (i): Tool => {
    const parameters = object(propertyCount, (j) => (j % 3 === 0 ? { type: 'number', minimum: 3 } : text));
    return { kind: 'function', name: `tool_${i}`, description: null, strict: false, parameters };
  });
  return toolGrammar({ tools: each, choice: { kind: 'auto' }, parallel: true, dialect: hermes, text: null })!;
}

const names = many(5000, (i) => `property_${i}`);
const inputs: Readonly<Record<string, GrammarSource | CustomGrammar>> = {
  '5 properties': schema(object(5, () => text)),
  '5,000 properties, required': schema(object(5000, () => text, { required: names })),
  '5,000 properties': schema(object(5000, () => ({ type: 'integer' }))),
  '5,000 properties and others': schema(object(5000, () => text, { additionalProperties: true })),
  '5,000 ranges': schema(
    object(5000, (i) => ({ type: 'number', minimum: i * 3.7, maximum: i * 1000.1 + 8 })),
  ),
  '2,000 patterns': schema(
    object(2000, (i) => ({ ...text, pattern: `^[a-z]{${i % 50}}\\d+$`, maxLength: 100 })),
  ),
  'enum of 10,000': schema({ enum: many(10_000, (i) => `value ${word(i)}`) }),
  'anyOf of 5,000': schema({ anyOf: many(5000, (i) => ({ const: word(i) })) }),
  'oneOf of 2,000 objects': schema({
    oneOf: many(2000, (i) => object(1, () => ({ const: `k${i}` }), { required: ['property_0'] })),
  }),
  'choice of 10,000': { kind: 'choice', texts: many(10_000, (i) => `value ${word(i)}`) },
  'regex (.*a.{30}){20}': { kind: 'regex', pattern: '(.*a.{30}){20}' },
  '3,000 Lark terminals': {
    kind: 'lark',
    definition: `start: ${many(3000, (i) => `T${i}`).join(' | ')}\n${many(3000, (i) => `T${i}: /[a-z]{${i % 9}}${word(i)}/\n`).join('')}`,
  },
  '300 tools of 10': tools(300, 10),
  '1,000 tools of 4': tools(1000, 4),
};

const model = loadModel(process.argv[2] ?? 'smollm2-135m-instruct');
const stopTokenId = model.spec.eosTokenIds[0]!;
const wall = new WallClock();
let [portions, longest, begun] = [0, 0, 0];

function endPortion(): void {
  portions++;
  longest = Math.max(longest, threadMs() - begun);
}

const clock: Clock = {
  nowMs: () => wall.nowMs(),
  schedule: (delayMs, fn) => wall.schedule(delayMs, fn),
  defer: (fn) => {
    endPortion();
    wall.defer(() => {
      begun = threadMs();
      fn();
    });
  },
};
const compiler = new GrammarCompiler({
  tokenizer: model.tokenizer,
  vocabSize: model.spec.vocabSize,
  stopTokenIds: [stopTokenId],
  clock,
});
compiler.warmUp();

function timed<T>(work: () => T): readonly [result: T, ms: number] {
  const start = threadMs();
  const result = work();
  return [result, threadMs() - start];
}

async function row(source: GrammarSource | CustomGrammar): Promise<Record<string, number | string>> {
  [portions, longest, begun] = [0, 0, threadMs()];
  const grammar = await compiler.compile(source).catch((error: Error) => error);
  endPortion();
  const compiled = { portions, 'longest ms': longest.toFixed(1) };
  if (grammar instanceof Error) return { ...compiled, refused: grammar.message.slice(0, 60) };
  const constraint = grammar.newConstraint();
  const random = new Random(1);
  const masks: number[] = [];
  const steps: number[] = [];
  while (masks.length < drawnMax) {
    const [mask, ms] = timed(() => constraint.mask()!);
    masks.push(ms);
    const allowed = many(32 * mask.length, (id) => id).filter(
      (id) => ((mask[id >>> 5]! >>> (id & 31)) & 1) === 1,
    );
    const id = allowed[random.integer(0, allowed.length - 1)]!;
    if (id === stopTokenId) break;
    steps.push(timed(() => constraint.accept(id))[1]);
  }
  return {
    ...compiled,
    'first mask': masks[0]!.toFixed(1),
    'longest mask': Math.max(...masks).toFixed(1),
    'longest step': Math.max(0, ...steps).toFixed(1),
  };
}

const rows: Record<string, Record<string, number | string>> = {};
for (const [name, source] of Object.entries(inputs)) rows[name] = await row(source);
console.table(rows);
