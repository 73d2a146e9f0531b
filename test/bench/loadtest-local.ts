// `make loadtest`: starts a server on a free port of this machine, replays agent sessions against it, writes a report
// and stops it. The model is spark-nano, which is there for such. More flags of `sparklane loadtest` may follow; `--` and then flags of `sparklane serve`.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { argv } from 'node:process';
import { processIo, runLoadtest } from '../../loadtest/main.ts';

const root = join(import.meta.dirname, '../..');
const START_TIMEOUT_MS = 180_000; // the first start builds the graph
const STOP_TIMEOUT_MS = 5000; // then it is not asked any more

const words = argv.slice(2);
const split = words.indexOf('--');
const own = split === -1 ? words : words.slice(0, split);
const serve = split === -1 ? [] : words.slice(split + 1);

const server = spawn(
  process.execPath,
  ['--import', 'tsx', join(root, 'sparklane.ts'), 'serve', '--port', '0', '--model', 'spark-nano', ...serve],
  {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // Ctrl-C is for the load tester; the server is stopped when the report is written
  },
);
process.on('SIGTERM', () => process.exit(143));
process.on('exit', () => server.kill('SIGTERM')); // whatever happens here, it does not outlive us

try {
  const url = await urlOf(server);
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  const out = own.includes('--out') ? [] : ['--out', `bench-results/loadtest-${stamp}`];
  await runLoadtest(['--url', url, ...out, ...own], processIo());
} finally {
  server.kill('SIGTERM');
  const impatient = setTimeout(() => server.kill('SIGKILL'), STOP_TIMEOUT_MS);
  server.on('exit', () => clearTimeout(impatient));
}

function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const timer = setTimeout(() => reject(new Error(`the server did not start:\n${said}`)), START_TIMEOUT_MS);
    const listen = (chunk: Buffer) => {
      said += chunk.toString();
      if (/^sparklane: /m.test(said)) {
        clearTimeout(timer);
        reject(new Error(`the server did not start:\n${said}`));
      }
      const url = /https?:\/\/[\w.[\]:]+:\d+/.exec(said);
      if (url === null) return;
      clearTimeout(timer);
      resolve(url[0]);
    };
    child.stdout!.on('data', listen);
    child.stderr!.on('data', listen);
    child.on('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the server ended with ${code}:\n${said}`));
    });
  });
}
