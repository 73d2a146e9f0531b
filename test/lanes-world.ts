// A server with lanes, whole, in virtual time: its own model says what a test tells it to, its upstreams are scripted.
import { readFileSync } from 'node:fs';
import { VirtualClock } from '../kernels/clock.ts';
import { Random } from '../kernels/random.ts';
import { createLog } from '../server/base/log.ts';
import type { Route } from '../server/http/route.ts';
import { laneMetrics } from '../server/lanes/lane-metrics.ts';
import { Lanes } from '../server/lanes/lanes.ts';
import { parseLanes } from '../server/lanes/lanes-file.ts';
import type { LaneEndReport, LaneObserver, RoutedReport } from '../server/lanes/observer.ts';
import { PolicySource } from '../server/lanes/policy-source.ts';
import { ServerMetrics } from '../server/metrics/metrics.ts';
import { BYTE_EOS, encodeBytes } from './byte-text.ts';
import { byteLogprobs, type HttpWorldOptions, httpServer } from './http-world.ts';
import { ResponsesServer } from './responses-world.ts';
import { chunksOf, ScriptedWire, type WireBody, type WireScript } from './scripted-wire.ts';

const EPOCH_MS = Date.UTC(2026, 10, 20, 12, 0, 0);

const POLICY = readFileSync('policies/default.json', 'utf8');

export interface LanesServerOptions {
  readonly lanes?: object; // of the file; two by default
  readonly file?: object; // other fields of the file
  readonly policy?: string;
  readonly say?: (prompt: string) => string;
  readonly upstream?: (body: WireBody, attempt: number) => WireScript;
  readonly engine?: HttpWorldOptions['engine'];
  readonly flags?: HttpWorldOptions['flags'];
  /** Who else hears what lanes do, and routes beside the app's own. */
  readonly beside?: (clock: VirtualClock) => {
    readonly observer: LaneObserver;
    readonly routes: readonly Route[];
  };
}

export class LanesServer extends ResponsesServer {
  readonly lanes: Lanes;
  readonly wire: ScriptedWire;
  readonly routed: RoutedReport[];
  readonly ends: LaneEndReport[];
  readonly policy: { text: string }; // changing it changes the file

  constructor(
    base: ConstructorParameters<typeof ResponsesServer>,
    own: Pick<LanesServer, 'lanes' | 'wire' | 'routed' | 'ends' | 'policy'>,
  ) {
    super(...base);
    this.lanes = own.lanes;
    this.wire = own.wire;
    this.routed = own.routed;
    this.ends = own.ends;
    this.policy = own.policy;
  }

  chat(body: object) {
    return this.request('POST', '/v1/chat/completions', body);
  }
}

/** What `spark` and `reliability` are unless a test says otherwise. */
export const TWO_LANES = {
  spark: { model: 'local', style: '', price: { inputPerMillion: 1, outputPerMillion: 2 } },
  reliability: {
    upstream: { url: 'http://upstream.test/v1', model: 'strong' },
    style: '',
    price: { inputPerMillion: 10, outputPerMillion: 20 },
  },
};

export async function lanesServer(options: LanesServerOptions = {}): Promise<LanesServer> {
  const clock = new VirtualClock();
  const prompts: string[] = [];
  const routed: RoutedReport[] = [];
  const ends: LaneEndReport[] = [];
  const policy = { text: options.policy ?? POLICY };
  const file = parseLanes({ lanes: options.lanes ?? TWO_LANES, ...options.file });
  const wire = new ScriptedWire(
    clock,
    options.upstream ?? (({ messages }) => ({ pieces: chunksOf([`strong heard ${messages.length}`]) })),
  );
  const log = createLog({
    level: 'debug',
    write: (line) => void logLines.push(line),
    epochMs: () => EPOCH_MS,
  });
  const logLines: string[] = [];
  const metrics = new ServerMetrics({ nodeMetrics: false });
  const { observer: another, routes = [] } = options.beside?.(clock) ?? {};
  const counted = laneMetrics(metrics.registry, () => lanes);
  const observer: LaneObserver = {
    onRouted: (report) => {
      routed.push(report);
      counted.onRouted(report);
      another?.onRouted(report);
    },
    watch: (report, conversation) => another?.watch?.(report, conversation) ?? null,
    onRefused: (lane, code) => counted.onRefused(lane, code),
    onLaneEnd: (report) => {
      ends.push(report);
      counted.onLaneEnd(report);
      another?.onLaneEnd(report);
    },
    onAttempt: (lane, outcome) => counted.onAttempt(lane, outcome),
  };
  const lanes: Lanes = new Lanes({
    file,
    policies: new PolicySource({
      file: { stamp: () => policy.text, read: () => policy.text },
      lanes: Object.keys(file.lanes),
      clock,
      log,
      onRead: (used) => counted.onPolicyRead(used),
    }),
    wireTo: () => wire,
    clock,
    epochMs: () => EPOCH_MS + clock.nowMs(),
    random: new Random(3),
    log,
    observer,
  });
  const server = httpServer({
    clock,
    ...(options.flags !== undefined && { flags: options.flags }),
    app: { lanes, log, metrics, routes },
    engine: {
      script: (request) => {
        const prompt = Buffer.from(request.tokens.filter((id) => id < 256)).toString();
        prompts.push(prompt);
        return {
          tokens: [...encodeBytes((options.say ?? (() => 'quick'))(prompt)), BYTE_EOS],
          logprobs: byteLogprobs,
        };
      },
      tokensPerStep: 4,
      ...options.engine,
    },
  });
  const made = new LanesServer([clock, { ...server, logLines, metrics }, prompts], {
    lanes,
    wire,
    routed,
    ends,
    policy,
  });
  await made.transport.listen('127.0.0.1', 0, server.app.handlers);
  return made;
}
