// A run for Prometheus' remote write (version 1), which Prometheus, Mimir, Thanos and VictoriaMetrics take: the series of otlp.ts as a
// WriteRequest, in snappy's block format. Pure: bytes out. Sources: prometheus/prompb (remote.proto), google/snappy
// (format_description.txt). Snappy is literals alone, which every reader takes: a run is a few kilobytes.
import type { RunReport } from '../runs/report-schema.ts';
import { otlpMetrics } from './otlp.ts';

export const remoteWriteHeaders: Readonly<Record<string, string>> = {
  'content-type': 'application/x-protobuf',
  'content-encoding': 'snappy',
  'x-prometheus-remote-write-version': '0.1.0',
};

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue: string };
}

/** The body of one request. `epochMs`: time of day of the end. */
export function remoteWriteBody(report: RunReport, epochMs: number): Uint8Array {
  const [{ resource, scopeMetrics }] = otlpMetrics(report, epochMs).resourceMetrics;
  const series = scopeMetrics[0].metrics.flatMap(({ name, unit, gauge }) =>
    gauge.dataPoints.map(({ asDouble, attributes }) => {
      const metric = `${name.replace(/\W/g, '_')}${unit === 'ms' ? '_ms' : ''}`;
      const labels = new Map([['__name__', metric], ...pairs(resource.attributes), ...pairs(attributes)]);
      return field(1, [...labelsOf(labels), ...field(2, sample(asDouble, epochMs))]);
    }),
  );
  return snappyLiterals(Uint8Array.from(series.flat()));
}

// Names as Prometheus takes them; what the service is called is the job.
function pairs(attributes: readonly Attribute[]): [string, string][] {
  return attributes.map(({ key, value }) => [
    key === 'service.name' ? 'job' : key.replace(/\W/g, '_'),
    value.stringValue,
  ]);
}

// By name, as the protocol asks.
function labelsOf(labels: ReadonlyMap<string, string>): number[] {
  const sorted = [...labels].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.flatMap(([name, value]) => field(1, [...text(1, name), ...text(2, value)]));
}

function sample(value: number, epochMs: number): number[] {
  const double = new Uint8Array(8);
  new DataView(double.buffer).setFloat64(0, value, true);
  return [(1 << 3) | 1, ...double, 2 << 3, ...varint(BigInt(Math.round(epochMs)))];
}

function text(number: number, value: string): number[] {
  return field(number, [...new TextEncoder().encode(value)]);
}

// A field of protobuf that has a length.
function field(number: number, bytes: readonly number[]): number[] {
  return [(number << 3) | 2, ...varint(BigInt(bytes.length)), ...bytes];
}

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}

const literalMax = 65_536; // bytes of one literal whose length takes two
const twoByteLength = 61 << 2;

function snappyLiterals(bytes: Uint8Array): Uint8Array {
  const parts: number[] = varint(BigInt(bytes.length));
  for (let at = 0; at < bytes.length; at += literalMax) {
    const literal = bytes.subarray(at, at + literalMax);
    const length = literal.length - 1;
    parts.push(twoByteLength, length & 0xff, length >> 8, ...literal);
  }
  return Uint8Array.from(parts);
}
