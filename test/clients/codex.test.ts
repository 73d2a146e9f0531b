// The real Codex CLI, unmodified, with the config that `sparklane codex` writes, over both transports: a shell round trip,
// a patch that changes a file, parallel calls, a kill in mid-stream, a resumed session, and the embedded model itself.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { CodexHome, codexMissing } from './codex-home.ts';
import { startEmbeddedServer } from './embedded-server.ts';
import { call, PATCH } from './scripted-calls.ts';
import { type ScriptedServer, type ScriptedServerOptions, startScriptedServer } from './scripted-server.ts';

if (codexMissing) console.log('skipped: @openai/codex is not installed here; make test-clients installs it');

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function scripted(options: ScriptedServerOptions): Promise<ScriptedServer> {
  const server = await startScriptedServer(options);
  open.push({ close: () => server.stop() });
  return server;
}

function homeFor(server: ScriptedServer, webSockets: boolean): CodexHome {
  const home = new CodexHome(server.url, { webSockets });
  open.push({ close: async () => home.remove() });
  return home;
}

/** What the conversation holds since the last thing that its user asked. */
function resultCount(prompt: string): number {
  return prompt.split('<tool_response>').length - 1;
}

describe.skipIf(codexMissing).each([
  ['SSE', false],
  ['WebSocket', true],
])('codex exec over %s', (_name, webSockets) => {
  test('runs a command and reads what it printed', async () => {
    const server = await scripted({
      say: (prompt) =>
        resultCount(prompt) === 0 ? call('exec_command', { cmd: 'echo from-$((40+2))' }) : 'It printed 42.',
    });
    const run = await homeFor(server, webSockets).exec(['What does it print?']);
    expect([run.code, run.messages]).toEqual([0, ['It printed 42.']]);
    expect(server.prompts.at(-1)).toContain('from-42');
    expect(server.source.fault).toBeNull();
  });

  test('changes a file with apply_patch, whose grammar the answer follows', async () => {
    const server = await scripted({
      say: (prompt) => (resultCount(prompt) === 0 ? call('apply_patch', { input: PATCH }) : 'Done.'),
    });
    const home = homeFor(server, webSockets);
    const file = join(home.work, 'greeting.txt');
    writeFileSync(file, 'hello\n');
    const run = await home.exec(['Be more formal.']);
    expect([run.code, run.messages]).toEqual([0, ['Done.']]);
    expect(readFileSync(file, 'utf8')).toBe('good morning\n');
  });

  test('runs two calls of one answer', async () => {
    const server = await scripted({
      say: (prompt) =>
        resultCount(prompt) === 0
          ? `${call('exec_command', { cmd: 'echo one' })}\n${call('exec_command', { cmd: 'echo two' })}`
          : 'Both ran.',
    });
    const run = await homeFor(server, webSockets).exec(['Run both.']);
    expect(run.messages).toEqual(['Both ran.']);
    expect(resultCount(server.prompts.at(-1)!)).toBe(2);
  });

  test('killed in mid-stream stops the work, and a resumed session finds its prefix computed', async () => {
    const server = await scripted({
      tokenMs: 5,
      say: (prompt) => {
        if (prompt.includes('Go on')) return 'Here I am again.';
        return resultCount(prompt) === 0
          ? call('exec_command', { cmd: 'true' })
          : 'A long story. '.repeat(500);
      },
    });
    const home = homeFor(server, webSockets);
    const killed = await home.exec(['Tell a story'], (event, kill) => {
      const { type } = (event['item'] ?? {}) as { type?: string };
      if (event['type'] === 'item.completed' && type === 'command_execution') setTimeout(kill, 300);
    });
    expect(killed.code).not.toBe(0);
    await expect.poll(() => server.engine.load.runningCount, { timeout: 60_000 }).toBe(0);
    const resumed = await home.exec(['resume', '--last', 'Go on']);
    expect(resumed.messages).toEqual(['Here I am again.']);
    const { usage } = resumed.events.at(-1) as { usage: Record<string, number> };
    expect(usage['cached_input_tokens']! / usage['input_tokens']!).toBeGreaterThan(0.5);
  });
});

describe.skipIf(codexMissing)('codex', () => {
  test('falls back to SSE where WebSockets are switched off', async () => {
    const server = await scripted({ say: () => 'Hello.', flags: { responsesWebSocket: 'off' } });
    const run = await homeFor(server, true).exec(['Hi']);
    expect(run.messages).toEqual(['Hello.']);
  });
});

describe.skipIf(codexMissing).each(['ollama', 'lmstudio'])('codex --oss with %s', (provider) => {
  const local = ['--oss', '--local-provider', provider];

  test('finds the model and runs a command', async () => {
    const server = await scripted({
      say: (prompt) =>
        resultCount(prompt) === 0 ? call('exec_command', { cmd: 'echo from-$((40+2))' }) : 'It printed 42.',
    });
    const run = await homeFor(server, false).exec([...local, '-m', 'spark-nano', 'What does it print?']);
    expect([run.code, run.messages]).toEqual([0, ['It printed 42.']]);
    expect(server.prompts.at(-1)).toContain('from-42');
  });
});

describe.skipIf(codexMissing)('codex --oss with ollama', () => {
  test('is told how to get a model that is not here', async () => {
    const server = await scripted({ say: () => 'Hello.' });
    const asked = ['--oss', '--local-provider', 'ollama', '-m', 'acme/other', 'Hi'];
    const run = await homeFor(server, false).exec(asked);
    expect(run.code).not.toBe(0);
    expect(run.errors).toContain('sparklane pull acme/other');
  });
});

describe.skipIf(codexMissing)('codex with a key', () => {
  test('reads the catalogue that the server serves', async () => {
    const apiKey = 'a-key-of-codex';
    const server = await scripted({ say: () => 'Hello.', flags: { apiKeys: [apiKey] } });
    const home = new CodexHome(server.url, { webSockets: true, catalogUrl: true, apiKey });
    open.push({ close: async () => home.remove() });
    const run = await home.exec(['Hi']);
    expect(run.messages).toEqual(['Hello.']);
    expect(server.logLines.join('')).toContain('"route":"/v1/models"');
    expect(server.prompts[0]).toContain('You are Codex, a coding agent in the user’s terminal'); // the catalogue's words
  });
});

describe.skipIf(codexMissing)('codex with the embedded model', () => {
  test.each([false, true])(
    'understands every event (WebSocket: %s), whatever the model says',
    async (webSockets) => {
      const server = await startEmbeddedServer();
      open.push({ close: () => server.stop() });
      const home = new CodexHome(server.url, { webSockets });
      open.push({ close: async () => home.remove() });
      // A small model may call tools or babble for ever: what it has done until then must have been understood.
      let limit: NodeJS.Timeout | undefined;
      const run = await home.exec(['Say hello.'], (event, kill) => {
        if (event['type'] === 'turn.started') limit = setTimeout(kill, 20_000);
      });
      clearTimeout(limit);
      const types = run.events.map(({ type }) => type);
      expect(types).toContain('turn.started');
      // A quick machine babbles to the end of the context within the limit: Codex then says so, having understood that too.
      const failures = run.events
        .filter(({ type }) => type === 'turn.failed')
        .map((event) => JSON.stringify(event));
      for (const failure of failures) expect(failure).toContain('reason: max_output_tokens');
    },
  );
});
