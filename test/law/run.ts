// One run of the law: the answers of fresh servers, then one server that hears the same cases before, during and after
// a crowd that asks everything at once, leaves in the middle, steers, and asks for what cannot be answered.
import assert from 'node:assert/strict';
import { WallClock } from '../../kernels/clock.ts';
import { Random } from '../../kernels/random.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { loadConfig } from '../../server/config/config.ts';
import { greedy } from '../cpu-rig.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { servedEnv } from '../served-env.ts';
import { type Answer, ask, askAndLeave, connect, type Door, listening, wholeText } from './ask.ts';
import { drawCase, type HttpCase, type LawCase, type NativeCase, pick } from './cases.ts';
import { difference, Judge, ownDistribution } from './verdict.ts';

export const keys = ['one-caller-of-the-law', 'another-caller-of-it'] as const;

export interface LawPlan {
  readonly seed: number;
  readonly flags: Readonly<Record<string, unknown>>; // of the server
  readonly cases: number; // different ones, each asked of a server of its own first
  readonly requests: number; // of the crowd
  readonly callers: number; // at the same time
  readonly onServer?: (server: LocalServer) => void | Promise<void>; // before the crowd comes: breaks it on purpose
}

export interface LawReport {
  compared: number; // answers beside those of a fresh server
  left: number; // answers left in the middle, what had come beside the fresh one's beginning
  steered: number; // answers stopped for others
  hopeless: number; // rows that could not be sampled
  tokens: number; // greedy ones beside their own distribution
  preemptions: number;
  guesses: number; // that came true
  readonly broken: string[];
}

/** The plan's cases, each asked of a server that has heard nothing else. */
export async function freshAnswers(plan: LawPlan): Promise<readonly Known[]> {
  const random = new Random(plan.seed);
  const options = { contextTokens: 500, vocabSize: 8000 };
  const known: Known[] = [];
  for (let index = 0; index < plan.cases; index++)
    known.push(await freshAnswer(plan.flags, drawCase(random, index, options)));
  return known;
}

async function freshAnswer(flags: LawPlan['flags'], asked: LawCase): Promise<Known> {
  const server = await open(flags);
  const fresh = await ask({ url: server.url, key: keys[0] }, asked);
  await server.stop();
  return { asked, fresh };
}

/** A case whose caller foretells its answer, so that there is a guess for all of it whatever the load and the times are. */
export async function foretoldAnswer(flags: LawPlan['flags']): Promise<Known> {
  const messages = [{ role: 'user', content: 'const list = [1, 2, 3]; // go on with' }];
  const body = { messages, max_tokens: 24, ignore_eos: true, logprobs: true, top_logprobs: 5 };
  const path = '/v1/chat/completions';
  const greedyBody = { ...body, temperature: 0, repetition_penalty: 1, return_token_ids: true };
  const { fresh } = await freshAnswer(flags, { kind: 'http', path, body: greedyBody });
  const prediction = { type: 'content', content: wholeText(fresh) };
  return freshAnswer(flags, { kind: 'http', path, body: { ...greedyBody, prediction } });
}

/** The plan's crowd on one server. */
export async function runLaw(plan: LawPlan, known: readonly Known[]): Promise<LawReport> {
  const report: LawReport = {
    ...{
      compared: 0,
      left: 0,
      steered: 0,
      hopeless: 0,
      tokens: 0,
      preemptions: 0,
      guesses: 0,
      broken: [],
    },
  };
  const random = new Random(plan.seed ^ 0x1a3);
  const server = await open(plan.flags);
  try {
    await plan.onServer?.(server);
    const scene: Scene = { server, known, report, random, judge: new Judge(server.model) };
    const quarter = known.slice(0, Math.ceil(known.length / 4));
    for (const one of quarter) await check(scene, one, 'before');
    let left = plan.requests;
    const caller = async () => {
      while (left-- > 0) await act(scene);
    };
    await Promise.all(Array.from({ length: plan.callers }, caller));
    for (const one of known) await check(scene, one, 'after');
    await rest(server);
    report.preemptions = await counted(server, 'sparklane_preemptions_total');
  } finally {
    await server.stop();
  }
  return report;
}

export interface Known {
  readonly asked: LawCase;
  readonly fresh: Answer;
}

interface Scene {
  readonly server: LocalServer;
  readonly known: readonly Known[];
  readonly report: LawReport;
  readonly random: Random;
  readonly judge: Judge;
}

function open(flags: LawPlan['flags']): Promise<LocalServer> {
  const host = { terminal: new MemoryTerminal(), env: {}, clock: new WallClock(), epochMs: Date.now };
  return startLocalServer(
    loadConfig({ flags: { port: 0, logLevel: 'error', apiKeys: keys, ...flags }, env: servedEnv }),
    host,
  );
}

/** What one of the crowd does next. */
async function act(scene: Scene): Promise<void> {
  const { random, known } = scene;
  const chance = random.next();
  const one = pick(random, known);
  if (chance < 0.12) await leave(scene);
  else if (chance < 0.18) await steer(scene);
  else if (chance < 0.22) await hopeless(scene);
  else await check(scene, one, 'among others');
}

async function check(scene: Scene, { asked, fresh }: Known, when: string): Promise<void> {
  const { report } = scene;
  const got = await ask(doorOf(scene), asked);
  report.compared++;
  const other = difference(fresh, got);
  const { wrong, checked } = await ownDistribution(asked, got, scene.judge);
  report.tokens += checked;
  report.guesses += got.guesses;
  if (other !== null) complain(report, asked, `${when}: ${other}`);
  if (wrong !== null) complain(report, asked, `${when}: ${wrong}`);
}

async function leave(scene: Scene): Promise<void> {
  const { report, random, known } = scene;
  const streams = known.filter(
    (one): one is Known & { readonly asked: HttpCase } =>
      one.asked.kind === 'http' && one.asked.path.includes('completions') && !('tools' in one.asked.body),
  );
  if (streams.length === 0) return;
  const { asked, fresh } = pick(random, streams);
  const text = await askAndLeave(doorOf(scene), asked, random.integer(1, 12));
  report.left++;
  if (!wholeText(fresh).startsWith(text)) complain(report, asked, `left with ${JSON.stringify(text)}`);
}

/** The stopped answer is a beginning of the fresh one; what follows depends on when, and is judged by itself. */
async function steer(scene: Scene): Promise<void> {
  const { report, random, known } = scene;
  const sessions = known.filter(
    (one): one is Known & { readonly asked: NativeCase } => one.asked.kind === 'native',
  );
  if (sessions.length === 0) return;
  const { asked, fresh } = pick(random, sessions);
  const [first] = asked.turns;
  const client = await connect(doorOf(scene));
  try {
    const session = client.open(asked.sampling);
    void session.append({ text: first!.text });
    const stopped = listening();
    const running = session.generate(first!.question, stopped.reader);
    const after = {
      maxTokens: 8,
      seed: 5,
      temperature: 0,
      logprobs: 5,
      repetitionPenalty: 1,
    };
    const steered = listening();
    const answer = session.steer(running, { text: ' else' }, after, steered.reader);
    const end = await answer.end;
    report.steered++;
    const beginning = fresh.choices[0]!.tokens.slice(0, stopped.choice.tokens.length);
    if (`${beginning}` !== `${stopped.choice.tokens}`) complain(report, asked, 'steered: another beginning');
    const alone: NativeCase = { ...asked, sampling: { temperature: 0, repetitionPenalty: 1 }, turns: [] };
    const heard = { said: end, choices: [steered.choice], promptTokens: 0, guesses: 0 };
    const { wrong, checked } = await ownDistribution(alone, heard, scene.judge);
    report.tokens += checked;
    if (wrong !== null) complain(report, asked, `steered: ${wrong}`);
  } finally {
    client.close();
  }
}

/** A row whose penalties leave no distribution, past the edge that refuses it: it fails, and nobody else does. */
function hopeless({ server, report, random }: Scene): Promise<void> {
  return new Promise((resolve) => {
    const tokens = Int32Array.from({ length: random.integer(2, 40) }, () => random.integer(0, 7000));
    const submitted = server.engine.submit(
      {
        ...{ tokens, maxTokens: 8, constraint: null, ignoreStopTokens: true, speculation: null },
        ...{ priority: 'turn', cacheSalt: 'hopeless', deadlineMs: null },
        sampling: { ...greedy, repetitionPenalty: 1e-45 },
      },
      {
        onTokens() {},
        onEnd({ failure }) {
          if (failure?.code !== 'sampling-failed') report.broken.push(`a hopeless row: ${failure?.code}`);
          report.hopeless++;
          resolve();
        },
      },
    );
    if (!submitted.ok) resolve();
  });
}

/** Nobody is left behind, and no block. Callers that left are gone by the next step. */
async function rest({ engine }: LocalServer): Promise<void> {
  await new Promise<void>((resolve) => engine.drain(resolve));
  engine.check();
  assert.equal(engine.load.kv.inUseCount, 0, 'blocks in use');
}

/** The answer is the same to every key. */
function doorOf({ server, random }: Scene): Door {
  return { url: server.url, key: pick(random, keys) };
}

async function counted({ url }: LocalServer, name: string): Promise<number> {
  const headers = { authorization: `Bearer ${keys[0]}` };
  const lines = (await (await fetch(`${url}/metrics`, { headers })).text()).split('\n');
  return Number(
    lines
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')
      .at(-1) ?? 0,
  );
}

function complain(report: LawReport, asked: LawCase, why: string): void {
  report.broken.push(`${JSON.stringify(asked).slice(0, 700)}\n${why}`);
}
