// What the listener on node:http costs against uWebSockets.js: the same server on each, in processes of their own, streams of
// one token an event over SSE. The device is simulated and computes nothing. Tokens a second, and the server's CPU time.
// Run: make build && npx tsx test/bench/listeners.bench.ts
import { request } from 'node:http';
import { median } from './samples.ts';
import { type Served, serve } from './served.ts';

const TOKENS = 500; // per stream
const ROUNDS = 9;
const STREAMS = [1, 16] as const;
const LISTENERS = ['uws', 'node'] as const;
const FLAGS = ['--backend', 'sim', '--stream-interval', '0', '--decode-rounds', '1'];

interface Sample {
  readonly tokensPerSecond: number;
  readonly cpuUs: number; // of the server, per token
}

const servers = await Promise.all(
  LISTENERS.map(async (listener) => ({ listener, served: await serve([...FLAGS, '--listener', listener]) })),
);
console.log(`${TOKENS} tokens a stream, an event each; medians of ${ROUNDS} rounds, taken in turn`);
for (const count of STREAMS) {
  const samples = servers.map(({ served }) => ({ served, taken: [] as Sample[] }));
  for (let round = -2; round < ROUNDS; round++) {
    for (const { served, taken } of samples) {
      const sample = await measure(served, count);
      if (round >= 0) taken.push(sample); // the first two warm up
    }
  }
  const [uws, node] = samples.map(({ taken }) => ({
    rate: median(taken.map(({ tokensPerSecond }) => tokensPerSecond)),
    cpuUs: median(taken.map(({ cpuUs }) => cpuUs)),
  }));
  const shown = ({ rate, cpuUs }: { rate: number; cpuUs: number }) =>
    `${rate.toFixed(0)} tokens/s, ${cpuUs.toFixed(0)} µs of CPU a token`;
  const ratios = `${(node!.rate / uws!.rate).toFixed(2)} of the rate, ${(node!.cpuUs / uws!.cpuUs).toFixed(2)} of the CPU`;
  console.log(`${count} streams: uws ${shown(uws!)}; node ${shown(node!)}; node/uws ${ratios}`);
}
await Promise.all(servers.map(({ served }) => served.stop()));

async function measure(served: Served, count: number): Promise<Sample> {
  const cpuBefore = await served.metric('sparklane_process_cpu_seconds_total');
  const startMs = performance.now();
  await Promise.all(Array.from({ length: count }, () => stream(served.url)));
  const seconds = (performance.now() - startMs) / 1000;
  const cpu = (await served.metric('sparklane_process_cpu_seconds_total')) - cpuBefore;
  return { tokensPerSecond: (count * TOKENS) / seconds, cpuUs: (cpu * 1e6) / (count * TOKENS) };
}

/** Reads a stream to its end and keeps nothing of it. */
function stream(url: string): Promise<void> {
  const body = JSON.stringify({ prompt: 'a', max_tokens: TOKENS, stream: true, ignore_eos: true });
  return new Promise((resolve, reject) => {
    const sent = request(
      `${url}/v1/completions`,
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      (answer) => {
        if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`));
        answer.resume();
        answer.on('end', resolve);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
