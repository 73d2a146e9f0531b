// What deploy/ claims about the server: files are YAML, their options and variables exist, probes ask routes that answer, and the
// three proxies know the same nodes. How proxies behave is held by test/e2e/proxies.test.ts.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { VirtualClock } from '../kernels/clock.ts';
import { loadConfig } from '../server/config/config.ts';
import { OPTION_NAMES, OPTIONS } from '../server/config/options.ts';
import { httpServer } from './http-world.ts';
import { MemoryTransport } from './memory-transport.ts';

const folder = join(import.meta.dirname, '../deploy');
const read = (name: string) => readFileSync(join(folder, name), 'utf8');

interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

const resources = readdirSync(join(folder, 'kubernetes')).flatMap((name) =>
  documentsOf(`kubernetes/${name}`),
);

test('every YAML file parses, without a warning', () => {
  for (const name of ['envoy.yaml', 'compose.yaml']) expect(documentsOf(name)).toHaveLength(1);
  expect(resources.map(({ kind }) => kind).sort()).toEqual([
    'Gateway',
    'HTTPRoute',
    'HorizontalPodAutoscaler',
    'InferencePool',
    'PodDisruptionBudget',
    'Service',
    'StatefulSet',
  ]);
});

test('options and variables that are given exist, and start a server', () => {
  const container = containerOf(resources);
  const flags: Record<string, string> = {};
  const [command, ...args] = container.args;
  expect(command).toBe('serve');
  for (let at = 0; at < args.length; at += 2) {
    const name = OPTION_NAMES.find((option) => `--${OPTIONS[option].flag}` === args[at]);
    expect(name, args[at]).toBeDefined();
    flags[name!] = args[at + 1]!;
  }
  expect(loadConfig({ flags, env: { HOME: '/home/ada' } })).toMatchObject({ engineMetrics: 'vllm' });
  const known = new Set(OPTION_NAMES.map((name) => OPTIONS[name].env));
  const files = ['Dockerfile', 'compose.yaml', 'sparklane@.service', 'kubernetes/sparklane.yaml'].map(read);
  const named = files.join('\n').match(/\bSPARKLANE_[A-Z_]+/g)!;
  expect(named.length).toBeGreaterThan(6);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

test('what probes ask is answered', async () => {
  const clock = new VirtualClock();
  const server = httpServer({ clock });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const text = ['kubernetes/sparklane.yaml', 'envoy.yaml', 'haproxy.cfg'].map(read).join('\n');
  const paths = [...text.matchAll(/(?:path: |uri )(\/[a-z]+z)\b/g)].map(([, path]) => path!);
  expect(new Set(paths)).toEqual(new Set(['/healthz', '/readyz']));
  for (const path of paths) {
    const call = transport.call({ path });
    clock.run();
    expect([path, call.status]).toEqual([path, 200]);
  }
});

test('selectors find the pods, and the pool’s port is theirs', () => {
  const [pool, set, budget] = ['InferencePool', 'StatefulSet', 'PodDisruptionBudget'].map(
    (kind) => resources.find((resource) => resource.kind === kind)!.spec,
  ) as unknown as [Selecting & { targetPorts: { number: number }[] }, Selecting & Templated, Selecting];
  const { labels } = set.template.metadata;
  for (const { selector } of [pool, set, budget]) expect(labels).toMatchObject(selector.matchLabels);
  expect(containerOf(resources).ports.map(({ containerPort }) => containerPort)).toContain(
    pool.targetPorts[0]!.number,
  );
  expect(set.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(
    OPTIONS.drainTimeoutMs.default / 1000,
  );
});

test('the three proxies know the same nodes', () => {
  for (const name of ['envoy.yaml', 'haproxy.cfg', 'nginx.conf']) {
    const ports = new Set(read(name).match(/\b808\d\b/g));
    expect([name, ports]).toEqual([name, new Set(['8080', '8081', '8082', '8083'])]);
  }
});

interface Selecting {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
}

interface Container {
  readonly args: readonly string[];
  readonly ports: readonly { readonly containerPort: number }[];
}

interface Templated {
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: {
      readonly terminationGracePeriodSeconds: number;
      readonly containers: readonly Container[];
    };
  };
}

function containerOf(all: readonly Resource[]): Container {
  const set = all.find(({ kind }) => kind === 'StatefulSet')!.spec as unknown as Templated;
  return set.template.spec.containers[0]!;
}

function documentsOf(name: string): Resource[] {
  return parseAllDocuments(read(name), { merge: true }).map((document) => {
    expect([
      ...('errors' in document ? document.errors : []),
      ...('warnings' in document ? document.warnings : []),
    ]).toEqual([]);
    return document.toJS() as Resource;
  });
}
