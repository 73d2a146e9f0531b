// `sparklane claude`: the settings with which Claude Code uses this server. Owns which of its variables are set and why,
// and the care for what a person has in the same file: everything else there stays. Before it: program.ts; after it: the
// file system.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonValue } from '../base/json-text.ts';
import type { Config } from '../config/config.ts';
import { OPTIONS } from '../config/options.ts';
import { readOptional, type ServedFacts, servedFacts, type WritingOptions } from './client-settings.ts';
import { withLocalModels } from './hub-model.ts';
import { type Host, UsageError } from './terminal.ts';

type Settings = Readonly<Record<string, unknown>>;

const FILE = 'settings.local.json'; // the project's, and not for its repository
const OUTPUT_SHARE = 4; // an answer may take a quarter of the context

/** Prints the settings, or writes them. Rejects with UsageError, ConfigError, CheckpointError or the file system's errors. */
export async function claude(given: Config, options: WritingOptions, host: Host): Promise<void> {
  const { terminal } = host;
  const config = await withLocalModels(given, host);
  const settings = claudeSettings(servedFacts(config));
  const path = join(options.directory ?? '.claude', FILE);
  if (!options.write) {
    terminal.write(`${textOf(settings)}\n`);
    terminal.note(`sparklane claude --write puts this into ${path}\n`);
    return;
  }
  const merged = mergeSettings(await readSettings(path), settings, { path, force: options.force });
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, `${textOf(merged)}\n`);
  terminal.write(`${path}\n`);
}

/** What Claude Code reads as its environment, and where it gets the key. */
export function claudeSettings({ url, model, contextTokens, needsKey }: ServedFacts): {
  readonly env: Readonly<Record<string, string>>;
  readonly apiKeyHelper?: string;
} {
  const ask = `printenv ${OPTIONS.apiKeys.env}`;
  return {
    ...(needsKey && { apiKeyHelper: ask }), // the key itself stays out of files
    env: {
      ANTHROPIC_BASE_URL: url,
      ...(!needsKey && { ANTHROPIC_AUTH_TOKEN: 'none' }),
      ANTHROPIC_MODEL: model,
      ANTHROPIC_DEFAULT_OPUS_MODEL: model,
      ANTHROPIC_DEFAULT_SONNET_MODEL: model,
      ANTHROPIC_DEFAULT_HAIKU_MODEL: model, // titles and other small work
      CLAUDE_CODE_SUBAGENT_MODEL: model,
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: `${Math.max(1, Math.floor(contextTokens / OUTPUT_SHARE))}`,
      CLAUDE_CODE_AUTO_COMPACT_WINDOW: `${contextTokens}`,
      CLAUDE_CODE_ATTRIBUTION_HEADER: '0', // it changes with every request and begins the prompt
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_TELEMETRY: '1',
      DISABLE_ERROR_REPORTING: '1',
      DISABLE_AUTOUPDATER: '1',
    },
  };
}

function mergeSettings(
  present: Settings,
  { env, ...others }: ReturnType<typeof claudeSettings>,
  { path, force }: { readonly path: string; readonly force: boolean },
): Settings {
  const presentEnv = (present['env'] ?? {}) as Settings;
  const changed = [
    ...Object.entries(env).filter(([name, value]) => differs(presentEnv[name], value)),
    ...Object.entries(others).filter(([name, value]) => differs(present[name], value)),
  ].map(([name]) => name);
  if (changed.length > 0 && !force) {
    throw new UsageError(
      `${path} has other values for ${changed.join(', ')}: --force replaces them, or --directory takes another folder`,
    );
  }
  return { ...present, ...others, env: { ...presentEnv, ...env } };
}

function differs(present: unknown, wanted: string): boolean {
  return present !== undefined && present !== wanted;
}

async function readSettings(path: string): Promise<Settings> {
  const text = await readOptional(path);
  if (text === null) return {};
  const settings = jsonValue(text);
  if (typeof settings === 'object' && settings !== null && !Array.isArray(settings))
    return settings as Settings;
  throw new UsageError(`${path} is not a JSON object: mend it, or --directory takes another folder`);
}

function textOf(settings: Settings): string {
  return JSON.stringify(settings, null, 2);
}
