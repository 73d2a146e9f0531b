// Whatever bytes arrive: a typed fault or a checked message, never an exception, never a dead connection for others.
import fc from 'fast-check';
import { pack } from 'msgpackr';
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../kernels/clock.ts';
import { ERRORS } from '../../../server/base/errors.ts';
import { frameFault } from '../../../server/client/frame-guard.ts';
import { clientSchemas } from '../../../server/client/messages.ts';
import { decodeClientFrame, decodeServerFrame } from '../../../server/client/protocol.ts';
import { countingTimers, NativeServer } from '../../native-world.ts';
import { ScriptedEngine } from '../../scripted-engine.ts';

const type = fc.oneof(fc.constantFrom(...Object.keys(clientSchemas)), fc.string());
const shaped = fc
  .record({ type, session: fc.nat({ max: 3 }), generation: fc.nat({ max: 5 }) }, { requiredKeys: ['type'] })
  .chain((base) =>
    fc
      .dictionary(
        fc.constantFrom(
          'text',
          'tokens',
          'messages',
          'stop',
          'maxTokens',
          'version',
          'sampling',
          'keep',
          'nonce',
          'x',
        ),
        fc.anything({ maxDepth: 3, withNullPrototype: false }),
      )
      .map((more) => ({ ...more, ...base })),
  );

/** Random bytes; messages with random fields; such messages with some bytes changed, cut off or added. */
const frame = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  shaped.map(packed),
  fc
    .tuple(shaped.map(packed), fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }), fc.nat())
    .map(([bytes, changes, cut]) => {
      const changed = Uint8Array.from(bytes);
      for (const [at, value] of changes) if (changed.length > 0) changed[at % changed.length] = value;
      return cut % 3 === 0 ? changed.subarray(0, cut % (changed.length + 1)) : changed;
    }),
);

function packed(value: unknown): Uint8Array {
  try {
    return Uint8Array.from(pack(value));
  } catch {
    return Uint8Array.of(0xc0); // fast-check also makes what MessagePack cannot say
  }
}

test('any bytes decode to a message or to a typed fault', () => {
  fc.assert(
    fc.property(frame, (bytes) => {
      const decoded = decodeClientFrame(bytes);
      if (decoded.ok) expect(Object.hasOwn(clientSchemas, decoded.message.type)).toBe(true);
      else expect(Object.hasOwn(ERRORS, decoded.fault.code)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test('what the guard lets through is read, or refused for a text or a key that is none', () => {
  fc.assert(
    fc.property(frame, (bytes) => {
      if (frameFault(bytes) !== null) return;
      const decoded = decodeClientFrame(bytes);
      if (!decoded.ok && decoded.fault.code === 'malformed_frame') {
        expect(decoded.fault.message).toMatch(/type|^it is not UTF-8$|^a key is no text$/); // plain data, no message
      }
    }),
    { numRuns: 3000 },
  );
});

test('a client never crashes on a server’s bytes except with a ProtocolError', () => {
  fc.assert(
    fc.property(frame, (bytes) => {
      try {
        decodeServerFrame(bytes);
      } catch (error) {
        expect(error).toMatchObject({ name: 'ProtocolError' });
      }
    }),
    { numRuns: 2000 },
  );
});

test('a connection fed with anything stays up or closes with its reason, and leaves nothing behind', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(frame, fc.boolean()), { maxLength: 30 }), (frames) => {
      const clock = new VirtualClock();
      const timers = countingTimers(clock);
      const engine = new ScriptedEngine({ clock, script: () => ({ tokens: [65, 66, 67] }) });
      const server = new NativeServer({ clock, engine });
      const [socket, neighbour] = [server.socket(), server.socket()];
      for (const one of [socket, neighbour])
        one.transmit(pack({ type: 'hello', version: { min: 1, max: 1 } }));
      for (const [bytes, wait] of frames) {
        socket.transmit(bytes);
        if (wait) clock.run(clock.nowMs() + 1);
      }
      neighbour.transmit(pack({ type: 'ping' }));
      clock.run(clock.nowMs() + 50);
      expect(neighbour.received.map((bytes) => decodeServerFrame(bytes)!.type)).toEqual(['hello', 'pong']);
      for (const bytes of socket.received) expect(decodeServerFrame(bytes)).not.toBeNull();
      if (socket.closedWith !== null) expect(socket.closedWith.code).toBeGreaterThanOrEqual(1001);
      socket.disconnect();
      neighbour.disconnect();
      clock.run(clock.nowMs() + 100);
      clock.run(); // sessions outlive their socket until their idle time is over
      expect(engine.activeCount).toBe(0);
      expect(server.sessions.count).toBe(0);
      expect(timers.pending()).toBe(0);
    }),
    { numRuns: 200 },
  );
});
