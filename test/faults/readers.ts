// Readers that stop: their answers pause once the bytes they have not read reach the bound; nobody else waits for them.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { platform } from 'node:process';
import { pack, unpack } from 'msgpackr';
import { expect } from 'vitest';
import type { WebSocket } from 'ws';
import { type Arena, BOB, until } from './arena.ts';
import type { Family } from './fault.ts';

const PAUSED = 'sparklane_sequences{state="paused"}';
const TOKENS = 200; // of each answer whose socket is cut
const SESSIONS = 8;

// More than the kernel keeps for a reader: eight answers with twenty alternatives for each token.
const LOUD = {
  n: 8,
  max_tokens: 1200,
  logprobs: true,
  top_logprobs: 20,
  seed: 3,
  ignore_eos: true,
  stream: true,
};

export const readers: Family = {
  name: 'Readers that stop',
  flags: { idleTimeoutSeconds: 8 },
  faults: [
    {
      id: 'readers/sse',
      does: 'a caller of eight loud streams stops reading, and reads on later',
      promise: 'all eight pause; when it reads on it gets every byte up to `[DONE]`',
      pace: 'slow',
      inject: async (arena) => {
        const { socket, text } = await loudStream(arena);
        socket.pause();
        await until(async () => (await arena.metric(PAUSED)) === 8);
        expect(text()).not.toContain('[DONE]');
        socket.resume();
        await until(() => text().includes('[DONE]'));
        expect(text().split('"finish_reason":"length"').length - 1).toBe(8);
        return 1;
      },
    },
    {
      id: 'readers/sse-cut',
      does: 'a caller of eight loud streams reads no more, ever',
      promise:
        'all eight pause; after about 10 s in which it takes nothing the connection is closed and its seats are free',
      pace: 'slow',
      inject: async (arena) => {
        const { socket, text } = await loudStream(arena);
        socket.pause();
        await until(async () => (await arena.metric(PAUSED)) === 8);
        await until(async () => (await arena.metric(PAUSED)) === 0);
        socket.resume();
        await once(socket, 'close');
        expect(text()).not.toContain('[DONE]');
        return 1;
      },
    },
    {
      id: 'readers/native',
      does: 'a native socket of eight sessions is read no more, and gives no pong',
      promise: `the socket is cut within \`--idle-timeout-seconds\` (here 8); the sessions stay, and another socket that resumes them gets each answer whole`,
      pace: 'slow',
      inject: async (arena) => {
        const socket = await arena.greeted();
        const ids = await opened(socket);
        for (let session = 1; session <= SESSIONS; session++) {
          socket.send(
            pack({
              type: 'generate',
              session,
              generation: 1,
              maxTokens: TOKENS,
              ignoreStopTokens: true,
              seed: 3,
            }),
          );
        }
        socket.pause();
        const client = await arena.native();
        await until(async () => {
          const attached = (await client.sessions()).filter((session) => session.attached);
          return attached.length === 0;
        });
        for (const id of ids) {
          const answer = client.resume(id, { generation: 1, index: 0 }).continued(1);
          expect(await answer.end).toMatchObject({ reason: 'length', usage: { outputTokens: TOKENS } });
        }
        client.close();
        return SESSIONS;
      },
    },
    {
      id: 'readers/responses-socket',
      does: 'a Responses socket is read no more in the middle of an answer, and gives no pong (Linux)',
      promise: 'the socket is cut within `--idle-timeout-seconds` (here 8), and its answer ends with it',
      pace: 'slow',
      inject: async (arena) => {
        const socket = await arena.webSocket('/v1/responses');
        const { localPort } = (socket as unknown as { readonly _socket: Socket })._socket; // ws does not tell it
        const create = {
          type: 'response.create',
          input: 'Speak up.',
          ignore_eos: true,
          max_output_tokens: 4000,
        };
        socket.send(JSON.stringify(create));
        await once(socket, 'message');
        socket.pause();
        expect(isEstablished(arena.port, localPort!)).not.toBe(false);
        await until(() => isEstablished(arena.port, localPort!) !== true);
        return 1;
      },
    },
  ],
};

/** The connection as the serving side has it; null where the system does not tell. */
function isEstablished(port: number, remotePort: number): boolean | null {
  if (platform !== 'linux') return null;
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(4, '0');
  const row = new RegExp(`:${hex(port)} \\S+:${hex(remotePort)} 01 `); // local, remote, ESTABLISHED
  return row.test(readFileSync('/proc/net/tcp', 'utf8'));
}

/** Sessions 1 to SESSIONS on this socket, each with a text; answers their ids. */
async function opened(socket: WebSocket): Promise<readonly string[]> {
  const ids: string[] = [];
  const all = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer) => {
      const { type, id } = unpack(data) as { type?: string; id?: string };
      if (type === 'session.opened' && ids.push(id!) === SESSIONS) resolve();
    });
  });
  for (let session = 1; session <= SESSIONS; session++) {
    socket.send(pack({ type: 'session.open', session, request: 2 * session }));
    socket.send(pack({ type: 'session.append', session, request: 2 * session + 1, text: 'Speak up.' }));
  }
  await all;
  return ids;
}

async function loudStream(arena: Arena): Promise<{ socket: Socket; text: () => string }> {
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'Speak up.' }], ...LOUD });
  const socket = await arena.socket();
  let text = '';
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${BOB}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await once(socket, 'data');
  return { socket, text: () => text };
}
