import { Packr, pack, Unpackr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { FRAME_DEPTH_MAX, frameFault } from '../../../../server/client/frame-guard.ts';
import { readFrame } from '../../../../server/client/frame-reader.ts';
import type { ServerMessage, TokensFrame } from '../../../../server/client/messages.ts';
import {
  decodeClientFrame,
  decodeServerFrame,
  encodeClientMessage,
  encodeServerMessage,
} from '../../../../server/client/protocol.ts';

const refusedCode = (frame: Uint8Array) => {
  const decoded = decodeClientFrame(frame);
  return decoded.ok ? null : decoded.fault.code;
};

describe('what a client sends', () => {
  test('a message arrives as it was sent, without the fields that nobody knows', () => {
    const sent = {
      type: 'session.append',
      session: 3,
      request: 7,
      text: 'const x = 1; // ü',
      future: [1, 2],
    };
    const { future: _, ...known } = sent;
    expect(decodeClientFrame(pack(sent))).toEqual({ ok: true, message: known });
  });

  test('nil is the same as absent', () => {
    const decoded = decodeClientFrame(pack({ type: 'ping', nonce: null }));
    expect(decoded).toEqual({ ok: true, message: { type: 'ping' } });
  });

  test('a 64-bit integer is a number', () => {
    const frame = pack({ type: 'generate', session: 0, generation: 1, seed: 2n ** 40n });
    expect(decodeClientFrame(frame)).toMatchObject({ ok: true, message: { seed: 2 ** 40 } });
    const longest = pack({ type: 'generate', session: 0, generation: 1, seed: -(2n ** 63n) });
    expect(decodeClientFrame(longest)).toMatchObject({ ok: true, message: { seed: -(2n ** 63n) } });
    const unsigned = pack({ type: 'generate', session: 0, generation: 1, seed: 2n ** 63n });
    expect(decodeClientFrame(unsigned)).toMatchObject({ ok: false });
  });

  test('a type that does not exist is told apart from a frame that is no message', () => {
    expect(refusedCode(pack({ type: 'session.bend', session: 1 }))).toBe('unknown_message');
    expect(refusedCode(pack({ type: 'constructor' }))).toBe('unknown_message');
    expect(refusedCode(pack({ session: 1 }))).toBe('malformed_frame');
    expect(refusedCode(pack([1, 2, 3]))).toBe('malformed_frame');
    expect(refusedCode(pack('hello'))).toBe('malformed_frame');
    expect(refusedCode(new Uint8Array(0))).toBe('malformed_frame');
  });

  test('a refusal names the field with its path, and the numbers of the message it refuses', () => {
    const messages = [{ role: 'user', content: 'a' }, { role: 7 }];
    const decoded = decodeClientFrame(pack({ type: 'session.append', session: 4, request: 9, messages }));
    expect(decoded).toMatchObject({
      ok: false,
      fault: { code: 'invalid_request', param: 'messages[1].role' },
      labels: { session: 4, request: 9 },
    });
  });

  test.each([
    ['temperature below 0', { temperature: -0.1 }, 'temperature'],
    ['topP below 0', { topP: -0.1 }, 'topP'],
    ['a fraction for topK', { topK: 1.5 }, 'topK'],
    ['not a number', { temperature: Number.NaN }, 'temperature'],
    ['an infinite penalty', { repetitionPenalty: Number.POSITIVE_INFINITY }, 'repetitionPenalty'],
    ['an empty stop string', { stop: [''] }, 'stop[0]'],
    ['a negative maxTokens', { maxTokens: -1 }, 'maxTokens'],
    ['an unknown priority', { priority: 'background' }, 'priority'],
    ['a bias without a token', { logitBias: [[1.5, 2]] }, 'logitBias[0][0]'],
  ])('%s is refused by name', (_, fields, param) => {
    const decoded = decodeClientFrame(pack({ type: 'generate', session: 1, generation: 2, ...fields }));
    expect(decoded).toMatchObject({ ok: false, fault: { code: 'invalid_request', param } });
  });

  test('what the client encodes the server decodes', () => {
    const message = { type: 'generate', session: 1, generation: 2, maxTokens: 16, stop: ['\n\n'] } as const;
    const decoded = decodeClientFrame(encodeClientMessage({ ...message, stop: [...message.stop] }));
    expect(decoded).toEqual({ ok: true, message });
  });
});

describe('the value of a frame', () => {
  const integers = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33];
  const values = {
    integers: [
      ...integers,
      -128,
      -129,
      -32_768,
      -32_769,
      -(2 ** 31),
      -(2 ** 31) - 1,
      2n ** 64n - 1n,
      -(2n ** 63n),
    ],
    numbers: [0.5, -1e300, -0, Number.POSITIVE_INFINITY, Number.NaN, 5e-324],
    texts: [
      '',
      'a',
      'é',
      'a'.repeat(31),
      'b'.repeat(32),
      `${'b'.repeat(31)}é`,
      'c'.repeat(200),
      'é😀\ufeff\0'.repeat(9000),
    ],
    others: [true, false, null, [], {}, [[[{ 7: { '': [1] } }]]]],
    long: Array.from({ length: 70_000 }, (_, index) => index),
    wide: Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`k${index}`, index])),
  };

  test('is what msgpackr reads, whatever kind it is of', () => {
    const options = { useRecords: false, mapsAsObjects: true, int64AsType: 'auto' as 'bigint' };
    for (const more of [{}, { useFloat32: 1 }]) {
      const frame = new Packr({ useRecords: false, variableMapSize: true, ...more }).pack(values);
      const plain = (value: unknown) =>
        JSON.parse(
          JSON.stringify(value, (_, one) =>
            typeof one === 'bigint' || Object.is(one, -0) ? `${one}n` : one,
          ),
        );
      expect(plain(readFrame(frame))).toEqual(plain(new Unpackr(options).unpack(frame)));
    }
  });

  test('has bytes of its own', () => {
    const bytes = [3, 300, 70_000].map((size) => new Uint8Array(size).fill(7));
    const frame = pack(bytes);
    const value = readFrame(frame);
    frame.fill(0);
    expect(value).toEqual(bytes);
  });

  test('keeps a byte order mark; a text that is no UTF-8 is refused', () => {
    expect(readFrame(pack(`\ufeff${'é'.repeat(100)}`))).toBe(`\ufeff${'é'.repeat(100)}`);
    for (const size of [1, 40, 300]) {
      const frame = pack({ type: 'session.append', session: 1, text: 'e'.repeat(size) });
      frame[frame.length - 1] = 0xff;
      expect(refusedCode(frame)).toBe('malformed_frame');
    }
  });

  test('has no member that would be its prototype', () => {
    const frame = Buffer.from(pack({ _proto___: { type: 'ping' }, a: 1 }));
    frame.write('__proto__', frame.indexOf('_proto___'));
    const value = readFrame(frame);
    expect([Object.keys(value as object), Object.getPrototypeOf(value)]).toEqual([['a'], Object.prototype]);
  });
});

describe('the structure of a frame', () => {
  test('plain MessagePack of every kind passes', () => {
    const value = {
      ints: [0, 127, 128, 255, 65_535, 65_536, 4_294_967_296, -1, -32, -33, -129, -40_000, -3_000_000_000],
      floats: [0.5, -1e300],
      texts: ['', 'a'.repeat(31), 'b'.repeat(200), 'c'.repeat(70_000)],
      bytes: [new Uint8Array(3), new Uint8Array(300), new Uint8Array(70_000)],
      others: [true, false, null],
      long: Array.from({ length: 70_000 }, (_, index) => index),
      wide: Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`k${index}`, index])),
    };
    expect(
      frameFault(new Packr({ useRecords: false, variableMapSize: true }).pack(value), 1_000_000),
    ).toBeNull();
    expect(frameFault(new Packr({ useRecords: false, useFloat32: 1 }).pack([1.25]))).toBeNull();
  });

  test.each([
    ['a record definition', [0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]],
    ['a date', [0xd6, 0xff, 0, 0, 0, 0]],
    ['a regular expression', [0xc7, 0x02, 0x78, 0x91, 0xa1]],
    ['the byte that is never used', [0xc1]],
    ['a wider extension', [0xc8, 0x00, 0x01, 0x42, 0x00]],
  ])('%s is refused', (_, bytes) => {
    expect(frameFault(Uint8Array.from(bytes))).toMatch(/no plain MessagePack/);
  });

  test.each([
    ['a string longer than the frame', [0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]],
    ['an array of four billion in six bytes', [0xdd, 0xff, 0xff, 0xff, 0xff, 0x01]],
    ['a map without its last value', [0x81, 0xa1, 0x61]],
    ['half a number', [0xcf, 0x00]],
    ['a length cut off', [0xda, 0x00]],
  ])('%s ends inside a value', (_, bytes) => {
    expect(frameFault(Uint8Array.from(bytes))).toMatch(/ends inside/);
  });

  test('values have a bound, a member of a map counts five times, and what is beyond is not looked at', () => {
    const list = (count: number) => pack(new Array(count).fill(7));
    const map = (count: number) => pack(Object.fromEntries(list(count).subarray(1).entries()));
    expect(frameFault(list(9), 10)).toBeNull();
    expect(frameFault(list(10), 10)).toBe('the frame holds more than 10 values (--body-values)');
    expect(frameFault(map(2), 11)).toBeNull();
    expect(frameFault(map(2), 10)).toMatch(/more than 10/);
    expect(frameFault(Uint8Array.from([0xdf, 0xff, 0xff, 0xff, 0xff, 0xc1]))).toMatch(/more than 131072/);
    const nested = pack(new Array(8000).fill(new Array(16).fill([])));
    expect(frameFault(nested, 8001 + 8000 * 16)).toBeNull();
    expect(frameFault(nested, 8000 + 8000 * 16)).toMatch(/more than/);
    const { ok, ...rest } = decodeClientFrame(
      pack({ type: 'session.append', session: 1, tokens: new Array(5000).fill(3) }),
      5000,
    );
    expect([ok, rest]).toEqual([
      false,
      expect.objectContaining({ fault: expect.objectContaining({ code: 'malformed_frame' }) }),
    ]);
  });

  test('nesting has a bound, and bytes after the message are refused', () => {
    const nested = (depth: number) => Uint8Array.from([...new Array(depth).fill(0x91), 0x01]);
    expect(frameFault(nested(FRAME_DEPTH_MAX))).toBeNull();
    expect(frameFault(nested(FRAME_DEPTH_MAX + 1))).toMatch(/deeper/);
    expect(frameFault(nested(100_000))).toMatch(/deeper/);
    expect(frameFault(Uint8Array.from([0x01, 0x02]))).toMatch(/after the end/);
  });

  test('a frame is read where it lies in a larger buffer', () => {
    const frame = pack({ type: 'ping', nonce: 5 });
    const larger = new Uint8Array(frame.length + 20).fill(0xc1);
    larger.set(frame, 10);
    const decoded = decodeClientFrame(larger.subarray(10, 10 + frame.length));
    expect(decoded).toEqual({ ok: true, message: { type: 'ping', nonce: 5 } });
  });
});

describe('what a server sends', () => {
  const tokens: TokensFrame = {
    type: 'tokens',
    session: 1,
    generation: 2,
    index: 40,
    timeUs: 123_456_789,
    tokens: [17, 4242],
    text: ' return',
    logprobs: null,
  };

  test('a token frame is an array by position, with and without logprobs and reasoning', () => {
    expect(decodeServerFrame(encodeServerMessage(tokens))).toEqual(tokens);
    const logprobs = [
      [-0.5, [17, 3], [-0.5, -1.25]],
      [-2, [], []],
    ] as const;
    expect(decodeServerFrame(encodeServerMessage({ ...tokens, logprobs }))).toEqual({ ...tokens, logprobs });
    expect(encodeServerMessage(tokens).length).toBeLessThan(26);
    for (const more of [{ reasoning: 'hm' }, { reasoning: 'hm', logprobs }])
      expect(decodeServerFrame(encodeServerMessage({ ...tokens, ...more }))).toEqual({ ...tokens, ...more });
  });

  test('a reader skips what later versions may add: types, kinds of arrays, further elements, fields', () => {
    expect(decodeServerFrame(pack({ type: 'session.bent', session: 1 }))).toBeNull();
    expect(decodeServerFrame(pack([2, 1, 2, 3]))).toBeNull();
    const now = [1, 1, 2, 40, 123_456_789, [17, 4242], ' return', null];
    expect(decodeServerFrame(pack([...now, null, 'later']))).toEqual(tokens);
    const pong: ServerMessage = { type: 'pong', timeUs: 5 };
    expect(decodeServerFrame(pack({ ...pong, later: 1 }))).toMatchObject(pong);
  });

  test('a broken frame is a ProtocolError', () => {
    for (const bytes of [[0xc1], [0x92, 1], [], [0x93, 1, 1, 1], [0xa1, 0x61]]) {
      expect(() => decodeServerFrame(Uint8Array.from(bytes))).toThrow('the server sent');
    }
  });
});
