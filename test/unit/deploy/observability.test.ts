// The Grafana dashboard and the alert rules against the metrics and labels that the server really registers.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { collectDefaultMetrics } from 'prom-client';
import { beforeAll, describe, expect, test } from 'vitest';
import { laneMetrics } from '../../../server/lanes/lane-metrics.ts';
import { memoryServer } from '../../memory-server.ts';

const root = resolve(import.meta.dirname, '../../..');
const read = (name: string) => readFileSync(join(root, 'deploy', name), 'utf8');

interface Registered {
  readonly type: string;
  readonly labels: ReadonlySet<string>;
}

const registered = new Map<string, Registered>();

beforeAll(async () => {
  const { metrics, stop } = await memoryServer();
  laneMetrics(metrics.registry, () => {
    throw new Error('nobody reads them here');
  });
  collectDefaultMetrics({ register: metrics.registry, prefix: 'sparklane_' });
  for (const metric of metrics.registry.getMetricsAsArray()) {
    const {
      name,
      type,
      labelNames = [],
    } = metric as unknown as {
      name: string;
      type: string;
      labelNames?: string[];
    };
    registered.set(name, { type, labels: new Set(labelNames) });
  }
  await stop();
});

/** What Prometheus adds to every series. */
const SCRAPED = ['instance', 'job'];

function faultsOf(expression: string): string[] {
  const faults: string[] = [];
  const known: Registered[] = [];
  for (const [, used, , selector = ''] of expression.matchAll(/\b(sparklane_\w+)(\{([^}]*)\})?/g)) {
    const part = /_(bucket|sum|count)$/.exec(used!)?.[1];
    const metric = registered.get(used!) ?? registered.get(used!.replace(/_(bucket|sum|count)$/, ''));
    if (metric === undefined) faults.push(`there is no ${used}`);
    else {
      known.push(metric);
      if (part === 'bucket' && metric.type !== 'histogram') faults.push(`${used} is no histogram`);
      if (metric.type === 'histogram' && part === undefined) faults.push(`${used} is a histogram`);
      const isRate = new RegExp(`(rate|increase)\\(\\s*${used}`).test(expression);
      if (metric.type === 'counter' && !isRate) faults.push(`${used} is a counter without a rate`);
      for (const [, label] of selector.matchAll(/(\w+)\s*[=!]/g)) {
        if (!metric.labels.has(label!) && !SCRAPED.includes(label!))
          faults.push(`${used} has no label ${label}`);
      }
    }
  }
  const labels = new Set([...SCRAPED, 'le', ...known.flatMap((metric) => [...metric.labels])]);
  for (const [, names] of expression.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const name of names!.split(',').map((one) => one.trim())) {
      if (!labels.has(name)) faults.push(`nothing in it has the label ${name}`);
    }
  }
  return faults;
}

describe('the dashboard', () => {
  interface Panel {
    readonly id: number;
    readonly title: string;
    readonly type: string;
    readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
  }
  const { panels } = JSON.parse(read('grafana-dashboard.json')) as { panels: Panel[] };

  test('asks for metrics and labels that are there, in the way of their kind', () => {
    const expressions = panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }) => ({ title, expr })),
    );
    expect(expressions.length).toBeGreaterThan(30);
    const faults = expressions.flatMap(({ title, expr }) =>
      faultsOf(expr).map((fault) => `${title}: ${fault}`),
    );
    expect(faults).toEqual([]);
  });

  test('its legends name labels that their expression keeps', () => {
    const faults = panels.flatMap(({ title, targets = [] }) =>
      targets.flatMap(({ expr, legendFormat }) =>
        [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)]
          .filter(([, label]) => !new RegExp(`by \\([^)]*\\b${label}\\b`).test(expr))
          .map(([, label]) => `${title}: ${label}`),
      ),
    );
    expect(faults).toEqual([]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });
});

describe('the alert rules', () => {
  const text = read('prometheus-alerts.yml');
  const rules = text.split(/^ {6}- alert: /m).slice(1);

  test('ask for metrics and labels that are there', () => {
    expect(rules.length).toBeGreaterThan(8);
    for (const rule of rules) {
      const [name] = rule.split('\n');
      const [, expression] = /expr: (?:\|\n)?([\s\S]*?)\n {8}(?:for|labels):/.exec(rule)!;
      expect([name, faultsOf(expression!)]).toEqual([name, []]);
      for (const [, label] of rule.matchAll(/\$labels\.(\w+)/g)) {
        const kept = label === 'instance' || new RegExp(`by \\([^)]*\\b${label}\\b`).test(expression!);
        expect([name, label, kept]).toEqual([name, label, true]);
      }
    }
  });

  test('a metric or a label that is not there is found', () => {
    expect(faultsOf('rate(sparklane_nothing_total[5m])')).toEqual(['there is no sparklane_nothing_total']);
    expect(faultsOf('sparklane_ttft_seconds')).toEqual(['sparklane_ttft_seconds is a histogram']);
    expect(faultsOf('sum by (colour) (sparklane_kv_blocks{shape="x"})')).toHaveLength(2);
    expect(faultsOf('sum (sparklane_preemptions_total)')).toHaveLength(1);
  });
});
