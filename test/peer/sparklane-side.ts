// Sparklane as it serves: config, device and engine as `sparklane serve` composes them, without socket and text. Where a
// text is forced, the device computes and draws as ever and only the numbers that it answers with are exchanged.
import type { Backend, RoundOutcome, StepOutcome, StepPlan } from '../../kernels/backend.ts';
import { WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { loadModel } from '../../models/model.ts';
import { createLog } from '../../server/base/log.ts';
import { packageVersion } from '../../server/base/package-version.ts';
import { startServer } from '../../server/compose.ts';
import { loadConfig } from '../../server/config/config.ts';
import { openDevice } from '../../server/device/device.ts';
import { openDraftDevice } from '../../server/device/draft-device.ts';
import type { Engine } from '../../server/engine/engine.ts';
import type { SpeculationRequest } from '../../server/engine/request.ts';
import { ServerMetrics } from '../../server/metrics/metrics.ts';
import { greedy } from '../cpu-rig.ts';
import { answerTasks, type Leg, noiseTokens, type Opening, type Player, type Task } from './side.ts';

answerTasks(async (opening: Opening): Promise<Player> => {
  const { modelPath, precision, threads, cacheDirectory, contextTokens } = opening;
  const flags = {
    ...{ model: modelPath, precision, cacheDirectory, logLevel: 'warn', slots: '4' },
    ...{ threads: String(threads), contextTokens: String(contextTokens), ...opening.flags },
  };
  const config = loadConfig({ flags, env: {} });
  const model = loadModel(modelPath);
  const clock = new WallClock();
  const log = createLog({ level: 'warn', write: console.warn, epochMs: Date.now });
  const device = await openDevice(config, model, { clock, log, onProgress: () => {} });
  const draft = await openDraftDevice(config, model, device.backend, { clock, log, onProgress: () => {} });
  const script = new Script();
  const server = await startServer({
    config,
    version: packageVersion(),
    model,
    backend: new ScriptedBackend(device.backend, script),
    draftBackend: draft?.backend ?? null,
    transport: { listen: async () => ({ port: 1 }), stopListening() {}, close() {} },
    clock,
    epochMs: Date.now,
    random: new Random(1),
    freshId: () => 'unused',
    log,
    metrics: new ServerMetrics({ nodeMetrics: false }),
  });
  const draftTokensMax = device.backend.limits.sampleCountMax - 1;
  return {
    about: `sparklane ${packageVersion()}, ${device.description}`,
    play: async (task) => {
      if (task.kind === 'encode') return encoded([...model.tokenizer.encode(task.text)]);
      if (task.kind === 'streams') throw new Error('streams are measured through the socket');
      return generate(server.engine, script, questionOf(task, draftTokensMax));
    },
  };
});

interface Question {
  readonly prompt: readonly number[];
  readonly count: number;
  readonly cached: boolean; // may find its prompt computed
  readonly forced: readonly number[] | null;
  readonly speculation: SpeculationRequest | null;
}

function questionOf(task: Exclude<Task, { kind: 'encode' | 'streams' }>, draftTokensMax: number): Question {
  const plain = { cached: false, forced: null, speculation: null };
  switch (task.kind) {
    case 'greedy':
      return { ...plain, prompt: task.prompt, count: task.count };
    case 'decode':
      return { ...plain, cached: true, prompt: noiseTokens(7, task.context), count: task.count };
    case 'prefill':
      return { ...plain, prompt: noiseTokens(task.seed, task.count), count: 1 };
    case 'edit': {
      const prediction = task.prediction === null ? null : Int32Array.from(task.prediction);
      return {
        ...plain,
        prompt: task.prompt,
        count: task.answer.length,
        forced: task.forced ? task.answer : null,
        speculation: task.drafts ? { draftTokensMax, prediction } : null,
      };
    }
  }
}

let questionCount = 0;

function generate(engine: Engine, script: Script, question: Question): Promise<Leg> {
  const { prompt, count, cached, forced, speculation } = question;
  script.answer = forced;
  return new Promise((resolve, reject) => {
    const tokens: number[] = [];
    const startMs = performance.now();
    let firstMs = 0;
    let firstCount = 0;
    let lastMs = 0;
    const submitted = engine.submit(
      {
        tokens: Int32Array.from(prompt),
        maxTokens: count,
        sampling: greedy,
        constraint: null,
        ignoreStopTokens: true,
        speculation,
        priority: 'turn',
        cacheSalt: cached ? 'decode' : `question ${questionCount++}`,
        deadlineMs: null,
      },
      {
        onTokens(drawn) {
          lastMs = performance.now();
          if (firstMs === 0) [firstMs, firstCount] = [lastMs, drawn.length];
          tokens.push(...drawn);
        },
        onEnd({ reason, failure, usage }) {
          script.answer = null;
          if (reason !== 'length') return reject(new Error(failure?.message ?? reason));
          const { acceptedDraftTokens: accepted, rejectedDraftTokens: rejected } = usage;
          const restTokens = tokens.length - firstCount;
          resolve({
            ...{ firstMs: firstMs - startMs, restMs: lastMs - firstMs, restTokens },
            ...{ tokens, accepted, rejected },
          });
        },
      },
    );
    if (!submitted.ok) reject(new Error(submitted.message));
  });
}

function encoded(tokens: readonly number[]): Leg {
  return { firstMs: 0, restMs: 0, restTokens: 0, tokens, accepted: 0, rejected: 0 };
}

/** What the only running sequence is to say; null: what the model says. */
class Script {
  answer: readonly number[] | null = null;
}

/** The device, with the drawn tokens exchanged for those of the script. */
class ScriptedBackend implements Backend {
  readonly name: string;
  readonly limits: Backend['limits'];
  readonly costs: NonNullable<Backend['costs']> | null;
  readonly prefill: NonNullable<Backend['prefill']> | null;
  readonly #inner: Backend;
  readonly #script: Script;

  constructor(inner: Backend, script: Script) {
    this.#inner = inner;
    this.#script = script;
    this.name = inner.name;
    this.limits = inner.limits;
    this.costs = inner.costs ?? null;
    this.prefill = inner.prefill ?? null;
  }

  step(
    plan: StepPlan,
    done: (outcome: StepOutcome) => void,
    onRounds?: (outcomes: readonly RoundOutcome[]) => void,
  ): void {
    let round = 0;
    this.#inner.step(
      plan,
      (outcome) => done(outcome.ok ? this.#exchanged(plan, outcome, round) : outcome),
      onRounds && ((outcomes) => onRounds(outcomes.map((one) => this.#exchanged(plan, one, round++)))),
    );
  }

  interrupt(replica: number): void {
    this.#inner.interrupt?.(replica);
  }

  releaseSlot(replica: number, slot: number): void {
    this.#inner.releaseSlot(replica, slot);
  }

  keepSlot(replica: number, slot: number, tokenCount: number): boolean {
    return this.#inner.keepSlot?.(replica, slot, tokenCount) ?? false;
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #exchanged(plan: StepPlan, outcome: RoundOutcome, round: number): RoundOutcome {
    const { answer } = this.#script;
    if (answer === null) return outcome;
    const rows = outcome.rows.map((drawn, index) => {
      const row = plan.rows[index]!;
      const first = row.position + row.tokens.length - row.sampleCount + 1 - row.promptCount + round;
      return { ...drawn, tokens: drawn.tokens.map((token, at) => answer[first + at] ?? token) };
    });
    return { ...outcome, rows };
  }
}
