// Traces and metrics over OTLP where the environment names an endpoint (OTEL_EXPORTER_OTLP_ENDPOINT and its kin, which the
// exporters read themselves). OpenTelemetry's packages are optional: without them the log says what to install and the server
// serves. Owns what is exported and its end. Before it: cli/local-server.ts; after it: convention.ts.
import type { Log } from '../base/log.ts';
import type { AnswerReport } from '../generation/answer-log.ts';
import {
  commonAttributes,
  DURATION_BUCKETS,
  FIRST_TOKEN_BUCKETS,
  operationOf,
  PER_TOKEN_BUCKETS,
  PROVIDER,
  perTokenSeconds,
  spanAttributes,
  TOKEN_BUCKETS,
} from './convention.ts';

export interface Telemetry {
  readonly onAnswer: (report: AnswerReport) => void;
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>;
}

export interface TelemetryParts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly epochMs: () => number; // time of day
  readonly log: Log;
}

const ENDPOINTS = [
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
];

/** Null where nothing is to be exported, or the packages are not installed. */
export async function openTelemetry(parts: TelemetryParts): Promise<Telemetry | null> {
  const { env, log } = parts;
  if (!ENDPOINTS.some((name) => env[name]) || env['OTEL_SDK_DISABLED'] === 'true') return null;
  const packages = await loadPackages().catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return null;
  });
  if (packages === null) {
    const names =
      'api sdk-trace-base exporter-trace-otlp-http sdk-metrics exporter-metrics-otlp-http resources';
    const install = `npm install ${names
      .split(' ')
      .map((name) => `@opentelemetry/${name}`)
      .join(' ')}`;
    log.warn('an OTLP endpoint is set, but its packages are not installed: nothing is exported', { install });
    return null;
  }
  log.info('traces and metrics are exported over OTLP');
  return exported(packages, parts);
}

async function loadPackages() {
  const [api, traces, traceExporter, metrics, metricExporter, resources] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace-base'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/sdk-metrics'),
    import('@opentelemetry/exporter-metrics-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  return { api, traces, traceExporter, metrics, metricExporter, resources };
}

type Packages = Awaited<ReturnType<typeof loadPackages>>;

function exported(packages: Packages, { env, version, epochMs }: TelemetryParts): Telemetry {
  const { api, traces, traceExporter, metrics, metricExporter, resources } = packages;
  const resource = resources.defaultResource().merge(
    resources.resourceFromAttributes({
      'service.name': env['OTEL_SERVICE_NAME'] || PROVIDER,
      'service.version': version,
    }),
  );
  const spanProcessors = [new traces.BatchSpanProcessor(new traceExporter.OTLPTraceExporter())];
  const tracing = new traces.BasicTracerProvider({ resource, spanProcessors });
  const exporter = new metricExporter.OTLPMetricExporter();
  const readers = [new metrics.PeriodicExportingMetricReader({ exporter })];
  const metering = new metrics.MeterProvider({ resource, readers });
  const tracer = tracing.getTracer(PROVIDER, version);
  const count = instrumentsOf(metering.getMeter(PROVIDER, version));
  return {
    onAnswer: (report) => {
      const endMs = epochMs();
      const span = tracer.startSpan(
        `${operationOf(report.route)} ${report.model}`,
        {
          kind: api.SpanKind.SERVER,
          startTime: endMs - report.totalMs,
          attributes: spanAttributes(report),
        },
        api.ROOT_CONTEXT,
      );
      const { ttftMs, failure } = report;
      if (ttftMs !== null) span.addEvent('first token', endMs - report.totalMs + ttftMs);
      if (failure !== null) span.setStatus({ code: api.SpanStatusCode.ERROR, message: failure });
      span.end(endMs);
      count(report);
    },
    close: async () => {
      await Promise.allSettled([tracing.shutdown(), metering.shutdown({ timeoutMillis: 5000 })]);
    },
  };
}

function instrumentsOf(
  meter: ReturnType<InstanceType<Packages['metrics']['MeterProvider']>['getMeter']>,
): (report: AnswerReport) => void {
  const histogram = (name: string, unit: string, description: string, buckets: number[]) =>
    meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: buckets } });
  const duration = histogram(
    'gen_ai.server.request.duration',
    's',
    'Request to end of answer',
    DURATION_BUCKETS,
  );
  const first = histogram(
    'gen_ai.server.time_to_first_token',
    's',
    'Request to first token',
    FIRST_TOKEN_BUCKETS,
  );
  const perToken = histogram(
    'gen_ai.server.time_per_output_token',
    's',
    'Per token after the first',
    PER_TOKEN_BUCKETS,
  );
  const usage = histogram('gen_ai.client.token.usage', '{token}', 'Tokens in and out', TOKEN_BUCKETS);
  return (report) => {
    const attributes = commonAttributes(report);
    duration.record(report.totalMs / 1000, attributes);
    if (report.ttftMs !== null) first.record(report.ttftMs / 1000, attributes);
    const seconds = perTokenSeconds(report);
    if (seconds !== null) perToken.record(seconds, attributes);
    usage.record(report.promptTokens, { ...attributes, 'gen_ai.token.type': 'input' });
    usage.record(report.outputTokens, { ...attributes, 'gen_ai.token.type': 'output' });
  };
}
