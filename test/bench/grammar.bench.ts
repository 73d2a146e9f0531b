// What constrained decoding costs per token: `npx tsx test/bench/grammar.bench.ts`. Feeds documents as a model would
// write them through their grammars and times mask() + accept() for each token. "cold" is the first document after
// compiling, "warm" the following ones with other contents. The 152k vocabulary is synthetic: spark-nano's tokens and
// random joins of them. CPU time of the cold document (all of it, in ms) is what a busy machine leaves comparable.
import { WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { loadTokenizer } from '../../models/checkpoint/tokenizer-source.ts';
import { resolveModel } from '../../models/model.ts';
import { type CustomGrammar, GrammarCompiler, type GrammarSource } from '../../server/grammar/compiler.ts';
import type { TokenBytes } from '../../server/grammar/token-trie.ts';
import { toolGrammar } from '../../server/tools/call-grammar.ts';
import type { Tool } from '../../server/tools/definition.ts';
import { hermes } from '../../server/tools/dialect.ts';

const documentCount = 12;
const random = new Random(1);
const tokenizer = loadTokenizer(resolveModel('spark-nano'));
const stopTokenIds = [tokenizer.specialTokenId('<|im_end|>')!];

interface Scenario {
  readonly name: string;
  readonly source: GrammarSource | CustomGrammar;
  readonly text: () => string;
}

interface Vocabulary extends TokenBytes {
  readonly name: string;
  encode(text: string): Iterable<number>;
}

const words =
  'the quick fix returns an empty list when no file was found in src/index.ts, so callers must check it'.split(
    ' ',
  );
const phrase = (count: number): string =>
  Array.from({ length: count }, () => words[random.integer(0, words.length - 1)]!).join(' ');
const object = (properties: Record<string, unknown>) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const schema = (value: unknown): GrammarSource => ({ kind: 'json-schema', schema: value, strict: true });

const patchGrammar = `start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?
hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?
filename: /(.+)/
add_line: "+" /(.*)/ LF -> line
change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF
%import common.LF`;

const patchText = (): string => {
  const change = Array.from({ length: 8 }, () => `${' +-'[random.integer(0, 2)]}    ${phrase(6)}`);
  return ['*** Begin Patch', '*** Update File: src/main.ts', '@@ class A', ...change, '*** End Patch'].join(
    '\n',
  );
};

const large = object(
  Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [
      `property_${i}`,
      i % 3 === 0
        ? { type: 'array', items: object({ a: { type: 'number' }, b: { enum: ['x', 'y', 'zed'] } }) }
        : { type: 'string' },
    ]),
  ),
);

const largeValue = () =>
  Object.fromEntries(
    Array.from({ length: 100 }, (_, i) => [
      `property_${i}`,
      i % 3 === 0 ? [{ a: random.integer(0, 9999) / 10, b: 'zed' }] : phrase(4),
    ]),
  );

const tools: readonly Tool[] = [
  {
    kind: 'function',
    name: 'exec_command',
    description: null,
    strict: false,
    parameters: {
      type: 'object',
      properties: {
        cmd: { type: 'string' },
        workdir: { type: 'string' },
        timeout_ms: { type: 'number' },
        login: { type: 'boolean' },
      },
      required: ['cmd'],
      additionalProperties: false,
    },
  },
  {
    kind: 'custom',
    name: 'apply_patch',
    description: null,
    format: { kind: 'lark', definition: patchGrammar },
  },
];

const call = (name: string, value: unknown): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${JSON.stringify(value)}}\n</tool_call>`;

const scenarios: readonly Scenario[] = [
  {
    name: 'small schema (title)',
    source: schema(object({ title: { type: 'string' }, n: { type: 'integer' } })),
    text: () => JSON.stringify({ title: phrase(12), n: random.integer(0, 999) }),
  },
  { name: '100 properties', source: schema(large), text: () => JSON.stringify(largeValue()) },
  {
    name: '100 properties, indented',
    source: schema(large),
    text: () => JSON.stringify(largeValue(), null, 2),
  },
  {
    name: 'maxLength 200, pattern',
    source: schema(
      object({ a: { type: 'string', maxLength: 200 }, id: { type: 'string', pattern: '^[a-z]{2}-\\d{4}$' } }),
    ),
    text: () => JSON.stringify({ a: phrase(20), id: `ab-${random.integer(1000, 9999)}` }),
  },
  {
    name: 'json_object',
    source: { kind: 'json-object' },
    text: () => JSON.stringify({ a: [phrase(3), { b: 1.5, c: [true, null] }], d: phrase(8) }),
  },
  { name: 'Lark: apply_patch', source: { kind: 'lark', definition: patchGrammar }, text: patchText },
  {
    name: 'tools, auto: text',
    source: toolGrammar({ tools, choice: { kind: 'auto' }, parallel: true, dialect: hermes, text: null })!,
    text: () => phrase(40),
  },
  {
    name: 'tools, auto: call',
    source: toolGrammar({ tools, choice: { kind: 'auto' }, parallel: true, dialect: hermes, text: null })!,
    text: () => `${phrase(5)}\n${call('exec_command', { cmd: phrase(10), timeout_ms: 500 })}`,
  },
  {
    name: 'tools, auto: patch call',
    source: toolGrammar({ tools, choice: { kind: 'auto' }, parallel: true, dialect: hermes, text: null })!,
    text: () => call('apply_patch', { input: patchText() }),
  },
];

function largeVocabulary(size: number): Vocabulary {
  const pieces = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.tokenBytes(id));
  while (pieces.length < size) {
    const pair = [0, 1].map(() => pieces[random.integer(256, tokenizer.vocabSize - 20)]!);
    pieces.push(Uint8Array.from(pair.flatMap((bytes) => [...bytes])).slice(0, 24));
  }
  return {
    name: `${size} tokens`,
    vocabSize: size,
    tokenBytes: (id) => pieces[id]!,
    isSpecial: (id) => id < tokenizer.vocabSize && tokenizer.isSpecial(id),
    encode: (text) => tokenizer.encode(text),
  };
}

const spark: Vocabulary = {
  name: `spark-nano, ${tokenizer.vocabSize} tokens`,
  vocabSize: tokenizer.vocabSize,
  tokenBytes: (id) => tokenizer.tokenBytes(id),
  isSpecial: (id) => tokenizer.isSpecial(id),
  encode: (text) => tokenizer.encode(text),
};

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! * 1000).toFixed(1);
}

async function measure(vocabulary: Vocabulary): Promise<void> {
  const compiler = new GrammarCompiler({
    tokenizer: vocabulary,
    vocabSize: vocabulary.vocabSize,
    stopTokenIds,
    clock: new WallClock(),
  });
  const warmStart = performance.now();
  compiler.warmUp();
  console.log(
    `\n${vocabulary.name}: trie and string masks ${(performance.now() - warmStart).toFixed(0)} ms; µs per token (mask + accept):`,
  );
  const rows: Record<string, Record<string, string | number>> = {};
  for (const { name, source, text } of scenarios) {
    const compileStart = performance.now();
    const grammar = await compiler.compile(source);
    const compileMs = performance.now() - compileStart;
    const cpuStart = process.cpuUsage();
    let coldCpu = cpuStart;
    const times: { cold: number[]; warm: number[] } = { cold: [], warm: [] };
    for (let i = 0; i < documentCount; i++) {
      const constraint = grammar.newConstraint();
      const list = i === 0 ? times.cold : times.warm;
      if (i === 1) coldCpu = process.cpuUsage(cpuStart);
      for (const token of [...vocabulary.encode(text()), stopTokenIds[0]!]) {
        const start = performance.now();
        const mask = constraint.mask()!;
        constraint.accept(token);
        list.push(performance.now() - start);
        if (((mask[token >>> 5]! >>> (token & 31)) & 1) === 0)
          throw new Error(`${name}: token ${token} is refused`);
      }
    }
    const sorted = times.warm.toSorted((a, b) => a - b);
    const cold = times.cold.toSorted((a, b) => a - b);
    const mean = (list: readonly number[]) =>
      ((list.reduce((sum, ms) => sum + ms, 0) / list.length) * 1000).toFixed(1);
    rows[name] = {
      'compile ms': compileMs.toFixed(1),
      tokens: sorted.length,
      'warm p50': quantile(sorted, 0.5),
      p90: quantile(sorted, 0.9),
      p99: quantile(sorted, 0.99),
      mean: mean(sorted),
      'cold p50': quantile(cold, 0.5),
      'cold CPU ms': ((coldCpu.user + coldCpu.system) / 1000).toFixed(1),
      'cold tokens': cold.length,
    };
  }
  console.table(rows);
}

await measure(spark);
await measure(largeVocabulary(151_936));
