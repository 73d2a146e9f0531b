// The command line: commands, their flags, and what an error looks like. Owns nothing of what commands do; touches no
// process (main.ts does), so that tests run it whole. Before it: main.ts; after it: one file per command.

import { readFile } from 'node:fs/promises';
import { Command, CommanderError } from 'commander';
import { flagName } from '../base/flag-name.ts';
import { packageVersion } from '../base/package-version.ts';
import type { NativeClient } from '../client/client.ts';
import { type Config, loadConfig } from '../config/config.ts';
import { OPTIONS, type OptionName } from '../config/options.ts';
import { build } from './build.ts';
import { chat } from './chat.ts';
import { claude } from './claude.ts';
import type { WritingOptions } from './client-settings.ts';
import { codex } from './codex.ts';
import { complete, type FileCursor } from './complete.ts';
import { withServer } from './connect.ts';
import { TOO_FEW } from './descriptors.ts';
import { addConfigFlags, configFlags } from './flags.ts';
import { models, pull } from './hub-model.ts';
import { route } from './route.ts';
import { serve } from './serve.ts';
import { dropSessions, listSessions, showSession } from './sessions.ts';
import { type Host, UsageError } from './terminal.ts';

type Flags = Readonly<Record<string, unknown>>;

/** Adds commands that are clients of the server rather than parts of it. */
export type Mount = (program: Command, setExitCode: (code: number) => void) => void;

/**
 * Runs one command line (without the program's own name). Resolves with the exit code; prints what went wrong.
 * `loadMounts` is only asked when the command is none of the server's own: serving must not wait for charts.
 */
export async function runProgram(
  args: readonly string[],
  host: Host,
  loadMounts: () => Promise<readonly Mount[]> = async () => [],
): Promise<number> {
  let exitCode = 0;
  const program = new Command('sparklane')
    .description('the fast lane for coding models on your own machine')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: host.terminal.write, writeErr: host.terminal.note });
  addServe(program, host);
  addChat(program, host);
  addComplete(program, host);
  addBuild(program, host);
  addHub(program, host);
  addCodex(program, host);
  addClaude(program, host);
  addSessions(program, host);
  addRoute(program, host);
  try {
    if (!program.commands.some((command) => command.name() === args[0])) {
      for (const mount of await loadMounts()) {
        mount(program, (code) => {
          exitCode = code;
        });
      }
    }
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode; // commander has printed it
    host.terminal.note(`sparklane: ${errorText(error)}\n`);
    return 1;
  }
}

function addServe(program: Command, host: Host): void {
  addConfigFlags(program.command('serve').description('serve a model over HTTP and WebSocket'))
    .allowExcessArguments(false)
    .action((flags: Flags) => {
      const config = configOf(flags, host);
      for (const name of ['apiKey', 'adminKey'] as const)
        if (flags[name] !== undefined) host.terminal.note(visibleKey(name));
      return serve(config, host);
    });
}

function visibleKey(name: 'apiKey' | 'adminKey'): string {
  const { flag, env } = OPTIONS[name === 'apiKey' ? 'apiKeys' : name];
  return `sparklane: everybody on this machine can read --${flag} off the list of processes; --${flag}-file and ${env} keep it to yourself\n`;
}

function addChat(program: Command, host: Host): void {
  const command = program
    .command('chat')
    .description('talk to a model in the terminal')
    .option('--url <url>', 'server to talk to, such as http://127.0.0.1:8080; without it one is started here')
    .option('--system <text>', 'what the model is told before the first message');
  addAskFlags(command);
  addConfigFlags(command)
    .allowExcessArguments(false)
    .action(async (flags: Flags) => {
      const options = { system: textOf(flags, 'system'), ask: askOf(flags, null) };
      const config = quietConfigOf(flags, host);
      await withServer(textOf(flags, 'url'), config, host, (client) => chat(client, options, host));
    });
}

function addComplete(program: Command, host: Host): void {
  const command = program
    .command('complete')
    .description('complete a file (- is standard input) at its end, or at a cursor')
    .argument('<file>', 'the file to go on with')
    .option('--line <number>', 'line of the cursor, from 1')
    .option('--column <number>', 'column of the cursor, from 1; without it the end of the line')
    .option('--url <url>', 'server to ask, such as http://127.0.0.1:8080; without it one is started here');
  addAskFlags(command);
  addConfigFlags(command)
    .allowExcessArguments(false)
    .action(async (file: string, flags: Flags) => {
      const config = quietConfigOf(flags, host);
      const text = file === '-' ? await host.terminal.readAll() : await readFile(file, 'utf8');
      const cursor = cursorOf(flags, text);
      const ask = askOf(flags, COMPLETION_TOKENS);
      const completion = { text, cursor, ask };
      await withServer(textOf(flags, 'url'), config, host, (client) => complete(client, completion, host));
    });
}

function addBuild(program: Command, host: Host): void {
  const names: readonly OptionName[] = ['precision', 'cacheDirectory', 'logLevel'];
  addConfigFlags(program.command('build').description('build the graph of a model into the cache'), names)
    .argument(
      '<model>',
      'name of an embedded model, a model directory, a GGUF file, or OWNER/NAME of the hub',
    )
    .allowExcessArguments(false)
    .action((model: string, flags: Flags) => build(configOf({ ...flags, model }, host), host));
}

function addHub(program: Command, host: Host): void {
  program
    .command('pull')
    .description("fetch a model from Hugging Face's hub into its cache, or see that it is there and whole")
    .argument(
      '<model>',
      'OWNER/NAME, with :QUANT or :FILE.gguf for a GGUF file, @REVISION for another than main',
    )
    .allowExcessArguments(false)
    .action((model: string) => pull(model, host));
  program
    .command('models')
    .description("list the models in Hugging Face's cache")
    .allowExcessArguments(false)
    .action(() => models(host));
}

function addCodex(program: Command, host: Host): void {
  const command = program
    .command('codex')
    .description('print or write the config with which the Codex CLI uses this server')
    .option('--write', 'write config.toml and the model catalogue instead of printing them')
    .option('--directory <path>', 'where Codex looks for them; default: CODEX_HOME, or .codex in your home')
    .option('--force', 'overwrite a config.toml that sparklane has not written');
  addConfigFlags(command, [...SERVED_OPTIONS, 'responsesWebSocket'])
    .allowExcessArguments(false)
    .action((flags: Flags) => codex(configOf(flags, host), writingOf(flags), host));
}

function addClaude(program: Command, host: Host): void {
  const command = program
    .command('claude')
    .description('print or write the settings with which Claude Code uses this server')
    .option('--write', 'write settings.local.json instead of printing it; what else is there stays')
    .option('--directory <path>', 'the folder of the settings; default: .claude in this one')
    .option('--force', 'replace variables that are set to something else');
  addConfigFlags(command, SERVED_OPTIONS)
    .allowExcessArguments(false)
    .action((flags: Flags) => claude(configOf(flags, host), writingOf(flags), host));
}

/** What a client has to know of the server. */
const SERVED_OPTIONS = ['host', 'port', 'model', 'contextTokens', 'kvCacheSizeMax', 'apiKeys'] as const;

/** Where a client's settings go, and over what. */
function writingOf(flags: Flags): WritingOptions {
  return {
    write: flags['write'] === true,
    directory: textOf(flags, 'directory'),
    force: flags['force'] === true,
  };
}

function addSessions(program: Command, host: Host): void {
  const command = program
    .command('sessions')
    .description('list, show and drop the sessions of an API key on a running server');
  const names: readonly OptionName[] = ['host', 'port', 'apiKeys'];
  const add = (
    subcommand: Command,
    act: (client: NativeClient, flags: Flags, ids: string[]) => Promise<void>,
  ) =>
    addConfigFlags(subcommand.option('--url <url>', 'server to ask; default: http://host:port'), names)
      .allowExcessArguments(false)
      .action(async (...given: unknown[]) => {
        const flags = given.at(-2) as Flags; // commander: arguments, flags, command
        const config = quietConfigOf(flags, host);
        const url = textOf(flags, 'url') ?? `http://${config.host}:${config.port}`;
        const ids = given.slice(0, -2).flat() as string[];
        await withServer(url, config, host, (client) => act(client, flags, ids));
      });
  add(command.command('list').description('one line for each'), (client) => listSessions(client, host));
  const show = command.command('show').description('one session and the end of its text');
  add(show.argument('<id>').option('--tokens <number>', 'how much of its end'), (client, flags, [id]) =>
    showSession(client, { id: id!, tokenCount: numberOf(flags, 'tokens', { min: 0, integer: true }) }, host),
  );
  const drop = command.command('drop').description('end sessions, whoever has them');
  add(drop.argument('<id...>'), (client, _, ids) => dropSessions(client, ids, host));
}

function addRoute(program: Command, host: Host): void {
  program
    .command('route')
    .description('say which lane a request (chat completions or Responses, JSON on standard input) would get')
    .option('--lanes <path>', 'lanes file whose policy decides; default: the built-in policy')
    .option('--policy <path>', 'policy file; goes before --lanes')
    .option('--from <lane>', 'lane that the session is in; default: a new session')
    .option('--labelled <path>', 'say instead how often the policy is right about labelled requests')
    .allowExcessArguments(false)
    .action((flags: Flags) => {
      const options = {
        lanes: textOf(flags, 'lanes') ?? (host.env[OPTIONS.lanes.env] || null),
        policy: textOf(flags, 'policy'),
        from: textOf(flags, 'from'),
        labelled: textOf(flags, 'labelled'),
      };
      return route(options, host);
    });
}

const COMPLETION_TOKENS = 256; // of `complete`, unless --max-tokens says otherwise

function addAskFlags(command: Command): Command {
  return command.option('--max-tokens <number>', 'longest answer, tokens');
}

function askOf(flags: Flags, maxTokens: number | null) {
  const limit = numberOf(flags, 'maxTokens', { min: 1, integer: true }) ?? maxTokens;
  // An option of the server as well, but a server that is only connected to does not have it.
  const temperature =
    flags['temperature'] === 'model' ? null : numberOf(flags, 'temperature', { min: 0, integer: false });
  return { ...(limit !== null && { maxTokens: limit }), ...(temperature !== null && { temperature }) };
}

function cursorOf(flags: Flags, text: string): FileCursor | null {
  const line = numberOf(flags, 'line', { min: 1, integer: true });
  const column = numberOf(flags, 'column', { min: 1, integer: true });
  if (line === null && column === null) return null;
  if (line === null) throw new UsageError('--column needs --line');
  return { line, column: column ?? (text.split('\n')[line - 1]?.length ?? 0) + 1 };
}

function configOf(flags: Flags, { env }: Host): Config {
  return loadConfig({ flags: configFlags(flags), env });
}

/** In a conversation only what is wrong belongs on the screen, unless more was asked for. */
function quietConfigOf(flags: Flags, host: Host): Config {
  const asked = flags['logLevel'] !== undefined || Boolean(host.env[OPTIONS.logLevel.env]);
  return configOf(asked ? flags : { ...flags, logLevel: 'warn' }, host);
}

function textOf(flags: Flags, name: string): string | null {
  const value = flags[name];
  return typeof value === 'string' ? value : null;
}

function numberOf(
  flags: Flags,
  name: string,
  bounds: { readonly min: number; readonly integer: boolean },
): number | null {
  const text = textOf(flags, name);
  if (text === null) return null;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const fits = bounds.integer ? Number.isSafeInteger(value) : Number.isFinite(value);
  if (fits && value >= bounds.min) return value;
  const kind = bounds.integer ? 'an integer' : 'a number';
  throw new UsageError(`--${flagName(name)} ${text}: expected ${kind} of at least ${bounds.min}`);
}

/** Errors with a name of their own, and the system's, say what is wrong; anything else is a bug and brings its stack. */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && (error.code === 'EMFILE' || error.code === 'ENFILE')) return TOO_FEW;
  const fromSystem = 'code' in error && typeof error.code === 'string' && !error.code.startsWith('ERR_');
  if (fromSystem || !BUG_NAMES.has(error.name)) return error.message;
  return error.stack ?? error.message;
}

const BUG_NAMES: ReadonlySet<string> = new Set([
  'Error',
  'AssertionError',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
]);
