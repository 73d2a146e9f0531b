// `sparklane codex`: the config.toml and the model catalogue with which the Codex CLI uses this server. Owns their text
// and the care not to overwrite what a person wrote. Before it: program.ts; after it: the file system.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readModelSpec } from '../../models/checkpoint/checkpoint-config.ts';
import { resolveModel } from '../../models/model.ts';
import { boundsForModel, type Config } from '../config/config.ts';
import { OPTIONS } from '../config/options.ts';
import { codexCatalog } from '../openai/codex-catalog.ts';
import { withLocalModels } from './hub-model.ts';
import { type Host, UsageError } from './terminal.ts';

export interface CodexOptions {
  readonly write: boolean;
  readonly directory: string | null; // null: CODEX_HOME, or .codex in the user's home
  readonly force: boolean; // overwrite a config.toml that a person wrote
}

export interface CodexFacts {
  readonly url: string; // of the server
  readonly model: string;
  readonly contextTokens: number;
  readonly catalogPath: string;
  readonly needsKey: boolean;
  readonly webSockets: boolean;
}

const MARK = '# Written by `sparklane codex`.';
const CATALOG = 'sparklane-models.json';

/** Prints both files, or writes them. Rejects with UsageError, ConfigError, CheckpointError or the file system's errors. */
export async function codex(given: Config, options: CodexOptions, host: Host): Promise<void> {
  const { terminal, env } = host;
  const config = await withLocalModels(given, host);
  const directory = options.directory ?? (env['CODEX_HOME'] || join(env['HOME'] ?? homedir(), '.codex'));
  const spec = readModelSpec(resolveModel(config.model));
  const { contextTokens } = boundsForModel(config, spec);
  const catalogPath = join(directory, CATALOG);
  const toml = codexConfig({
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${config.port}`,
    model: spec.name,
    contextTokens,
    catalogPath,
    needsKey: config.apiKeys.length > 0,
    webSockets: config.responsesWebSocket === 'on',
  });
  const catalog = `${JSON.stringify(codexCatalog({ name: spec.name, contextTokens }), null, 2)}\n`;
  if (!options.write) {
    terminal.write(`${toml}\n`);
    terminal.note(`${catalogPath} would be\n${catalog}\nsparklane codex --write writes both files\n`);
    return;
  }
  const configPath = join(directory, 'config.toml');
  const present = await readOptional(configPath);
  if (present !== null && !present.startsWith(MARK) && !options.force) {
    throw new UsageError(
      `${configPath} is not of sparklane: --force overwrites it, or --directory takes another folder, ` +
        'which codex uses with CODEX_HOME set to it',
    );
  }
  await mkdir(directory, { recursive: true });
  await writeFile(catalogPath, catalog);
  await writeFile(configPath, toml);
  terminal.write(`${configPath}\n${catalogPath}\n`);
}

/** Text of a config.toml. The fewer tools and texts Codex brings, the less a small model has to compute and to get wrong. */
export function codexConfig(facts: CodexFacts): string {
  const text = JSON.stringify; // a JSON string is a TOML string
  return [
    `${MARK} Codex then talks to ${facts.url} only.`,
    `model = ${text(facts.model)}`,
    'model_provider = "sparklane"',
    `model_catalog_json = ${text(facts.catalogPath)}`,
    'web_search = "disabled"',
    'check_for_update_on_startup = false',
    '',
    '[analytics]',
    'enabled = false',
    '',
    '[skills]',
    'include_instructions = false',
    '',
    '[agents]',
    'enabled = false',
    '',
    '[features]',
    ...LEFT_OUT.map((feature) => `${feature} = false`),
    '',
    '[model_providers.sparklane]',
    'name = "Sparklane"',
    `base_url = ${text(`${facts.url}/v1`)}`,
    ...(facts.needsKey ? [`env_key = ${text(OPTIONS.apiKeys.env)}`] : []),
    'wire_api = "responses"',
    'requires_openai_auth = false',
    `supports_websockets = ${facts.webSockets}`,
    'stream_idle_timeout_ms = 300000',
    '',
  ].join('\n');
}

// Features that bring tools or texts of their own, or call services elsewhere.
const LEFT_OUT = [
  'goals',
  'plugins',
  'apps',
  'image_generation',
  'tool_suggest',
  'skill_search',
  'view_image',
];

async function readOptional(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
