// `sparklane codex`: the config.toml and the model catalogue with which the Codex CLI uses this server. Owns their text
// and the care not to overwrite what a person wrote. Before it: program.ts; after it: the file system.
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { OPTIONS } from '../config/options.ts';
import { codexCatalog } from '../openai/codex-catalog.ts';
import { readOptional, type ServedFacts, servedFacts, type WritingOptions } from './client-settings.ts';
import { withLocalModels } from './hub-model.ts';
import { type Host, UsageError } from './terminal.ts';

export interface CodexFacts extends ServedFacts {
  readonly catalogPath: string;
  readonly webSockets: boolean;
}

const MARK = '# Written by `sparklane codex`.';
const CATALOG = 'sparklane-models.json';

/** Prints both files, or writes them. Rejects with UsageError, ConfigError, CheckpointError or the file system's errors. */
export async function codex(given: Config, options: WritingOptions, host: Host): Promise<void> {
  const { terminal, env } = host;
  const config = await withLocalModels(given, host);
  const directory = options.directory ?? (env['CODEX_HOME'] || join(env['HOME'] ?? homedir(), '.codex'));
  const facts = servedFacts(config);
  const catalogPath = join(directory, CATALOG);
  const toml = codexConfig({ ...facts, catalogPath, webSockets: config.responsesWebSocket === 'on' });
  const { model: name, contextTokens } = facts;
  const catalog = `${JSON.stringify(codexCatalog({ name, contextTokens }), null, 2)}\n`;
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
