// The real Claude Code, unmodified, with the settings that `sparklane claude` writes: an answer, a tool round trip, an
// edit of a file, a kill in mid-stream, a key, and the embedded model itself.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ClaudeHome, claudeMissing } from './claude-home.ts';
import { startEmbeddedServer } from './embedded-server.ts';
import { call } from './scripted-calls.ts';
import { type ScriptedServer, type ScriptedServerOptions, startScriptedServer } from './scripted-server.ts';

if (claudeMissing)
  console.log('skipped: @anthropic-ai/claude-code is not installed here; make test-clients installs it');

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function scripted(options: ScriptedServerOptions): Promise<ScriptedServer> {
  const server = await startScriptedServer(options);
  open.push({ close: () => server.stop() });
  return server;
}

function homeFor(server: ScriptedServer, apiKey: string | null = null): ClaudeHome {
  const home = new ClaudeHome(server.url, { apiKey });
  open.push({ close: async () => home.remove() });
  return home;
}

function resultCount(prompt: string): number {
  return prompt.split('<tool_response>').length - 1;
}

describe.skipIf(claudeMissing)('claude -p', () => {
  test('shows an answer as it comes', async () => {
    const server = await scripted({ say: () => 'Hello from here.' });
    const run = await homeFor(server).print(['Say hello.']);
    expect([run.code, run.result]).toEqual([0, 'Hello from here.']);
    expect(run.lines.map(({ type }) => type)).toContain('stream_event');
    expect(server.source.fault).toBeNull();
  });

  test('runs a command and reads what it printed, with the prompt of the first turn computed', async () => {
    const server = await scripted({
      say: (prompt) =>
        resultCount(prompt) === 0
          ? `Let me see.\n${call('Bash', { command: 'echo from-$((40+2))', description: 'Add' })}`
          : 'It printed 42.',
    });
    const run = await homeFor(server).print(['What does it print?']);
    expect([run.code, run.result]).toEqual([0, 'It printed 42.']);
    expect(server.prompts.at(-1)).toContain('from-42');
    const { usage } = run.lines.at(-1) as { usage: Readonly<Record<string, number>> };
    // Sums of both turns: the first one's prompt is new once, and found whole by the second but for its last block.
    expect(usage['cache_read_input_tokens']!).toBeGreaterThan(0.9 * usage['input_tokens']!);
    expect(server.logLines.filter((line) => line.includes('"message":"answer"'))).toHaveLength(
      server.prompts.length,
    );
  });

  test('reads a file and edits it', async () => {
    let file = '';
    const server = await scripted({
      say: (prompt) =>
        [
          call('Read', { file_path: file }),
          call('Edit', { file_path: file, old_string: 'hello', new_string: 'good morning' }),
        ][resultCount(prompt)] ?? 'Done.',
    });
    const home = homeFor(server);
    file = join(home.work, 'greeting.txt');
    writeFileSync(file, 'hello\n');
    const run = await home.print(['Be more formal.']);
    expect([run.code, run.result]).toEqual([0, 'Done.']);
    expect(readFileSync(file, 'utf8')).toBe('good morning\n');
  });

  test('runs two calls of one answer', async () => {
    const server = await scripted({
      say: (prompt) =>
        resultCount(prompt) === 0
          ? `${call('Bash', { command: 'echo one' })}\n${call('Bash', { command: 'echo two' })}`
          : 'Both ran.',
    });
    const run = await homeFor(server).print(['Run both.']);
    expect(run.result).toBe('Both ran.');
    expect(resultCount(server.prompts.at(-1)!)).toBe(2);
  });

  test('killed in mid-stream stops the work', async () => {
    const server = await scripted({ tokenMs: 5, say: () => 'A long story. '.repeat(500) });
    const killed = await homeFor(server).print(['Tell a story'], ({ type, event }, kill) => {
      const { type: kind } = (event ?? {}) as { readonly type?: string };
      if (type === 'stream_event' && kind === 'content_block_delta') kill();
    });
    expect(killed.code).not.toBe(0);
    await expect.poll(() => server.engine.load.runningCount, { timeout: 60_000 }).toBe(0);
  });

  test('brings the key that its settings ask for', async () => {
    const apiKey = 'a-key-of-claude';
    const server = await scripted({ say: () => 'Hello.', flags: { apiKeys: [apiKey] } });
    const run = await homeFor(server, apiKey).print(['Hi']);
    expect(run.result).toBe('Hello.');
  });
});

describe.skipIf(claudeMissing)('claude with the embedded model', () => {
  test('understands every event, whatever the model says', async () => {
    const server = await startEmbeddedServer();
    open.push({ close: () => server.stop() });
    const home = new ClaudeHome(server.url, { tools: '' });
    open.push({ close: async () => home.remove() });
    // A small model may babble for ever: what it has said until then must have been understood.
    let limit: NodeJS.Timeout | undefined;
    const args = ['--system-prompt', 'Answer in one word.', 'Say hello.'];
    const run = await home.print(args, (_line, kill) => {
      limit ??= setTimeout(kill, 20_000);
    });
    clearTimeout(limit);
    expect(JSON.stringify(run.lines)).not.toContain('API Error');
    expect(run.lines.map(({ type }) => type)).toContain('stream_event');
  });
});
