// From a lanes file to open lanes: reads it, its policy, certificates and the keys of upstreams (from the environment, never
// from a file), and opens connections' pools. Owns what may be wrong with any of them, said before the server listens.
// Before it: cli/local-server.ts; after it: lanes.ts.
import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Clock } from '../../kernels/clock.ts';
import type { Random } from '../../kernels/random.ts';
import { jsonFile } from '../base/json-text.ts';
import type { Log } from '../base/log.ts';
import { packageDirectory } from '../base/package-version.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import { openUpstreamWire } from '../upstream/undici-wire.ts';
import type { UpstreamWire } from '../upstream/wire.ts';
import { chatConversation } from './conversation.ts';
import type { SharedLimits } from './lane.ts';
import { laneMetrics } from './lane-metrics.ts';
import { Lanes } from './lanes.ts';
import { AUTO, LanesError, type LanesFile, parseLanes, type UpstreamConfig } from './lanes-file.ts';
import type { LaneObserver } from './observer.ts';
import { type PolicyFile, PolicySource } from './policy-source.ts';

export interface OpenLanesParts {
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly epochMs: () => number; // time of day
  readonly random: Random;
  readonly log: Log;
  readonly metrics: Pick<ServerMetrics, 'registry'>;
  readonly shared?: SharedLimits | null; // with other nodes
  readonly observers?: readonly LaneObserver[]; // beside the metrics
}

/** Throws LanesError or PolicyError: which file, which place, what would be accepted. */
export function openLanes(host: OpenLanesParts): Lanes {
  const { path, clock, log, metrics, observers = [] } = host;
  const file = readLanes(path);
  const counted = laneMetrics(metrics.registry, () => lanes);
  const policies = new PolicySource({
    file: policyFile(policyPathOf(path, file)),
    lanes: Object.keys(file.lanes),
    clock,
    log,
    onRead: (used) => counted.onPolicyRead(used),
  });
  const lanes: Lanes = new Lanes({
    ...host,
    file,
    policies,
    wireTo: (lane) => wireTo(lane, file.lanes[lane]!.upstream!, host),
    observer: together([counted, ...observers]),
  });
  // Patterns are compiled when they are first used: not by the first request, which would wait some ten milliseconds.
  lanes.router.route(AUTO, chatConversation({ messages: [{ role: 'user', content: 'Fix a.ts' }] }), null);
  return lanes;
}

/** Throws LanesError. */
export function readLanes(path: string): LanesFile {
  try {
    return parseLanes(jsonFile(path, (reason) => new LanesError(reason)));
  } catch (error) {
    throw new LanesError(`${path}: ${(error as Error).message}`);
  }
}

/** The lanes file's own, or the one that comes with the package. */
export function policyPathOf(path: string, { policy }: Pick<LanesFile, 'policy'>): string {
  return policy === undefined ? builtInPolicyPath() : resolve(dirname(path), policy);
}

export function builtInPolicyPath(): string {
  return join(packageDirectory(), 'policies', 'default.json');
}

function policyFile(path: string): PolicyFile {
  return {
    stamp: () => {
      const { mtimeMs, size } = statSync(path);
      return `${mtimeMs} ${size}`;
    },
    read: () => readFileSync(path, 'utf8'),
  };
}

function wireTo(lane: string, upstream: UpstreamConfig, { path, env }: OpenLanesParts): UpstreamWire {
  const { url, keyFrom, headers, tls, connections, connectTimeoutMs } = upstream;
  const key = keyFrom === undefined ? null : env[keyFrom];
  if (key === undefined || key === '') {
    throw new LanesError(`${path}: lanes.${lane}.upstream.keyFrom: the environment has no ${keyFrom}`);
  }
  return openUpstreamWire({
    ...{ url, connections, connectTimeoutMs },
    headers: {
      ...headers,
      'content-type': 'application/json',
      accept: 'text/event-stream',
      ...(key !== null && { authorization: `Bearer ${key}` }),
    },
    tls: {
      ca: tls.caFile === undefined ? null : certificateOf(resolve(dirname(path), tls.caFile), lane),
      serverName: tls.serverName ?? null,
    },
  });
}

function certificateOf(path: string, lane: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new LanesError(`lanes.${lane}.upstream.tls.caFile: ${(error as Error).message}`);
  }
}

function together(observers: readonly LaneObserver[]): LaneObserver {
  return {
    onRouted: (report) => {
      for (const observer of observers) observer.onRouted(report);
    },
    watch: (report, conversation) => {
      for (const observer of observers) {
        const watch = observer.watch?.(report, conversation) ?? null;
        if (watch !== null) return watch;
      }
      return null;
    },
    onRefused: (lane, code) => {
      for (const observer of observers) observer.onRefused(lane, code);
    },
    onLaneEnd: (report) => {
      for (const observer of observers) observer.onLaneEnd(report);
    },
    onAttempt: (lane, outcome) => {
      for (const observer of observers) observer.onAttempt(lane, outcome);
    },
  };
}
