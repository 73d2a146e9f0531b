// What the load tester itself can take: token events per second on one core, from the bytes of a stream to histograms,
// for every way tokens come in; and the memory of a million turns. The server writes from another process.
// Run: npx tsx test/bench/loadtest.bench.ts
import { fork } from 'node:child_process';
import { createServer } from 'node:http';
import { argv, cpuUsage, memoryUsage } from 'node:process';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';
import { VirtualClock, WallClock } from '../../kernels/clock.ts';
import { Timeline } from '../../loadtest/measure/play/timeline.ts';
import type { RunReport } from '../../loadtest/measure/runs/report-schema.ts';
import { startRun } from '../../loadtest/measure/runs/run.ts';
import { RunStatistics } from '../../loadtest/measure/runs/run-statistics.ts';
import { parseAddress } from '../../loadtest/measure/wires/address.ts';
import { openTarget, realWires, type TargetKind } from '../../loadtest/measure/wires/catalog.ts';
import { DIRECT } from '../../loadtest/measure/wires/connection.ts';
import { plainEnd } from '../../loadtest/measure/wires/target.ts';
import { encodeServerMessage, encodeTokens } from '../../server/client/protocol.ts';
import { smallPlan, smallWorkload, surroundings } from '../load-world.ts';

const STREAMS = 64;
const TOKENS = 2000; // of each stream
const ROUNDS = 2; // streams of each user

export interface CapacityRow {
  readonly kind: TargetKind;
  readonly eventsPerSecond: number; // token events over wall time
  readonly eventsPerCpuSecond: number; // over the load generator's own processor time
}

/** Streams as fast as the server writes them; wall time includes waiting for it, processor time does not. */
export async function loadtestBench(): Promise<CapacityRow[]> {
  const url = await startFlood();
  const rows: CapacityRow[] = [];
  for (const kind of ['native', 'completions'] as const) {
    await flood(kind, url.address, 1); // warm-up of the compiler
    rows.push(await flood(kind, url.address, ROUNDS));
  }
  url.stop();
  return rows;
}

async function flood(kind: TargetKind, address: string, rounds: number): Promise<CapacityRow> {
  const clock = new WallClock();
  const target = openTarget(
    {
      ...{
        kind,
        address,
        apiKey: null,
        headers: {},
        model: 'flood',
        as: 'text',
        temperature: null,
        plain: false,
        extraBody: {},
      },
      content: { scale: { wordsPerToken: 1 }, ids: null, encode: null },
    },
    realWires(parseAddress('url', address), DIRECT, STREAMS),
    clock,
  );
  const workload = smallWorkload({ outputTokens: { min: TOKENS, max: TOKENS } });
  const plan = smallPlan({
    load: { kind: 'closed', users: STREAMS },
    durationMs: 3_600_000,
    sessionsMax: STREAMS * rounds,
    slo: [],
  });
  const startMs = performance.now();
  const startCpu = cpuUsage();
  const report = await new Promise<RunReport>((resolve) => {
    startRun(plan, { clock, target, workload, countTokens: null, surroundings, onTurn: null }, resolve);
  });
  const { user, system } = cpuUsage(startCpu);
  const seconds = (performance.now() - startMs) / 1000;
  target.close();
  const events = report.counters.outputTokens;
  if (events !== STREAMS * rounds * TOKENS)
    throw new Error(`${events} token events, ${JSON.stringify(report.errors)}`);
  return { kind, eventsPerSecond: events / seconds, eventsPerCpuSecond: events / ((user + system) / 1e6) };
}

/** Heap after a number of turns, megabytes: it must not grow with them. */
export function memoryOfTurns(
  counts: readonly number[],
): { turns: number; heapMegabytes: number; microsecondsPerTurn: number }[] {
  const [session] = [smallWorkload().sessions().next().value!];
  const planned = session.turns[0]!;
  const statistics = new RunStatistics([{ metric: 'ttft', msMax: 100 }], 0);
  const clock = new VirtualClock();
  let done = 0;
  return counts.map((turns) => {
    const fromTurns = done;
    const startMs = performance.now();
    for (; done < turns; done++) {
      const timeline = new Timeline(done, done);
      for (let token = 0; token < 8; token++) {
        timeline.add(done + 50 + token * 5, { text: 'x', count: 1, index: token, reasoning: false }, null);
      }
      const end = { ...plainEnd('ok'), outputTokens: 8 };
      timeline.end(done + 100, end);
      const own = { ...session, index: done };
      statistics.onTurn({
        ...{ session: own, turnIndex: 0, planned, kind: 'turn', outcome: 'ok', end, timeline },
        ...{ measures: timeline.measures(), firstUsefulDiffMs: null, inFlight: 1 },
      });
      statistics.onSession({
        ...{ plannedCount: 1, startMs: done, endMs: done + 100, turnCount: 1, toolGapMs: 0, humanGapMs: 0 },
        ...{ allGood: true, complete: true, failed: false },
      });
    }
    clock.run();
    global.gc?.();
    const microseconds = ((performance.now() - startMs) * 1000) / Math.max(1, turns - fromTurns);
    return { turns, heapMegabytes: memoryUsage().heapUsed / 2 ** 20, microsecondsPerTurn: microseconds };
  });
}

/** The server: another process, so that its work is not counted. Tokens are written one frame, one event each. */
async function startFlood(): Promise<{ address: string; stop: () => void }> {
  const child = fork(fileURLToPath(import.meta.url), ['serve-flood']);
  const port = await new Promise<number>((resolve) =>
    child.once('message', (message) => resolve(message as number)),
  );
  return { address: `http://127.0.0.1:${port}`, stop: () => child.kill() };
}

function serveFlood(): void {
  const event = `data: ${JSON.stringify({ id: 'cmpl-0', object: 'text_completion', choices: [{ index: 0, text: ' value', logprobs: null, finish_reason: null, token_ids: [7] }] })}\n\n`;
  const last = `data: ${JSON.stringify({ choices: [{ text: '', finish_reason: 'length', token_ids: [] }] })}\n\ndata: [DONE]\n\n`;
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let token = 0;
    const write = () => {
      // A few tokens each time round, as a server with many streams has it.
      for (let burst = 0; burst < 4 && token < TOKENS; burst++, token++) response.write(event);
      if (token < TOKENS) setImmediate(write);
      else response.end(last);
    };
    write();
  });
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      if (data.includes('hello') && data.includes('version')) {
        const limits = {
          contextTokensMax: 1,
          frameSizeMax: 1,
          sessionCountMax: 1,
          sessionIdleSeconds: 1,
          replayTokensMax: 1,
          logprobsMax: 0,
        };
        const features = { chat: false, fillInTheMiddle: false };
        socket.send(
          encodeServerMessage({
            type: 'hello',
            version: 1,
            server: 'flood',
            model: 'flood',
            device: 'none',
            timeUs: 0,
            limits,
            features,
          } as unknown as Parameters<typeof encodeServerMessage>[0]),
        );
      }
      if (!data.includes('maxTokens')) return;
      let token = 0;
      const write = () => {
        for (let burst = 0; burst < 4 && token < TOKENS; burst++, token++) {
          socket.send(
            encodeTokens({
              type: 'tokens',
              session: 0,
              generation: 0,
              index: token,
              timeUs: token,
              tokens: [7],
              text: ' value',
              logprobs: null,
            }),
          );
        }
        if (token < TOKENS) {
          setImmediate(write);
          return;
        }
        const usage = { promptTokens: 1, cachedTokens: 0, outputTokens: TOKENS };
        const timings = { queueUs: 0, ttftUs: 0, tpotUs: 0, totalUs: 0 };
        socket.send(
          encodeServerMessage({
            type: 'generation.end',
            session: 0,
            generation: 0,
            reason: 'length',
            text: '',
            stopString: null,
            position: 0,
            usage,
            timings,
            error: null,
          } as unknown as Parameters<typeof encodeServerMessage>[0]),
        );
      };
      write();
    });
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    process.send!(typeof address === 'object' && address !== null ? address.port : 0);
  });
}

export function printLoadtest(rows: readonly CapacityRow[]): void {
  for (const { kind, eventsPerSecond, eventsPerCpuSecond } of rows) {
    console.log(
      `${kind.padEnd(12)} ${Math.round(eventsPerSecond)} token events/s, ${Math.round(eventsPerCpuSecond)} per second of its own processor time (goal 20,000)`,
    );
  }
}

if (argv[1] !== undefined && fileURLToPath(import.meta.url) === argv[1]) {
  if (argv[2] === 'serve-flood') {
    serveFlood();
  } else {
    printLoadtest(await loadtestBench());
    for (const { turns, heapMegabytes, microsecondsPerTurn } of memoryOfTurns([10_000, 100_000, 1_000_000])) {
      console.log(
        `${turns} turns: heap ${heapMegabytes.toFixed(0)} MiB, ${microsecondsPerTurn.toFixed(1)} µs per turn of 8 tokens`,
      );
    }
  }
}
