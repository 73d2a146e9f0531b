// What pages that watch cost: CPU of a server with a filled cache, with nobody watching and with VIEWERS pages (10), SECONDS (20)
// each. Linux only. Run: npx tsx test/bench/viewers.ts
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const viewers = Number(process.env['VIEWERS'] ?? 10);
const seconds = Number(process.env['SECONDS'] ?? 20);
const TICKS_PER_SECOND = 100; // of /proc, on every Linux that Node runs on

const root = join(import.meta.dirname, '../..');
const args = [
  '--import',
  'tsx',
  'sparklane.ts',
  'serve',
  '--port',
  '0',
  '--model',
  'spark-nano',
  '--log-level',
  'error',
];
const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
let said = '';
child.stdout.setEncoding('utf8').on('data', (text: string) => {
  said += text;
});
while (!/url {5}(\S+)/.test(said)) await once(child.stdout, 'data');
const url = /url {5}(\S+)/.exec(said)![1]!;

function cpuSeconds(): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

async function fill(): Promise<void> {
  for (let index = 0; index < 40; index++) {
    const prompt = `${'const shared = 1;\n'.repeat(20)}${`function f${index}() {}\n`.repeat(10)}`;
    const body = JSON.stringify({ prompt, max_tokens: 8 });
    const headers = { 'content-type': 'application/json' };
    await (await fetch(`${url}/v1/completions`, { method: 'POST', headers, body })).text();
  }
}

/** Share of a core, and bytes that each viewer got in a second. */
async function measure(count: number): Promise<{ share: number; bytes: number }> {
  const leaving = new AbortController();
  let size = 0;
  for (let index = 0; index < count; index++) {
    const { body } = await fetch(`${url}/ui/live`, { signal: leaving.signal });
    void (async () => {
      for await (const piece of body!) size += piece.length;
    })().catch(() => {}); // left
  }
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const [before, sizeBefore, startMs] = [cpuSeconds(), size, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const elapsed = (performance.now() - startMs) / 1000;
  const result = {
    share: (cpuSeconds() - before) / elapsed,
    bytes: count === 0 ? 0 : (size - sizeBefore) / elapsed / count,
  };
  leaving.abort();
  return result;
}

try {
  await fill();
  await measure(0); // what starts up has started
  const alone = await measure(0);
  const watched = await measure(viewers);
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  console.log(`nobody watches: ${percent(alone.share)} of a core`);
  console.log(
    `${viewers} pages watch: ${percent(watched.share)} of a core, ${Math.round(watched.bytes)} bytes a second each`,
  );
  console.log(`they cost ${percent(watched.share - alone.share)} of a core together`);
} finally {
  child.kill('SIGKILL');
}
