// The workloads by name, with their bundled traces and the load each was made for.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FlagError } from '../base/flag-error.ts';
import { dataset } from './dataset.ts';
import { type EditFormat, edits } from './edits.ts';
import { generated, withHabits } from './generated.ts';
import type { Lengths } from './lengths.ts';
import { requestWorkload } from './request-workload.ts';
import { agentSessions } from './trace-agent-sessions.ts';
import type { Workload } from './turn.ts';

export interface WorkloadOptions {
  readonly name: string;
  readonly tracePath: string | null; // null: the bundled one
  readonly promptsPath: string | null;
  readonly seed: number;
  readonly scale: number | null; // null: the workload's own
  readonly contextTokens: number;
  readonly gapScale: number;
  readonly gapMsMax: number;
  readonly editFormat: EditFormat;
  readonly fileTokens: readonly number[];
  readonly interruptShare: number | null; // null: the workload's own
  readonly steerShare: number | null;
  readonly countTokens: (text: string) => number;
  readonly promptLengths: Lengths; // synthetic; of everything in a first turn
  readonly outputLengths: Lengths; // synthetic, and answers of data sets that record none
  readonly prefixShare: number; // synthetic: of the prompt's mean, what all sessions share
  readonly turns: { readonly min: number; readonly max: number }; // synthetic, per session
}

interface Entry {
  readonly help: string;
  readonly load: string; // default
  readonly durationMs?: number; // default; a minute where it is not said
  readonly scale?: number; // default; 1
  readonly trace?: string; // bundled file
  open(
    options: WorkloadOptions & { readonly path: string; readonly scale: number },
  ): Workload | Promise<Workload>;
}

const MINUTE_MS = 60_000;
const HUMAN_GAP_MS = 30_000; // to read an answer and to type the next question; divided by --gap-scale
const ONE = { min: 1, max: 1 };

export const WORKLOADS: Readonly<Record<string, Entry>> = {
  'agent-sessions': {
    help: 'recorded coding-agent sessions: many turns, growing prompts, tool and human gaps',
    load: 'closed:4',
    scale: 16,
    trace: 'agent-sessions-40.rle.jsonl.gz',
    open: agentSessions,
  },
  interrupts: {
    help: 'agent sessions in which people stop 10 % of the answers and redirect another 10 %',
    load: 'closed:4',
    scale: 4,
    trace: 'agent-sessions-40.rle.jsonl.gz',
    open: (options) =>
      withHabits(agentSessions(options), { seed: options.seed, interruptShare: 0.1, steerShare: 0.1 }),
  },
  'azure-code': {
    help: 'arrivals and lengths of a real code-completion service, with its bursts and silences',
    load: 'trace',
    durationMs: 5 * MINUTE_MS,
    scale: 4,
    trace: 'azure-code-2023.csv.gz',
    open: (options) => requestWorkload('azure-code', options),
  },
  edits: {
    help: 'fix a human-written bug in a file of 0.5k, 2k or 8k tokens (HumanEvalPack)',
    load: 'closed:1',
    trace: 'humanevalpack-js.jsonl.gz',
    open: (options) => edits({ ...options, set: 'humanevalpack', format: options.editFormat }),
  },
  'edits-contrast': {
    help: 'make a program faster: edits where copying from the input helps little (NoFunEval)',
    load: 'closed:1',
    trace: 'nofuneval-runtime.jsonl.gz',
    open: (options) => edits({ ...options, set: 'nofuneval', format: options.editFormat, fileTokens: [] }),
  },
  mooncake: {
    help: 'single requests whose prefixes are shared across users (Mooncake)',
    load: 'trace',
    durationMs: 5 * MINUTE_MS,
    scale: 16,
    trace: 'mooncake-conversation-1500.jsonl.gz',
    open: (options) => requestWorkload('mooncake', options),
  },
  requests: {
    help: 'a trace of yours (--trace): Azure, BurstGPT, Vidur, Mooncake or Qwen-Bailian, told by its form',
    load: 'trace',
    durationMs: 5 * MINUTE_MS,
    open: (options) => requestWorkload('requests', options),
  },
  dataset: {
    help: 'texts of yours (--trace): ShareGPT, or a data set’s rows as JSON lines or Parquet',
    load: 'closed:4',
    open: (options) => {
      const outputTokens = typicalLength(options.outputLengths);
      return dataset({
        ...options,
        outputTokens,
        gapMs: Math.min(options.gapMsMax, HUMAN_GAP_MS / options.gapScale),
      });
    },
  },
  synthetic: {
    help: 'prompts and answers of stated lengths: --isl, --osl, --prefix-share, --turns',
    load: 'closed:4',
    open: ({ seed, scale, contextTokens, promptLengths, outputLengths, prefixShare, turns }) => {
      const sharedTokens = Math.round(prefixShare * typicalLength(promptLengths));
      return generated({
        ...{
          name: 'synthetic',
          seed,
          scale,
          contextTokens,
          sharedTokens,
          outputTokens: outputLengths,
          turns,
        },
        promptTokens: lessened(promptLengths, sharedTokens),
        gapMs: { min: 0, max: 0 },
      });
    },
  },
  saturation: {
    help: 'more users than seats: short questions without pause, to find the most the server can do',
    load: 'closed:64',
    durationMs: MINUTE_MS / 2,
    scale: 4,
    open: (options) =>
      generated({
        name: 'saturation',
        seed: options.seed,
        scale: options.scale,
        contextTokens: options.contextTokens,
        sharedTokens: 512,
        promptTokens: { min: 256, max: 1024 },
        outputTokens: { min: 128, max: 512 },
        turns: { min: 1, max: 1 },
        gapMs: { min: 0, max: 0 },
      }),
  },
  ping: {
    help: 'one short request per session, for --routes',
    load: 'closed:8',
    durationMs: MINUTE_MS / 6,
    open: ({ seed, scale, contextTokens }) =>
      generated({
        ...{ name: 'ping', seed, scale, contextTokens, sharedTokens: 0 },
        ...{ promptTokens: ONE, outputTokens: ONE, turns: ONE, gapMs: { min: 0, max: 0 } },
      }),
  },
  soak: {
    help: 'agent sessions for an hour: what leaks or slows down shows',
    load: 'closed:4',
    durationMs: 60 * MINUTE_MS,
    scale: 16,
    trace: 'agent-sessions-40.rle.jsonl.gz',
    open: (options) => ({ ...agentSessions(options), name: 'soak' }),
  },
};

/** Rejects with FlagError or TraceError. */
export async function openWorkload(options: WorkloadOptions): Promise<Workload> {
  const entry = entryOf(options.name);
  const path = options.tracePath ?? (entry.trace === undefined ? '' : bundledTrace(entry.trace));
  const workload = await entry.open({ ...options, path, scale: options.scale ?? entry.scale });
  const { interruptShare, steerShare, seed } = options;
  if (interruptShare === null && steerShare === null) return workload;
  return withHabits(workload, { seed, interruptShare: interruptShare ?? 0, steerShare: steerShare ?? 0 });
}

function typicalLength(lengths: Lengths): number {
  if (!('kind' in lengths)) return Math.round((lengths.min + lengths.max) / 2);
  return Math.round(lengths.kind === 'normal' ? lengths.mean : lengths.median);
}

/** What is left of the lengths beside a shared prefix. */
function lessened(lengths: Lengths, tokens: number): Lengths {
  if (tokens === 0) return lengths;
  if (!('kind' in lengths))
    return { min: Math.max(1, lengths.min - tokens), max: Math.max(1, lengths.max - tokens) };
  if (lengths.kind === 'normal') return { ...lengths, mean: Math.max(1, lengths.mean - tokens) };
  return { ...lengths, median: Math.max(1, lengths.median - tokens) };
}

export function entryOf(name: string) {
  const entry = Object.hasOwn(WORKLOADS, name) ? WORKLOADS[name] : undefined;
  if (entry === undefined) throw new FlagError('workload', name, Object.keys(WORKLOADS).join(', '));
  return { durationMs: MINUTE_MS, scale: 1, ...entry };
}

/** Where the package keeps a trace, from source as from dist. */
export function bundledTrace(file: string): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return join(directory, 'loadtest', 'traces', file);
}
