// The command line of the load tester: flags and their help; the rest is settings.ts's and campaign.ts's. Mounted by
// loadtest/main.ts, and by the `sparklane` program as its command `loadtest`.
import type { Command } from 'commander';
import { record } from '../agents/commands.ts';
import { FlagError } from '../base/flag-error.ts';
import { WORKLOADS } from '../workload/catalog.ts';
import { runCampaign } from './campaign.ts';
import { FlagReader } from './flag-reader.ts';
import type { LoadtestIo } from './io.ts';
import { reportJsonSchema } from './runs/report-schema.ts';
import { type Flags, parseSettings, type Settings } from './settings.ts';
import { unheardFlags } from './unheard-flags.ts';
import { TARGET_KINDS } from './wires/catalog.ts';
import { undiciForward } from './wires/undici-forward.ts';
import { PLAIN_ROUTE_NAMES } from './wires/whole-routes.ts';

const RECORDER_PORT = 9099;

export function addLoadtestCommand(program: Command, io: LoadtestIo): void {
  const command = program
    .command('loadtest')
    .description('measure a server as its users feel it: open loop, sessions, goodput, intervals')
    .allowExcessArguments(false);
  addTargetFlags(command);
  addWorkloadFlags(command);
  addExperimentFlags(command);
  command.addHelpText('after', () => `\nWorkloads:\n${workloadHelp()}\n`);
  command.action(async (flags: Flags) => {
    if (flags['schema'] === true) {
      io.write(`${JSON.stringify(reportJsonSchema(), null, 2)}\n`);
      return;
    }
    const settings = parseSettings(flags);
    for (const line of unheardFlags(flags, settings)) io.note(line);
    if (typeof flags['record'] === 'string') {
      await recordClient(flags['record'], { flags, settings }, io);
      return;
    }
    // Read only where it is asked for: it takes a tenth of a second, which every command would wait for.
    const run = flags['autocannon'] === true ? (await import('./autocannon.ts')).runAutocannon : runCampaign;
    io.setExitCode(await run(settings, io));
  });
}

function addTargetFlags(command: Command): void {
  command
    .option('--target <kind>', `protocol: ${TARGET_KINDS.join(', ')} (default native)`)
    .option(
      '--url <url>',
      'server (default http://127.0.0.1:8080); a path is kept: /openai/v1 stands for /v1, any other is a prefix before it',
    )
    .option('--in-process', 'a server in this process instead, in virtual time')
    .option('--device <name>', 'device of the server in this process (default sim)')
    .option('--wall-clock', 'with --in-process: real time, for real devices')
    .option('--api-key <key>', 'bearer token (also SPARKLANE_API_KEY)')
    .option('--header <line>', "'Name: value' of every request; may be given again", collected, [])
    .option('--proxy <url>', 'HTTP proxy (default: none; the environment is not asked)')
    .option('--ca <file>', 'certificates to trust instead of the system’s, PEM')
    .option('--insecure', 'do not check certificates')
    .option('--model <name>', "model to ask for (default: the server's first)")
    .option('--tokenizer <model>', 'embedded model or directory whose tokenizer counts text')
    .option('--content <kind>', 'text, tokens or messages, where the protocol leaves a choice (default text)')
    .option('--temperature <number>', "default: the server's")
    .option('--plain', "only fields that OpenAI documents: lengths and counts become the server's choice")
    .option('--body <json>', 'more fields for the request body of HTTP and Responses targets');
}

function addWorkloadFlags(command: Command): void {
  command
    .option('--workload <name>', 'see below (default agent-sessions)')
    .option(
      '--trace <file>',
      'trace or data set instead of the bundled one; plain or gzip, Parquet for dataset',
    )
    .option(
      '--isl <lengths>',
      'synthetic prompts: TOKENS, MIN..MAX, normal:MEAN,DEVIATION, lognormal:MEDIAN,SIGMA (default 1000)',
    )
    .option('--osl <lengths>', 'synthetic answers, and those of data sets that record none (default 128)')
    .option(
      '--prefix-share <share>',
      'synthetic: of the prompt, what all sessions have in common (default 0%)',
    )
    .option('--turns <count>', 'synthetic: turns of a session, COUNT or MIN..MAX (default 1)')
    .option('--prompts <file>', 'azure-code: JSON lines with a "prompt" that requests end with')
    .option('--scale <number>', "divides all token counts (default: the workload's)")
    .option(
      '--context <tokens>',
      'nothing longer is sent: sessions end, requests are left out (default 8192)',
    )
    .option('--gap-scale <number>', 'divides tool and human gaps (default 20)')
    .option('--gap-max <time>', 'longest gap (default 10s)')
    .option('--edit-format <format>', 'rewrite, diff or search-replace (default rewrite)')
    .option('--file-tokens <list>', 'edits: lengths that files are padded to (default 500,2000,8000)')
    .option('--interrupts <share>', 'share of the turns that are stopped, such as 10%')
    .option('--steers <share>', 'share of the turns that are stopped and redirected')
    .option(
      '--load <load>',
      "closed:USERS, constant:RATE, poisson:RATE, gamma:RATE,cv=N, ramp:A..B, trace[:SPEED]; sessions/s (default: the workload's)",
    )
    .option('--duration <time>', "no turn is sent after this (default: the workload's)")
    .option('--sessions <count>', 'at most so many sessions')
    .option(
      '--warmup <time>',
      'played, not counted; auto: until TTFT settles (default 10 % of the duration, at most 30s)',
    )
    .option('--lead <time>', 'connections are opened this long before they are needed (default 250ms)')
    .option('--timeout <time>', 'a turn without an end is an error after this (default 120s)')
    .option(
      '--in-flight <count>',
      'most sessions at a time; more are shed and the run is void (default 4096)',
    )
    .option('--workers <count>', 'threads that play, where one core is not enough (default 1)')
    .option('--seed <number>', 'arrivals, content, interruptions (default 1)');
}

function addExperimentFlags(command: Command): void {
  command
    .option('--slo <bounds>', 'what is good: ttft, ttfo, tpot, stall, e2e (default ttft<1s,stall<500ms)')
    .option('--void-share <share>', 'of the objective that the generator itself may be late (default 10%)')
    .option(
      '--sweep <loads>',
      "one run per load, such as 1,2,4,8, 'concurrency:1,2,4; rate:0.5,1,2'; finds the knee",
    )
    .option('--abort <share>', 'end a run once so much of its latest 50 turns has failed, such as 30%')
    .option('--scrape [route]', 'record the server’s own metrics beside, every second (default /metrics)')
    .option('--capacity <range>', 'search the highest load that reaches the goal, such as 0.5..50')
    .option('--goal <share>', 'good share that counts as reached (default 95%)')
    .option('--tolerance <share>', 'width of the final bracket (default 5%)')
    .option('--repeats <count>', 'runs that must agree on the capacity, odd (default 3)')
    .option(
      '--ab [target]',
      'compare with another target, such as chat or chat@http://host:port (default completions)',
    )
    .option('--blocks <count>', 'ABBA blocks of a comparison, one session each (default 12)')
    .option(
      '--record <file>',
      'instead of a test: stand between a real client and --url, and write what it does as a trace, without text',
    )
    .option('--listen <port>', 'of --record, on loopback (default 9099)')
    .option('--routes <route>', `drive a plain HTTP route instead: ${PLAIN_ROUTE_NAMES.join(', ')}`)
    .option('--connections <count>', 'of --routes (default 8)')
    .option('--rate <number>', 'of --routes, requests per second (default: as fast as the connections go)')
    .option(
      '--autocannon',
      'of --routes: autocannon sends instead, to compare with; no sessions, gates or report',
    )
    .option(
      '--gate <gates>',
      "exit 1 unless the whole interval holds: 'p95(ttft)<800ms; good>=99%; goodput>=2/s'",
    )
    .option('--junit <file>', 'write validity and gates as JUnit XML')
    .option(
      '--otlp <url>',
      'tell every run to an OpenTelemetry collector, such as http://127.0.0.1:4318/v1/metrics',
    )
    .option(
      '--remote-write <url>',
      'tell every run to Prometheus or its kin, such as http://127.0.0.1:9090/api/v1/write',
    )
    .option('--schema', 'print the JSON Schema of report.json, and end')
    .option('--out <directory>', 'write report.html, report.json and turns.csv there')
    .option('--no-live', 'no live view');
}

async function recordClient(
  file: string,
  { flags, settings }: { readonly flags: Flags; readonly settings: Settings },
  io: LoadtestIo,
): Promise<void> {
  const { target, connection } = settings;
  const port = new FlagReader(flags).integer('listen', 0, 65_535) ?? RECORDER_PORT;
  if (target.address === null) throw new FlagError('record', file, 'a server at --url');
  const ended = new Promise<void>((resolve) => {
    const ignore = io.onInterrupt(() => {
      ignore();
      resolve();
    });
  });
  const forward = undiciForward(target.address, connection);
  await record({ file, forward, port, clock: io.clock, note: (text) => io.note(text), ended });
}

function collected(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function workloadHelp(): string {
  return Object.entries(WORKLOADS)
    .map(([name, { help, load, scale = 1 }]) => `  ${name.padEnd(16)} ${help} (${load}, scale ${scale})`)
    .join('\n');
}
