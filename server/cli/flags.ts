// Flags of the command line, made from the option table: name, help, bound, default and environment variable are
// said once, in config/options.ts. Owns the mapping to commander; checks no values (config/config.ts does). Used by program.ts.
import { type Command, Option } from 'commander';
import { CONFIG_FILE_OPTION, OPTION_NAMES, OPTIONS, type OptionName } from '../config/options.ts';

/** Adds a flag for each of `names` (all by default) and for the config file. */
export function addConfigFlags(command: Command, names: readonly OptionName[] = OPTION_NAMES): Command {
  for (const name of names) command.addOption(flagOf(name));
  if (names.includes('ui')) command.addOption(new Option('--no-ui', 'the same as --ui off'));
  const { flag, env, help } = CONFIG_FILE_OPTION;
  return command.addOption(new Option(`--${flag} <path>`, `${help} (env: ${env})`));
}

/** What was given on the command line, by option name, as config/config.ts takes it. Other flags are left out. */
export function configFlags(given: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) {
    const value = given[attributeOf(name)];
    if (value !== undefined) flags[name] = value === false ? 'off' : value; // --no-…
  }
  const file = given[CONFIG_FILE_OPTION.flag];
  if (file !== undefined) flags[CONFIG_FILE_OPTION.flag] = file;
  return flags;
}

function flagOf(name: OptionName): Option {
  const { flag, env, bound, default: standard, repeatable, help } = OPTIONS[name];
  const shown = standard === null || Array.isArray(standard) ? '' : `default ${JSON.stringify(standard)}; `;
  const option = new Option(`--${flag} <value>`, `${help} (${shown}${bound}; env: ${env})`);
  if (!repeatable) return option;
  return option.argParser((value: string, earlier: readonly string[] | undefined) => [
    ...(earlier ?? []),
    value,
  ]);
}

/** commander's name for a flag's value: --kv-cache-size → kvCacheSize. */
function attributeOf(name: OptionName): string {
  return OPTIONS[name].flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
