// What is told to a remote write endpoint, read back with other people's readers: snappy's of the Parquet package, protobuf's wire.
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { snappyUncompress } from 'hyparquet';
import { afterEach, expect, test } from 'vitest';
import { runLoadtest } from '../../../../../loadtest/main.ts';
import { MemoryIo } from '../../../../memory-io.ts';
import { RawServer } from './raw-server.ts';

let server: RawServer | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

const run = ['--in-process', '--temperature', '0', '--workload', 'synthetic', '--isl', '40', '--osl', '8'];
const endMs = 1_700_000_000_000; // time of day of the run's end
const load = ['--load', 'poisson:20', '--duration', '3s', '--out', 'out'];

test.each([
  ['', '/api/v1/write'],
  ['/api/v1/push', '/api/v1/push'],
])('an endpoint at %j is told every run by remote write', async (base, path) => {
  server = await RawServer.start(204);
  const io = Object.assign(new MemoryIo(), { epochMs: () => endMs });
  await runLoadtest([...run, ...load, '--remote-write', `${server.url}${base}`], io);
  expect(io.notes).not.toMatch(/--remote-write/);
  const [told] = server.requests;
  expect(told).toMatchObject({
    path,
    headers: {
      ...{ 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' },
      'x-prometheus-remote-write-version': '0.1.0',
    },
  });
  const series = seriesOf(unpacked(told!.body));
  const turns = series.find(({ labels }) => labels['__name__'] === 'sparklane_loadtest_turns')!;
  expect(turns.labels).toMatchObject({ job: 'sparklane-loadtest', seed: '1' });
  expect(turns.value).toBeGreaterThan(50);
  expect(turns.atMs).toBe(endMs);
  expect(Object.keys(turns.labels)).toEqual(Object.keys(turns.labels).sort());
  const latency = series.find(
    ({ labels }) => labels['__name__'] === 'sparklane_loadtest_latency_ms' && labels['quantile'] === '0.9',
  );
  expect(latency!.labels['latency']).toBe('ttft');
});

test('an endpoint that refuses costs a line, not the run', async () => {
  server = await RawServer.start(400);
  const io = new MemoryIo();
  await runLoadtest([...run, ...load, '--remote-write', server.url], io);
  expect(io.notes).toMatch(/--remote-write http:\S+: answered 400/);
  expect(io.exitCode).toBe(0);
});

function unpacked(body: Uint8Array): Uint8Array {
  let size = 0;
  for (let at = 0, shift = 0; ; at++, shift += 7) {
    size |= (body[at]! & 0x7f) << shift;
    if (body[at]! < 0x80) break;
  }
  const bytes = new Uint8Array(size);
  snappyUncompress(body, bytes);
  return bytes;
}

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly atMs: number;
}

function seriesOf(bytes: Uint8Array): Series[] {
  const found: Series[] = [];
  const request = new BinaryReader(bytes);
  while (request.pos < request.len) {
    expect(request.tag()).toEqual([1, 2]);
    const series = new BinaryReader(request.bytes());
    const labels: Record<string, string> = {};
    let [value, atMs] = [Number.NaN, 0];
    while (series.pos < series.len) {
      const [number] = series.tag();
      const part = new BinaryReader(series.bytes());
      if (number === 1) {
        part.tag();
        const name = part.string();
        part.tag();
        labels[name] = part.string();
      } else {
        part.tag();
        value = part.double();
        part.tag();
        atMs = Number(part.int64());
      }
    }
    found.push({ labels, value, atMs });
  }
  return found;
}
