// Messages that overtake each other: interrupts, steers and cancels at moments of chance, by the hundred.
import { expect } from 'vitest';
import type { Random } from '../../kernels/random.ts';
import type { ClientGeneration } from '../../server/client/client-generation.ts';
import type { NativeError } from '../../server/client/native-error.ts';
import type { Arena } from './arena.ts';
import type { Family } from './fault.ts';

const COUNT = 100;

export const races: Family = {
  name: 'Interrupt and steer races',
  faults: [
    {
      id: 'races/cancel',
      does: `${COUNT} questions of one session, cancelled at moments of chance and taken back (\`keep: false\`)`,
      promise: 'one end each; the session answers afterwards as one that was never asked',
      inject: async (arena, random) => {
        const client = await arena.native();
        const session = client.open({ temperature: 0.6 });
        await session.append({ text: 'export function raced(' });
        for (let i = 0; i < COUNT; i++) {
          const answer = session.generate({ maxTokens: 1000, ignoreStopTokens: true, seed: i });
          await moment(random);
          answer.cancel(false);
          if (random.next() < 0.3) answer.cancel(true); // too late
          const { reason } = await answer.end;
          expect(reason).toBe('cancelled');
        }
        const fresh = client.open({ temperature: 0.6 });
        await fresh.append({ text: 'export function raced(' });
        const question = { maxTokens: 40, seed: 77, ignoreStopTokens: true };
        expect(await session.generate(question).text()).toBe(await fresh.generate(question).text());
        client.close();
        return COUNT;
      },
    },
    {
      id: 'races/steer',
      does: `${COUNT} steers of one session at moments of chance, some before the last has begun, some after a cancel`,
      promise:
        'each ends once and in order, or is refused with `session_busy` or `cancelled`; what was accepted is in the transcript, in order',
      pace: 'slow',
      inject: async (arena, random) => {
        const client = await arena.native();
        const session = client.open({ temperature: 0.9 });
        await session.append({ text: 'start ' });
        const options = { maxTokens: 30, ignoreStopTokens: true };
        const ended: number[] = [];
        const refused = new Map<number, string>();
        const answers: ClientGeneration[] = [];
        const watch = (answer: ClientGeneration) => {
          answers.push(answer);
          void answer.end.then(
            () => ended.push(answer.generation),
            (error: NativeError) => refused.set(answer.generation, error.code),
          );
          return answer;
        };
        let running = watch(session.generate({ ...options, seed: 1 }));
        for (let i = 1; i <= COUNT; i++) {
          await moment(random);
          if (random.next() < 0.1) running.cancel();
          let begin: () => void = () => {};
          const begun = new Promise<void>((resolve) => {
            begin = resolve;
          });
          running = watch(session.steer(running, { text: `/*${i}*/` }, { ...options, seed: i }, begin));
          if (random.next() < 0.7) await Promise.race([begun, running.end.catch(() => {})]);
        }
        await Promise.allSettled(answers.map(({ end }) => end));
        expect(ended).toEqual([...ended].sort((a, b) => a - b));
        expect(ended.length + refused.size).toBe(COUNT + 1);
        expect(ended.length).toBeGreaterThan(0); // how many are accepted is the machine's affair
        for (const code of refused.values()) expect(['session_busy', 'cancelled']).toContain(code);
        const { id } = (await session.opened) as { id: string };
        const { text } = await client.show(id, 65_536);
        const appended = Array.from(text.matchAll(/\/\*(\d+)\*\//g), ([, number]) => Number(number));
        // The model copies marks that it has read: the first of each is ours.
        expect([...new Set(appended)].filter((number) => ended.includes(number))).toEqual(ended.slice(1));
        client.close();
        return COUNT;
      },
    },
    {
      id: 'races/responses-steer',
      does: '20 responses on one socket, steered at moments of chance',
      promise: 'each is accepted, pending or failed, never silent; every response ends once',
      pace: 'slow',
      inject: async (arena, random) => {
        const socket = await arena.webSocket('/v1/responses');
        const created: string[] = [];
        const ended: string[] = [];
        let verdicts = 0;
        let wake: () => void = () => {};
        socket.on('message', (data: Buffer) => {
          const { type, response } = JSON.parse(`${data}`) as { type: string; response?: { id: string } };
          if (type === 'response.created') created.push(response!.id);
          else if (/^response\.(completed|incomplete|failed)$/.test(type)) ended.push(response!.id);
          else if (/^response\.steer\./.test(type)) verdicts++;
          wake();
        });
        const heard = async (condition: () => boolean) => {
          while (!condition()) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        };
        const ask = { input: 'Go.', max_output_tokens: 40, ignore_eos: true, store: false, seed: 2 };
        for (let i = 0; i < 20; i++) {
          const before = created.length;
          socket.send(JSON.stringify({ type: 'response.create', ...ask }));
          await heard(() => created.length > before);
          await moment(random);
          const steer = { type: 'response.steer', previous_response_id: created.at(-1), input: 'Shorter.' };
          socket.send(JSON.stringify(steer));
          await heard(() => verdicts > i && ended.length === created.length);
        }
        expect(ended).toEqual(created);
        socket.terminate();
        return 20;
      },
    },
    {
      id: 'races/abort',
      does: `${COUNT} HTTP requests aborted at moments of chance`,
      promise: 'nothing of them is left',
      inject: async (arena, random) => {
        await Promise.all(Array.from({ length: COUNT }, () => aborted(arena, random)));
        return COUNT;
      },
    },
  ],
};

async function aborted(arena: Arena, random: Random): Promise<void> {
  const controller = new AbortController();
  const body = { prompt: 'let', max_tokens: 60, ignore_eos: true, stream: random.next() < 0.5 };
  const answer = arena.fetch('/v1/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer key-of-bob-0002' },
    body: JSON.stringify(body),
    signal: controller.signal,
  });
  const read = answer.then((it) => it.text()).catch(() => '');
  for (let i = random.integer(0, 20); i > 0; i--) await moment(random);
  controller.abort();
  await read;
}

/** Now, after a turn of the event loop, or some milliseconds later. */
function moment(random: Random): Promise<void> {
  const turns = random.integer(0, 8);
  if (turns < 3) return new Promise((resolve) => setTimeout(resolve, turns));
  return turns < 7 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve();
}
