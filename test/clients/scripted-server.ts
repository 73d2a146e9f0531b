// A whole server over real sockets with the embedded model's tokenizer and template, whose device says what a test
// tells it to: real clients are driven through tool calls without a model that could make them.
import { WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { SimBackend } from '../../kernels/sim/backend.ts';
import { linearCostModel } from '../../kernels/sim/cost-model.ts';
import { loadModel } from '../../models/model.ts';
import { createLog } from '../../server/base/log.ts';
import { type RunningServer, startServer } from '../../server/compose.ts';
import { loadConfig } from '../../server/config/config.ts';
import { openLanes } from '../../server/lanes/open-lanes.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { Outcomes } from '../../server/outcomes/outcomes.ts';
import type { TaskStore } from '../../server/outcomes/task-store.ts';
import { TaskTracker } from '../../server/outcomes/tracker.ts';
import { testListener } from '../listeners.ts';
import { LocalPort } from '../local-port.ts';
import { ScriptedTokens } from '../scripted-tokens.ts';

export interface ScriptedServer extends RunningServer {
  readonly prompts: readonly string[]; // whose answers were asked for, in order
  readonly source: ScriptedTokens;
  readonly logLines: readonly string[];
}

export interface ScriptedServerOptions {
  readonly say: (prompt: string) => string;
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly tokenMs?: number; // time per decoded token
  readonly record?: { readonly lanesPath: string; readonly store: TaskStore }; // lanes, and what they tell of tasks
}

export async function startScriptedServer(options: ScriptedServerOptions): Promise<ScriptedServer> {
  const config = loadConfig({ flags: { port: 0, ...options.flags }, env: {} });
  const model = loadModel('spark-nano');
  const { tokenizer, spec } = model;
  const clock = new WallClock();
  const prompts: string[] = [];
  const limits = {
    replicaCount: 1,
    slotCount: 4,
    slotTokensMax: 32_768,
    blockSize: 16,
    blockCount: 8192,
    rowTokensMax: 512,
    stepTokensMax: 1024,
    sampleCountMax: 9,
    logprobsMax: 5,
    vocabSize: spec.vocabSize,
  };
  const source = new ScriptedTokens({
    limits,
    decode: (tokens) => tokenizer.decode(tokens, { keepSpecial: true }),
    encode: (text) => tokenizer.encode(text),
    stopToken: spec.eosTokenIds[0]!,
    say: (prompt) => {
      prompts.push(prompt);
      return options.say(prompt);
    },
  });
  const costModel = linearCostModel({ stepMs: options.tokenMs ?? 0.2, rowMs: 0, tokenMs: 0.01, blockMs: 0 });
  const logLines: string[] = [];
  let idCount = 0;
  const freshId = () => `${(++idCount).toString().padStart(8, '0')}`;
  const epochMs = () => Date.now();
  const random = new Random(1);
  const log = createLog({ level: 'debug', write: (line) => void logLines.push(line), epochMs });
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const { record } = options;
  const port = record === undefined ? null : new LocalPort(record.store, clock);
  const outcomes =
    port === null ? null : new Outcomes({ port, config, clock, epochMs, freshId, log, metrics });
  const observers = outcomes === null ? [] : [new TaskTracker(outcomes)];
  const lanes =
    record === undefined
      ? null
      : openLanes({ path: record.lanesPath, env: {}, clock, epochMs, random, log, metrics, observers });
  const server = await startServer({
    config,
    version: '0.0.0',
    model,
    backend: new SimBackend('scripted', { limits, clock, costModel, tokens: source, faults: null }),
    transport: await testListener(config),
    clock,
    ...{ epochMs, random, freshId, log, metrics, lanes, outcomes },
  });
  return { ...server, prompts, source, logLines };
}
