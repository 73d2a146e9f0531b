// The strong lane is down, or its money is spent: who let the server choose is answered by the lane named for that, with a
// note; all others are told how long it will be. What costs nothing goes on.
import { expect, test } from 'vitest';
import { parseLanes } from '../../../../server/lanes/lanes-file.ts';
import { lanesServer, TWO_LANES } from '../../../lanes-world.ts';

const { spark, reliability } = TWO_LANES;
const free = { ...spark, price: { inputPerMillion: 0, outputPerMillion: 0 } };
const falling = { spark: free, reliability: { ...reliability, fallback: 'spark' } };
const hard = { messages: [{ role: 'user', content: 'Refactor the error handling across the codebase' }] };
const easy = { messages: [{ role: 'user', content: 'Fix a typo' }] };
const down = () => ({ broken: 'ECONNREFUSED' });

test('a strong lane that is down: auto is answered by its fallback, with a note', async () => {
  const server = await lanesServer({ lanes: falling, upstream: down });
  const call = await server.chat({ model: 'auto', ...hard });
  expect(call.json).toMatchObject({
    model: 'spark',
    metadata: {
      sparklane_lane: 'spark',
      sparklane_overflow_from: 'reliability',
      sparklane_note: expect.stringMatching(/^spark answers for reliability: .*cannot be reached/),
    },
  });
  expect(server.lanes.report).toMatchObject([{ running: 0 }, { running: 0 }]);
});

test('who names the lane, or has no fallback, is told how long it will be, before and after the circuit opens', async () => {
  for (const [lanes, model] of [
    [falling, 'reliability'],
    [{ spark: free, reliability }, 'auto'],
  ] as const) {
    const server = await lanesServer({ lanes, upstream: down });
    for (const seconds of ['5', '15', '15']) {
      const call = server.send('POST', '/v1/chat/completions', { model, ...hard });
      await server.settle(server.clock.nowMs() + 3000);
      expect(call.status).toBe(503);
      expect(Number(call.headers['retry-after'])).toBeGreaterThan(0);
      expect(Number(call.headers['retry-after'])).toBeLessThanOrEqual(Number(seconds));
    }
  }
});

test('a spent budget stops what costs money, and nothing else', async () => {
  const dear = { ...reliability, price: { inputPerMillion: 0, outputPerMillion: 1000 } };
  const spent = { ...hard, max_tokens: 20 };
  const file = { budgetPerKeyAndDay: 0.001 };
  const strict = await lanesServer({ lanes: { spark: free, reliability: dear }, file });
  const refused = await strict.chat({ model: 'auto', ...spent });
  expect([refused.status, Number(refused.headers['retry-after']) > 3600]).toEqual([429, true]);
  expect((await strict.chat({ model: 'auto', ...easy })).json).toMatchObject({ model: 'spark' });
  const kind = await lanesServer({
    lanes: { spark: free, reliability: { ...dear, fallback: 'spark' } },
    file,
  });
  expect((await kind.chat({ model: 'auto', ...spent })).json).toMatchObject({
    model: 'spark',
    metadata: { sparklane_note: expect.stringMatching(/has used 0.0000 of 0.001 USD today/) },
  });
  expect((await kind.chat({ model: 'reliability', ...spent })).status).toBe(429);
  expect(kind.wire.asked).toHaveLength(0);
});

test('a fallback is another lane of the file', () => {
  for (const fallback of ['reliability', 'nowhere'])
    expect(() => parseLanes({ lanes: { spark, reliability: { ...reliability, fallback } } })).toThrow(
      /lanes\.reliability\.fallback/,
    );
});
