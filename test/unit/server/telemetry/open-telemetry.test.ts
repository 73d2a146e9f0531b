// Traces and metrics over OTLP: what an answer becomes, what a collector gets, and that nothing is exported unless it is asked for.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createLog } from '../../../../server/base/log.ts';
import type { AnswerReport } from '../../../../server/generation/answer-log.ts';
import { operationOf, perTokenSeconds, spanAttributes } from '../../../../server/telemetry/convention.ts';
import { openTelemetry } from '../../../../server/telemetry/open-telemetry.ts';

const report: AnswerReport = {
  route: '/v1/chat/completions',
  model: 'spark',
  request: {
    choiceCount: 1,
    route: '/v1/chat/completions',
    maxTokens: 64,
    temperature: 0.3,
    topK: 0,
    seed: null,
  },
  promptTokens: 100,
  cachedTokens: 64,
  outputTokens: 11,
  ttftMs: 50,
  drawMs: 200,
  totalMs: 260,
  finishReasons: ['stop'],
  failure: null,
  prefix: {},
};

describe('an answer in the convention’s words', () => {
  test('has what was asked and what it took, and nothing that was said', () => {
    expect(spanAttributes(report)).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'sparklane',
      'gen_ai.request.model': 'spark',
      'gen_ai.response.model': 'spark',
      'gen_ai.request.max_tokens': 64,
      'gen_ai.request.temperature': 0.3,
      'http.route': '/v1/chat/completions',
      'gen_ai.usage.input_tokens': 100,
      'gen_ai.usage.output_tokens': 11,
      'gen_ai.usage.cache_read.input_tokens': 64,
      'gen_ai.response.finish_reasons': ['stop'],
    });
    expect(spanAttributes({ ...report, failure: 'worker_died' })).toMatchObject({
      'error.type': 'worker_died',
    });
    expect(perTokenSeconds(report)).toBe(0.02);
    expect(perTokenSeconds({ ...report, outputTokens: 1 })).toBe(null);
  });

  test.each([
    ['/v1/chat/completions', 'chat'],
    ['/v1/completions', 'text_completion'],
    ['/infill', 'text_completion'],
    ['/api/generate', 'text_completion'],
    ['/v1/responses', 'chat'],
    ['/v1/messages', 'chat'],
    [null, 'chat'],
  ] as const)('%s is %s', (route, operation) => expect(operationOf(route)).toBe(operation));
});

const collectors: Server[] = [];
afterEach(() => {
  for (const collector of collectors.splice(0)) collector.close();
  delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
});

const silent = createLog({ level: 'silent', write: () => {}, epochMs: () => 0 });
const parts = { version: '1.2.3', epochMs: () => Date.UTC(2026, 10, 29), log: silent };

describe('a collector', () => {
  test('gets a span and metrics for each answer', async () => {
    const bodies = new Map<string, string>();
    const collector = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (piece: string) => {
        body += piece;
      });
      request.on('end', () => {
        bodies.set(request.url!, body);
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
      });
    });
    collectors.push(collector);
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = endpoint; // the exporters read it themselves
    const telemetry = await openTelemetry({ ...parts, env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } });
    telemetry!.onAnswer(report);
    await telemetry!.close();
    const { resourceSpans } = JSON.parse(bodies.get('/v1/traces')!) as {
      resourceSpans: { resource: object; scopeSpans: { spans: Record<string, unknown>[] }[] }[];
    };
    const [span] = resourceSpans[0]!.scopeSpans[0]!.spans;
    expect(span).toMatchObject({ name: 'chat spark', kind: 2, events: [{ name: 'first token' }] });
    const [start, end] = [span!['startTimeUnixNano'], span!['endTimeUnixNano']].map(Number);
    expect((end! - start!) / 1e6).toBeCloseTo(260, 0);
    expect(JSON.stringify(resourceSpans[0]!.resource)).toContain('sparklane');
    const metrics = bodies.get('/v1/metrics')!;
    for (const name of [
      'gen_ai.server.request.duration',
      'gen_ai.server.time_to_first_token',
      'gen_ai.server.time_per_output_token',
      'gen_ai.client.token.usage',
    ]) {
      expect(metrics).toContain(name);
    }
  });

  test('is not asked for: nothing is loaded, nothing is exported', async () => {
    expect(await openTelemetry({ ...parts, env: {} })).toBe(null);
    const off = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'true' };
    expect(await openTelemetry({ ...parts, env: off })).toBe(null);
  });
});
