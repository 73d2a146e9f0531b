// What deploy/ claims about the server: files are YAML, their options and variables exist, probes ask routes that answer, and the
// three proxies know the same nodes; the Helm chart says what its values promise (rendered where there is helm, HELM_BIN may say
// where). How proxies behave is held by test/e2e/proxies.test.ts.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { env } from 'node:process';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { VirtualClock } from '../kernels/clock.ts';
import { type Config, loadConfig } from '../server/config/config.ts';
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
  expect(configOf(containerOf(resources))).toMatchObject({ engineMetrics: 'vllm' });
  const known = new Set(OPTION_NAMES.map((name) => OPTIONS[name].env));
  const chart = 'helm/sparklane/templates/statefulset.yaml';
  const files = ['Dockerfile', 'compose.yaml', 'sparklane@.service', 'kubernetes/sparklane.yaml', chart].map(
    read,
  );
  const named = files.join('\n').match(/\bSPARKLANE_[A-Z_]+/g)!;
  expect(named.length).toBeGreaterThan(6);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

test('what probes ask is answered', async () => {
  const clock = new VirtualClock();
  const server = httpServer({ clock });
  const transport = new MemoryTransport({ clock });
  await transport.listen('127.0.0.1', 0, server.app.handlers);
  const chart = 'helm/sparklane/templates/statefulset.yaml';
  const text = ['kubernetes/sparklane.yaml', chart, 'envoy.yaml', 'haproxy.cfg'].map(read).join('\n');
  const paths = [...text.matchAll(/(?:path: |uri )(\/[a-z]+z)\b/g)].map(([, path]) => path!);
  expect(new Set(paths)).toEqual(new Set(['/healthz', '/readyz']));
  for (const path of paths) {
    const call = transport.call({ path });
    clock.run();
    expect([path, call.status]).toEqual([path, 200]);
  }
});

test('selectors find the pods, and the pool’s port is theirs', () => {
  expectConnected(resources, OPTIONS.drainTimeoutMs.default);
});

describe('the Helm chart', () => {
  const helm = [env['HELM_BIN'], 'helm'].find(
    (name) => name && spawnSync(name, ['version']).error === undefined,
  );
  if (helm === undefined) console.log('skipped: there is no helm (HELM_BIN)');
  const chart = join(folder, 'helm/sparklane');
  const template = ['template', 'spark', chart, '--kube-version', '1.33.0']; // helm assumes one by how it was built
  const rendered = (...settings: readonly string[]): Resource[] => {
    const sets = ['keys.secret=keys', ...settings].flatMap((setting) => ['--set', setting]);
    const { stdout, stderr, status } = spawnSync(helm!, [...template, ...sets], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    return documentsIn(stdout);
  };

  test('asks for no value that is not in its list, and for each that is', () => {
    const values = parse(read('helm/sparklane/values.yaml')) as Readonly<Record<string, unknown>>;
    const names = readdirSync(join(chart, 'templates'));
    const text = names.map((name) => read(`helm/sparklane/templates/${name}`)).join('\n');
    const asked = new Set([...text.matchAll(/\.Values\.([A-Za-z.]+)/g)].map(([, path]) => path!));
    expect(asked.size).toBeGreaterThan(20);
    for (const path of asked) {
      const found = path
        .split('.')
        .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], values);
      expect(found, path).toBeDefined();
    }
    for (const key of Object.keys(values))
      expect([...asked].some((path) => path.split('.')[0] === key)).toBe(true);
  });

  test.skipIf(helm === undefined)('says without more than the keys what the manifests say', () => {
    const all = rendered();
    expect(all.map(({ kind }) => kind).sort()).toEqual(['PodDisruptionBudget', 'Service', 'StatefulSet']);
    const wanted = { engineMetrics: 'vllm', kvEvents: 'tcp://0.0.0.0:5557', drainTimeoutMs: 30_000 };
    expect(configOf(containerOf(all))).toMatchObject(wanted);
  });

  test.skipIf(helm === undefined)(
    'takes what nodes share, options, autoscaling and a gateway from its values',
    () => {
      const all = rendered(
        ...['cluster.url=redis://redis:6379', 'options.context-tokens=131072', 'kvEvents.topic=kv@$(POD)@m'],
        ...[
          'autoscaling.enabled=true',
          'gateway.enabled=true',
          'drainSeconds=600',
          'cache.storageClass=fast',
        ],
      );
      expect(all.map(({ kind }) => kind).sort()).toEqual(resources.map(({ kind }) => kind).sort());
      const container = containerOf(all);
      expect(configOf(container)).toMatchObject({ contextTokens: 131_072, drainTimeoutMs: 600_000 });
      expect(container.env).toContainEqual({ name: 'SPARKLANE_CLUSTER', value: 'redis://redis:6379' });
      expect(container.env).toContainEqual({ name: 'SPARKLANE_NODE', value: '$(POD)' });
      expectConnected(all, 600_000);
      const { status, stdout } = spawnSync(
        helm!,
        [
          ...template,
          '--set',
          'keys.secret=keys',
          '--set-json',
          'options={"temperature":0.5,"response-ttl-ms":604800000}',
        ],
        { encoding: 'utf8' },
      );
      expect(status).toBe(0);
      const numbers = { temperature: 0.5, responseTtlMs: 604_800_000, engineMetrics: 'vllm' };
      expect(configOf(containerOf(documentsIn(stdout)))).toMatchObject(numbers);
      const secret = containerOf(rendered('cluster.urlSecret=redis')).env.find(
        ({ name }) => name === 'SPARKLANE_CLUSTER',
      );
      expect(secret).toMatchObject({ valueFrom: { secretKeyRef: { name: 'redis', key: 'url' } } });
    },
  );

  test.skipIf(helm === undefined)('refuses to be without keys, in words', () => {
    const { stderr, status } = spawnSync(helm!, template, { encoding: 'utf8' });
    expect(status).not.toBe(0);
    expect(stderr).toContain('keys.secret');
  });
});

test('the three proxies know the same nodes', () => {
  for (const name of ['envoy.yaml', 'haproxy.cfg', 'nginx.conf']) {
    const ports = new Set(read(name).match(/\b808\d\b/g));
    expect([name, ports]).toEqual([name, new Set(['8080', '8081', '8082', '8083'])]);
  }
});

/** As the container's server would be configured; its flags exist and have values that are taken. */
function configOf({ args: [command, ...args] }: Container): Config {
  expect(command).toBe('serve');
  const flags: Record<string, string> = {};
  for (let at = 0; at < args.length; at += 2) {
    const name = OPTION_NAMES.find((option) => `--${OPTIONS[option].flag}` === args[at]);
    expect(name, args[at]).toBeDefined();
    flags[name!] = args[at + 1]!;
  }
  return loadConfig({ flags, env: { HOME: '/home/ada' } });
}

function expectConnected(all: readonly Resource[], drainTimeoutMs: number): void {
  const [pool, set, budget] = ['InferencePool', 'StatefulSet', 'PodDisruptionBudget'].map(
    (kind) => all.find((resource) => resource.kind === kind)!.spec,
  ) as unknown as [Selecting & { targetPorts: { number: number }[] }, Selecting & Templated, Selecting];
  const { labels } = set.template.metadata;
  for (const { selector } of [pool, set, budget]) expect(labels).toMatchObject(selector.matchLabels);
  expect(containerOf(all).ports.map(({ containerPort }) => containerPort)).toContain(
    pool.targetPorts[0]!.number,
  );
  expect(set.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(drainTimeoutMs / 1000);
}

interface Selecting {
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
}

interface Container {
  readonly args: readonly string[];
  readonly ports: readonly { readonly containerPort: number }[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
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
  return documentsIn(read(name));
}

function documentsIn(text: string): Resource[] {
  return parseAllDocuments(text, { merge: true }).map((document) => {
    expect([
      ...('errors' in document ? document.errors : []),
      ...('warnings' in document ? document.warnings : []),
    ]).toEqual([]);
    return document.toJS() as Resource;
  });
}
