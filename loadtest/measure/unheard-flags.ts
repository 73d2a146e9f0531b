// Which flags of the load tester count for nothing in the run that was asked for. Pure. Used by command.ts.
import { type HearingRule, unheardLines } from '../base/unheard.ts';
import type { Flags, Settings } from './settings.ts';

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

/** One line for each, in the order of the rules. */
export function unheardFlags(flags: Flags, settings: Settings): readonly string[] {
  const given = (name: string): boolean => {
    const value = name === 'noLive' ? flags['live'] === false : flags[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false;
  };
  return unheardLines(given('record') ? recorderRules(flags) : rulesOf(flags, settings, given), given);
}

function recorderRules(flags: Flags): readonly HearingRule[] {
  const names = Object.keys(flags).map((name) => (name === 'live' ? 'noLive' : name));
  const others = names.filter((name) => !RECORDER.includes(name));
  return [{ flags: others, heard: false, of: 'a test, not of --record' }];
}

function rulesOf(flags: Flags, settings: Settings, given: (name: string) => boolean): readonly HearingRule[] {
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
