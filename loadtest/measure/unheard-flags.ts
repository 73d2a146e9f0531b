// Flags that were given and that nothing asks in a run of this kind: each is said, with what it belongs to, so that nobody takes a
// result for what he did not measure. Pure. Used by command.ts.
import { type Flags, parseSettings, type Settings } from './settings.ts';

/** Flags that count only where `heard`. */
interface Rule {
  readonly flags: readonly string[];
  readonly heard: boolean;
  readonly of: string;
}

const RECORDER = ['record', 'listen', 'url', 'proxy', 'ca', 'insecure'];
const RUN = [
  'load',
  'duration',
  'sessions',
  'warmup',
  'lead',
  'inFlight',
  'abort',
  'scrape',
  'otlp',
  'remoteWrite',
];
const SESSIONS = ['agent-sessions', 'interrupts', 'soak', 'dataset'];
const TRACES = [...SESSIONS, 'azure-code', 'edits', 'edits-contrast', 'mooncake', 'requests'];

/** One line for each, in the order in which the help has them. Throws what parseSettings throws. */
export function unheardFlags(flags: Flags): readonly string[] {
  const given = (name: string): boolean => {
    const value = flags[name];
    if (name === 'live') return value === false;
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  const settings = parseSettings(flags);
  const rules = given('record')
    ? [
        {
          flags: Object.keys(flags).filter((name) => !RECORDER.includes(name)),
          heard: false,
          of: 'a test, not of --record',
        },
      ]
    : rulesOf(flags, settings, given);
  return rules
    .filter(({ heard }) => !heard)
    .flatMap(({ flags: names, of }) =>
      names.filter(given).map((name) => `--${flagOf(name)} counts for nothing here: it is of ${of}`),
    );
}

function rulesOf(flags: Flags, settings: Settings, given: (name: string) => boolean): readonly Rule[] {
  const { workload, inProcess, capacity, sweeps, other, target } = settings;
  const is = (...names: string[]) => names.includes(workload);
  const compared = other !== null;
  const plainRoute = given('routes');
  const ownLoads = sweeps.length > 0 && /^(\s*concurrency:[^;]*(;|$))+$/.test(String(flags['sweep']));
  return [
    {
      flags: ['url', 'apiKey', 'header', 'proxy', 'ca', 'insecure'],
      heard: target.address !== null,
      of: 'a server at --url',
    },
    { flags: ['wallClock'], heard: inProcess !== null, of: '--in-process' },
    {
      flags: ['target', 'content', 'temperature', 'plain'],
      heard: !plainRoute,
      of: 'tests of answers, not of --routes',
    },
    { flags: ['trace'], heard: is(...TRACES), of: 'workloads that replay one' },
    { flags: ['isl', 'prefixShare', 'turns'], heard: is('synthetic'), of: '--workload synthetic' },
    { flags: ['osl'], heard: is('synthetic', 'dataset'), of: '--workload synthetic or dataset' },
    {
      flags: ['gapScale', 'gapMax'],
      heard: is(...SESSIONS) || compared,
      of: 'workloads whose sessions pause',
    },
    {
      flags: ['prompts'],
      heard: is('azure-code', 'mooncake', 'requests'),
      of: 'workloads of single requests',
    },
    { flags: ['editFormat'], heard: is('edits', 'edits-contrast'), of: '--workload edits or edits-contrast' },
    { flags: ['fileTokens'], heard: is('edits'), of: '--workload edits' },
    { flags: ['load'], heard: !ownLoads, of: 'sweeps that leave the kind of load open' },
    {
      flags: ['load'],
      heard: !given('connections') && !given('rate'),
      of: 'tests without --connections and --rate',
    },
    { flags: [...RUN, 'voidShare'], heard: !compared, of: 'runs, not of a comparison (--ab)' },
    { flags: ['goal', 'tolerance', 'repeats'], heard: capacity !== null, of: '--capacity' },
    { flags: ['blocks'], heard: compared, of: '--ab' },
    { flags: ['listen'], heard: false, of: '--record' },
  ];
}

function flagOf(name: string): string {
  if (name === 'live') return 'no-live';
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
