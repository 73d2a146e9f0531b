// The playground against answers of memory: streams in pieces, stopping, steering, failures, and what an answer cost.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { Api, ApiError } from '../../../../server/ui/page/api.ts';
import { cachedPrefix, commonLength } from '../../../../server/ui/page/cached-prefix.ts';
import { StreamReader } from '../../../../server/ui/page/chat-stream.ts';
import { infillStats } from '../../../../server/ui/page/infill-answer.ts';
import { PlaygroundStore } from '../../../../server/ui/page/playground-store.ts';

interface Ask {
  readonly body: { messages: { role: string; content: string }[] };
  write(data: object | string): void;
  end(): void;
  fail(): void;
  readonly aborted: boolean;
}

/** A server of memory: every request waits until the test answers it. */
function world({ status = 200, refusal = {} as object } = {}) {
  const clock = new VirtualClock();
  const asks: Ask[] = [];
  const kept = new Map<string, string>();
  const headers: Headers[] = [];
  const fetchMemory = async (_: unknown, init: RequestInit = {}): Promise<Response> => {
    headers.push(new Headers(init.headers));
    if (status !== 200) return new Response(JSON.stringify(refusal), { status });
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({
      start: (own) => {
        controller = own;
      },
    });
    const bytes = new TextEncoder();
    init.signal?.addEventListener('abort', () => controller.error(new Error('aborted')));
    asks.push({
      body: JSON.parse(init.body as string),
      write: (data) =>
        controller.enqueue(
          bytes.encode(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`),
        ),
      end: () => controller.close(),
      fail: () => controller.error(new Error('the line broke')),
      get aborted() {
        return init.signal?.aborted === true;
      },
    });
    return new Response(stream);
  };
  const page = {
    base: 'http://127.0.0.1:1/',
    fetch: fetchMemory as typeof fetch,
    nowMs: () => clock.nowMs(),
    later: (ms: number, fn: () => void) => {
      const timer = clock.schedule(ms, fn);
      return () => timer.cancel();
    },
    tabStore: {
      getItem: (name: string) => kept.get(name) ?? null,
      setItem: (name: string, text: string) => void kept.set(name, text),
      removeItem: (name: string) => void kept.delete(name),
    },
  };
  const api = new Api(page);
  return { clock, asks, headers, api, store: new PlaygroundStore(api, page) };
}

const piece = (content: string) => ({ choices: [{ delta: { content }, finish_reason: null }] });
const end = (finish_reason: string) => ({ choices: [{ delta: {}, finish_reason }] });

async function settled(clock: VirtualClock): Promise<void> {
  for (let round = 0; round < 20; round++) {
    await new Promise(setImmediate);
    clock.run(clock.nowMs() + 5);
  }
}

describe('an answer', () => {
  test('is shown as it comes and ends with what it cost', async () => {
    const { clock, asks, store } = world();
    const said = store.say('Hi');
    await settled(clock);
    expect(store.writing).toBe(true);
    asks[0]!.write(piece('Hel'));
    await settled(clock);
    expect(store.state.conversation.turns[1]).toMatchObject({ text: 'Hel', state: 'writing' });
    asks[0]!.write(piece('lo'));
    asks[0]!.write(end('stop'));
    asks[0]!.write({
      choices: [],
      usage: {
        prompt_tokens: 40,
        completion_tokens: 3,
        prompt_tokens_details: { cached_tokens: 32 },
        completion_tokens_details: { accepted_prediction_tokens: 2, rejected_prediction_tokens: 1 },
      },
    });
    asks[0]!.write('[DONE]');
    asks[0]!.end();
    await said;
    expect(store.state.conversation.turns[1]).toMatchObject({
      text: 'Hello',
      state: 'done',
      stats: {
        ...{ outputTokens: 3, promptTokens: 40, cachedTokens: 32, counted: true },
        ...{ acceptedDrafts: 2, rejectedDrafts: 1 },
      },
    });
  });

  test('that is steered is left by the server, and the next brings what it had said', async () => {
    const { clock, asks, store } = world();
    void store.say('Count.');
    await settled(clock);
    asks[0]!.write(piece('One'));
    await settled(clock);
    const steered = store.say('In French.');
    await settled(clock);
    expect(asks[0]!.aborted).toBe(true);
    expect(asks[1]!.body.messages.map(({ content }) => content)).toEqual(['Count.', 'One', 'In French.']);
    asks[1]!.write(piece('Un'));
    asks[1]!.write(end('stop'));
    asks[1]!.end();
    await steered;
    expect(store.state.conversation.turns.map(({ text, state }) => [text, state])).toEqual([
      ['Count.', 'done'],
      ['One', 'steered'],
      ['In French.', 'done'],
      ['Un', 'done'],
    ]);
  });

  test('that is stopped keeps what it has said; nothing comes after', async () => {
    const { clock, asks, store } = world();
    const said = store.say('Count.');
    await settled(clock);
    asks[0]!.write(piece('One'));
    await settled(clock);
    store.stop();
    await said;
    expect(store.state.conversation.turns.at(-1)).toMatchObject({ text: 'One', state: 'stopped' });
    expect(store.writing).toBe(false);
  });

  test('that is cut by its length, breaks or never ends properly is no whole one', async () => {
    for (const [finish, state] of [
      ['length', 'cut'],
      ['', 'failed'],
      ['broken', 'failed'],
      ['error', 'failed'],
    ] as const) {
      const { clock, asks, store } = world();
      const said = store.say('Count.');
      await settled(clock);
      asks[0]!.write(piece('One'));
      if (finish === 'length') asks[0]!.write(end('length'));
      if (finish === 'error') asks[0]!.write({ error: { message: 'the device died', code: 'worker_died' } });
      if (finish === 'broken') asks[0]!.fail();
      else asks[0]!.end();
      await said;
      expect([finish, store.state.conversation.turns.at(-1)!.state]).toEqual([finish, state]);
    }
  });

  test('that is refused says why in the server’s words', async () => {
    const { store } = world({ status: 400, refusal: { error: { message: 'top_k: too large', code: 'x' } } });
    await store.say('Hi');
    expect(store.state.conversation.turns.at(-1)).toMatchObject({
      state: 'failed',
      note: 'top_k: too large',
    });
  });

  test('with settings that cannot be sent asks nobody', async () => {
    const { store, asks } = world();
    store.configure({ tools: [{ name: '', description: '', parameters: store.state.settings.schema }] });
    await store.say('Hi');
    expect(asks).toEqual([]);
    expect(store.state.conversation.turns.at(-1)).toMatchObject({ state: 'failed' });
  });
});

describe('the key', () => {
  test('is asked for once the server wants one, and sent from then on', async () => {
    const { api, headers } = world({ status: 401, refusal: { error: { message: 'a key is needed' } } });
    let wanted = 0;
    api.onKeyWanted = () => wanted++;
    await expect(api.json('v1/models')).rejects.toBeInstanceOf(ApiError);
    expect([wanted, headers[0]!.get('authorization')]).toEqual([1, null]);
    api.key = 'first-key';
    await expect(api.json('v1/models')).rejects.toMatchObject({ status: 401 });
    expect(headers[1]!.get('authorization')).toBe('Bearer first-key');
    api.key = '';
    expect(api.key).toBe('');
  });
});

test('calls and reasoning are put together from their pieces', () => {
  const reader = new StreamReader(() => 0);
  const call = (part: object) => ({ choices: [{ delta: { tool_calls: [{ index: 0, ...part }] } }] });
  reader.take(JSON.stringify({ choices: [{ delta: { reasoning_content: 'Hm.' } }] }));
  reader.take(JSON.stringify(call({ id: 'c', function: { name: 'look', arguments: '{"a"' } })));
  reader.take(JSON.stringify(call({ function: { arguments: ':1}' } })));
  reader.take(JSON.stringify({ metadata: { sparklane_lane: 'spark', sparklane_reason: 'a small edit' } }));
  expect(reader.soFar).toMatchObject({
    reasoning: 'Hm.',
    calls: [{ id: 'c', name: 'look', arguments: '{"a":1}' }],
    note: 'lane spark: a small edit',
  });
});

test('what stays cached is the common beginning of both prompts, in whole blocks', async () => {
  const prompts: Record<string, number[]> = { old: [1, 2, 3, 4, 5, 6], new: [1, 2, 3, 4, 5, 9, 9] };
  const json = async (_: string, { body }: { body: { messages: { content: string }[] } }) => ({
    tokens: prompts[body.messages[0]!.content],
  });
  const kept = cachedPrefix({ json: json as Api['json'] }, [{ content: 'old' }], [{ content: 'new' }], {
    blockSize: 4,
    signal: new AbortController().signal,
  });
  expect(await kept).toEqual({ keptTokens: 4, promptTokens: 7 });
  expect([commonLength([], [1]), commonLength([1, 2], [1, 2])]).toEqual([0, 2]);
});

test('an answer in the middle is told in the same words', () => {
  const timings = { cache_n: 16, prompt_n: 4, prompt_ms: 20, predicted_per_second: 50 };
  expect(infillStats({ content: 'a', tokens_predicted: 3, timings }, 100)).toMatchObject({
    ...{ ttftMs: 20, tokensPerSecond: 50, outputTokens: 3, promptTokens: 20, cachedTokens: 16 },
  });
});
