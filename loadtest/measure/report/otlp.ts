// A run as OpenTelemetry metrics (OTLP over HTTP, JSON), which collectors take, and Prometheus itself at
// /api/v1/otlp/v1/metrics. Pure: an object out. Source: opentelemetry-proto, metrics/v1, JSON mapping.
import type { RunReport } from '../runs/report-schema.ts';

interface Point {
  readonly value: number;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** `epochMs`: time of day of the end. Numbers that are refused or unknown are left out. */
export function otlpMetrics(report: RunReport, epochMs: number) {
  const { provenance: p, rates, counters, latencies, outcomes, validity } = report;
  const timeUnixNano = `${BigInt(Math.round(epochMs)) * 1_000_000n}`;
  const gauge = (name: string, unit: string, points: readonly Point[]) => ({
    ...{ name: `sparklane.loadtest.${name}`, unit },
    gauge: {
      dataPoints: points.map(({ value, attributes = {} }) => ({
        ...{ timeUnixNano, asDouble: value, attributes: attributesOf(attributes) },
      })),
    },
  });
  const one = (value: number | null): Point[] => (value === null ? [] : [{ value }]);
  const quantiles = latencies.flatMap(({ key, quantiles: found }) =>
    found.flatMap(({ q, ms }): Point[] =>
      ms === null ? [] : [{ value: ms, attributes: { latency: key, quantile: String(q) } }],
    ),
  );
  const counts = latencies.map(({ key, count }) => ({ value: count, attributes: { latency: key } }));
  const metrics = [
    gauge('latency', 'ms', quantiles),
    gauge('latency.count', '1', counts),
    gauge('requests.rate', '1/s', one(rates.requestsPerSecond)),
    gauge('goodput.rate', '1/s', one(rates.goodputPerSecond.value)),
    gauge('tokens.rate', '1/s', one(rates.tokensPerSecond)),
    gauge('good.share', '1', one(rates.goodShare.value)),
    gauge('cache.served.share', '1', one(rates.servedCacheShare)),
    gauge('turns', '1', [{ value: counters.turns }]),
    gauge(
      'turns.by_outcome',
      '1',
      Object.entries(outcomes).map(([outcome, value]) => ({ value, attributes: { outcome } })),
    ),
    gauge('valid', '1', [{ value: validity.isVoid ? 0 : 1 }]),
  ].filter(({ gauge: { dataPoints } }) => dataPoints.length > 0);
  const resource = attributesOf({
    ...{
      'service.name': 'sparklane-loadtest',
      'service.version': p.version,
      target: p.target,
      model: p.model,
    },
    ...{ workload: p.workload, load: p.load, seed: String(p.seed) },
  });
  const scopeMetrics = [{ scope: { name: 'sparklane.loadtest', version: p.version }, metrics }] as const;
  return { resourceMetrics: [{ resource: { attributes: resource }, scopeMetrics }] as const };
}

function attributesOf(values: Readonly<Record<string, string>>) {
  return Object.entries(values).map(([key, stringValue]) => ({ key, value: { stringValue } }));
}
