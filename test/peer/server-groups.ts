// The real model in both servers, over HTTP as a client meets them: SmolLM2-135M-Instruct from the repository's GGUF in ours,
// the same weights in llama-server's own formats. Data and a little wiring, as program.ts for engines; quality stands beside
// speed. Needs LLAMA_CPP, the folder of a native llama-server and llama-quantize; without it the groups are skipped.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../../models/model.ts';
import { serve } from '../bench/served.ts';
import type { Arm, Cell } from './contest.ts';
import { readEdits } from './edits.ts';
import type { GgufFormat } from './gguf-model.ts';
import { HttpSide } from './http-side.ts';
import { llamaProgram, quantised, startLlamaServer } from './llama-server.ts';
import { cacheDirectory, prepareModel } from './peer-models.ts';
import type { OpenGroup } from './program.ts';
import type { Leg, Task } from './side.ts';

const realModel = 'smollm2-135m-instruct';
const contextTokens = 8192;
const secondsMax = 300; // of a cell

interface ServerGroup {
  readonly name: string;
  readonly model?: 'half-b'; // the 0.5B shape of random weights; else SmolLM2
  readonly threads: number;
  readonly ours: readonly string[]; // formats, `+kv8` with KV as int8; the first is what the others are set against
  readonly theirs: readonly string[]; // formats of llama-quantize
  readonly decode: readonly number[]; // tokens of context
  readonly prefill: readonly number[]; // tokens of prompt
  readonly streams: readonly number[];
  readonly edits: boolean;
}

/**
 * Nats from fp32 of the same weights: ours by `make quality`, theirs by llama-perplexity's --kl-divergence on the same
 * texts (docs/lab/llama-cpp.md).
 */
const divergences: Readonly<Record<string, number>> = {
  // Ours by our own operators.
  stored: 0,
  'stored+kv8': 0.0015,
  int8: 0.0016,
  'int8+kv8': 0.0032,
  int4: 0, // of this file, which is Q4_1
  w8a8: 0.0142,
  Q8_0: 0.0042,
  Q4_0: 0.266,
  Q4_K_M: 0.0545,
};

const cells = { decode: [16, 2048, 6144], prefill: [2048, 6144], streams: [4, 16], edits: false };

export const serverGroups: readonly ServerGroup[] = [
  // As the file comes: its own blocks of 4 bits on both sides, and what is the usual choice at 8.
  { name: 'smol/file', threads: 2, ours: ['stored', 'stored+kv8'], theirs: ['Q8_0', 'Q4_1'], ...cells },
  { name: 'smol/8bit', threads: 2, ours: ['int8', 'int8+kv8'], theirs: ['Q8_0'], ...cells },
  { name: 'smol/8bit-1-thread', threads: 1, ours: ['int8', 'int8+kv8'], theirs: ['Q8_0'], ...cells },
  { name: 'smol/4bit', threads: 2, ours: ['int4'], theirs: ['Q4_0', 'Q4_K_M'], ...cells },
  { name: 'smol/4bit-1-thread', threads: 1, ours: ['int4'], theirs: ['Q4_0', 'Q4_K_M'], ...cells },
  {
    ...{
      name: 'half-b/served-8bit',
      model: 'half-b',
      threads: 2,
      ours: ['int8', 'int8+kv8'],
      theirs: ['Q8_0'],
    },
    ...{ decode: [16, 2048], prefill: [2048], streams: [4, 16], edits: false },
  },
  ...[1, 2].map((threads) => ({
    ...{ name: threads === 1 ? 'smol/edits-1-thread' : 'smol/edits', threads },
    ...{ ours: ['stored'], theirs: ['Q8_0'], decode: [], prefill: [], streams: [], edits: true },
  })),
];

/** Its default turns flash attention on, which is 2.5 times slower behind 2,048 tokens on some processors: both are played. */
const theirAttention = ['on', 'off'];
const theirDrafts = ['ngram-simple', 'ngram-mod', 'ngram-cache']; // kinds of llama-server's own lookup

interface Entrant {
  readonly name: string;
  readonly side: HttpSide;
  readonly serves: 'one' | 'many' | 'any'; // streams
}

export async function openServerGroup(group: ServerGroup): Promise<OpenGroup> {
  const llama = llamaProgram('llama-server');
  const skipped = llama === null ? ['llama-server: LLAMA_CPP does not say where it is'] : [];
  const entrants: Entrant[] = [];
  if (llama !== null) {
    for (const format of group.ours) entrants.push(await ourServer(format, group));
    for (const format of group.theirs) entrants.push(...(await theirServers(llama, format, group)));
  }
  return {
    about: Object.fromEntries(entrants.map(({ name, side }) => [name, side.about])),
    cells: llama === null ? [] : cellsOf(group, entrants, skipped),
    skipped,
    async close() {
      for (const { side } of entrants) await side.close();
    },
  };
}

async function ourServer(format: string, { threads, model }: ServerGroup): Promise<Entrant> {
  const [precision, kv] = format.split('+');
  const served = await serve([
    ...['--model', model === undefined ? realModel : prepareModel(model).directory],
    ...['--precision', precision!, '--threads', String(threads)],
    ...['--context-tokens', String(contextTokens), '--cache-directory', cacheDirectory],
    ...(kv === undefined ? [] : ['--kv-precision', 'int8']),
  ]);
  const about = `sparklane, ${served.device}; ${quality(format, model)}`;
  return { name: `sparklane ${format}`, side: new HttpSide(served, about), serves: 'any' };
}

/** One with a seat for a single stream and one for many, because its seats share its context. */
async function theirServers(program: string, format: string, group: ServerGroup): Promise<Entrant[]> {
  const path = theirFile(format, group);
  const open = async (
    name: string,
    serves: Entrant['serves'],
    flags: readonly string[],
  ): Promise<Entrant> => {
    const common = ['-m', path, '-t', String(group.threads), '-ngl', '0', '--cache-ram', '0'];
    const server = await startLlamaServer(program, [...common, ...flags]);
    const about = `llama-server, ${group.threads} threads, ${flags.join(' ')}; ${quality(format, group.model)}`;
    return { name, side: new HttpSide(server, about), serves };
  };
  const single = ['-np', '1', '-c', String(contextTokens)];
  const many = Math.max(0, ...group.streams);
  const servers: Entrant[] = [];
  for (const attention of theirAttention) {
    const name = `llama-server ${format}, flash attention ${attention}`;
    const flags = ['-fa', attention];
    servers.push(await open(name, 'one', [...single, ...flags]));
    if (many > 0)
      servers.push(await open(name, 'many', ['-np', String(many), '-c', String(many * 512), ...flags]));
  }
  if (group.edits) {
    for (const kind of theirDrafts)
      servers.push(
        await open(`llama-server ${format}, ${kind}`, 'one', [...single, '-fa', 'off', '--spec-type', kind]),
      );
  }
  return servers;
}

function theirFile(format: string, { model }: ServerGroup): string {
  if (model !== undefined) return prepareModel(model).gguf(format as GgufFormat);
  mkdirSync(cacheDirectory, { recursive: true });
  const source = join(loadModel(realModel).path, 'SmolLM2-135M-Instruct.Q4_1.gguf');
  if (format === 'Q4_1') return source;
  return quantised(source, format, join(cacheDirectory, `smol-${format}.gguf`));
}

function quality(format: string, model: ServerGroup['model']): string {
  const nats = divergences[format];
  if (model !== undefined) return 'random weights';
  return nats === undefined ? 'divergence not measured' : `${nats} nats from fp32`;
}

function cellsOf(group: ServerGroup, entrants: readonly Entrant[], skipped: string[]): Cell[] {
  const cell = (
    name: string,
    task: (visit: number) => Task,
    timeMs: (leg: Leg) => number,
    serves: Entrant['serves'],
  ): Cell => {
    const arms: Arm[] = entrants
      .filter((entrant) => entrant.serves === 'any' || entrant.serves === serves)
      .map(({ name, side }) => ({ name, play: (asked) => side.play(asked), task }));
    return { name: `${group.name} ${name}`, arms, blocks: 6, secondsMax, warmUps: 1, timeMs };
  };
  const perToken = ({ restMs, restTokens }: Leg) => restMs / restTokens;
  return [
    ...group.decode.map((context) => {
      const count = context > 1024 ? 49 : 97;
      return cell(`decode at ${context}`, () => ({ kind: 'decode', context, count }), perToken, 'one');
    }),
    ...group.prefill.map((count) =>
      cell(
        `prefill of ${count}`,
        (visit) => ({ kind: 'prefill', count, seed: 100 + visit }),
        ({ firstMs }) => firstMs,
        'one',
      ),
    ),
    ...group.streams.map((streams) =>
      cell(
        `${streams} streams`,
        () => ({ kind: 'streams', streams, context: 16, count: 64 }),
        perToken,
        'many',
      ),
    ),
    ...(group.edits ? editCells(group, entrants, skipped) : []),
  ];
}

/** The model's own answer to each edit, as long as the reference; ours with guesses, without, and theirs. */
function editCells(group: ServerGroup, entrants: readonly Entrant[], skipped: string[]): Cell[] {
  const edits = readEdits('humanevalpack')?.slice(0, 12);
  if (edits === undefined) {
    skipped.push('edits: no ../shared/data');
    return [];
  }
  const { tokenizer } = loadModel(realModel);
  const encoded = edits.map(({ prompt, answer }) => ({
    prompt: [...tokenizer.encode(prompt)],
    answer: [...tokenizer.encode(answer)],
  }));
  const arm = ({ name, side }: Entrant, drafts: boolean): Arm => ({
    name: drafts ? `${name}, guessing` : name,
    play: (asked) => side.play(asked),
    task: (visit) => {
      const { prompt, answer } = encoded[visit % encoded.length]!;
      return { kind: 'edit', prompt, answer, forced: false, drafts, prediction: null };
    },
  });
  const ours = entrants.filter(({ serves }) => serves === 'any');
  const arms = [
    ...ours.map((entrant) => arm(entrant, true)),
    ...ours.map((entrant) => arm(entrant, false)),
    ...entrants.filter(({ serves }) => serves === 'one').map((entrant) => arm(entrant, false)),
  ];
  const timeMs = ({ firstMs, restMs }: Leg) => firstMs + restMs;
  return [{ name: `${group.name} humanevalpack, free`, arms, blocks: 6, secondsMax, warmUps: 1, timeMs }];
}
