// A whole server of small real parts for tests of the HTTP side: byte tokenizer, scripted engine, any clock and
// transport. Nothing here depends on what a model says.
import type { Clock } from '../kernels/clock.ts';
import { Random } from '../kernels/random.ts';
import { type App, type AppParts, createApp } from '../server/app.ts';
import { createLog } from '../server/base/log.ts';
import { type Config, loadConfig } from '../server/config/config.ts';
import type { SequenceRequest } from '../server/engine/request.ts';
import { ServerMetrics } from '../server/metrics/metrics.ts';
import { BYTE_EOS, BYTE_VOCAB_SIZE, ByteText, encodeBytes } from './byte-text.ts';
import { byteModel } from './native-world.ts';
import { type Script, ScriptedEngine, type ScriptedEngineOptions } from './scripted-engine.ts';

export interface HttpWorldOptions {
  readonly clock: Clock;
  readonly flags?: Readonly<Record<string, unknown>>; // of the config
  readonly engine?: Partial<Omit<ScriptedEngineOptions, 'clock'>>;
  readonly app?: Partial<AppParts>;
}

export interface HttpServer {
  readonly app: App;
  readonly config: Config;
  readonly engine: ScriptedEngine;
  readonly submitted: SequenceRequest[];
  readonly logLines: string[];
  readonly metrics: ServerMetrics;
}

const EPOCH_MS = Date.UTC(2026, 10, 20, 12, 0, 0);

/** Says what the prompt says, in capitals, one byte per token, then ends. */
function shout(request: SequenceRequest): Script {
  const text = Buffer.from(request.tokens.filter((id) => id < 256)).toString();
  return { tokens: [...encodeBytes(text.toUpperCase()), BYTE_EOS], logprobs: byteLogprobs };
}

/** Halving probabilities: the token itself, then its neighbours. */
export function byteLogprobs(token: number) {
  return { logprob: -0.5, topTokens: [token, (token + 1) % 256], topLogprobs: [-0.5, -1.5] };
}

export const wholeByteModel = {
  ...byteModel,
  name: 'bytes',
  defaults: { temperature: 0.4, topP: 0.95, topK: 0, minP: 0, repetitionPenalty: 1 },
  tokenizer: {
    ...byteModel.tokenizer,
    vocabSize: BYTE_VOCAB_SIZE,
    isSpecial: (id: number) => id > 255,
    specialTokenId: (): null => null,
    tokenBytes: (id: number) => (id < 256 ? Uint8Array.of(id) : Buffer.from(`<|${id}|>`)),
  },
} satisfies AppParts['model'];

export function httpServer({
  clock,
  flags = {},
  engine: engineOptions,
  app: parts,
}: HttpWorldOptions): HttpServer {
  const config = loadConfig({ flags, env: { HOME: '/home/ada' } });
  const submitted: SequenceRequest[] = [];
  const script = engineOptions?.script ?? shout;
  const engine = new ScriptedEngine({
    clock,
    ...engineOptions,
    script: (request) => {
      submitted.push(request);
      return script(request);
    },
  });
  const logLines: string[] = [];
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const random = new Random(7);
  let idCount = 0;
  const app = createApp({
    config,
    version: '0.0.0',
    model: wholeByteModel,
    openText: () => new ByteText(),
    backend: { name: 'scripted', limits: LIMITS },
    engine,
    clock,
    epochMs: () => EPOCH_MS,
    random,
    freshId: () => `${++idCount}`,
    log: createLog({ level: 'debug', write: (line) => void logLines.push(line), epochMs: () => EPOCH_MS }),
    metrics,
    ...parts,
  });
  return { app, config, engine, submitted, logLines, metrics };
}

const LIMITS = {
  replicaCount: 1,
  slotCount: 4,
  slotTokensMax: 4096,
  blockSize: 16,
  blockCount: 1024,
  rowTokensMax: 128,
  stepTokensMax: 132,
  sampleCountMax: 9,
  roundsMax: 4,
  logprobsMax: 5,
  vocabSize: BYTE_VOCAB_SIZE,
};
