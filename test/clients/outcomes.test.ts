// The real Codex CLI's traffic as the record of tasks reads it, over both transports: commands with exit codes, checks,
// a patch that applies, and that all of one session is one task.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { summariseTask } from '../../server/outcomes/task-summary.ts';
import { memoryStore } from '../outcome-records.ts';
import { temporaryDirectory } from '../temporary-directory.ts';
import { CodexHome, codexMissing } from './codex-home.ts';
import { call, PATCH } from './scripted-calls.ts';
import { startScriptedServer } from './scripted-server.ts';

const directory = temporaryDirectory();
const lanesPath = join(directory, 'lanes.json');
const price = { inputPerMillion: 1, outputPerMillion: 2 };
writeFileSync(
  lanesPath,
  JSON.stringify({ lanes: { spark: { model: 'local', price }, reliability: { model: 'local', price } } }),
);

if (codexMissing) console.log('skipped: @openai/codex is not installed here; make test-clients installs it');

const open: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

describe.skipIf(codexMissing).each([
  ['SSE', false],
  ['WebSocket', true],
])('codex exec over %s', (_name, webSockets) => {
  test('what it did is a task: a check that failed, a patch, a check that holds, in order and with times', async () => {
    const answers = [
      call('exec_command', { cmd: 'sleep 0.4; npm test >/dev/null 2>&1; exit 3' }),
      call('apply_patch', { input: PATCH }),
      call('exec_command', { cmd: 'cat greeting.txt' }),
      'Done.',
    ];
    const store = memoryStore();
    const server = await startScriptedServer({
      say: (prompt) => answers[prompt.split('<tool_response>').length - 1] ?? 'Done.',
      record: { lanesPath, store },
    });
    open.push({ close: () => server.stop() });
    const home = new CodexHome(server.url, { webSockets });
    open.push({ close: async () => home.remove() });
    writeFileSync(join(home.work, 'greeting.txt'), 'hello\n');
    const run = await home.exec(['Be more formal in greeting.txt.']);
    expect([run.code, run.messages]).toEqual([0, ['Done.']]);
    await expect
      .poll(() => [...store.readAll(0)].flatMap(({ events }) => events).length)
      .toBeGreaterThanOrEqual(4);
    await expect.poll(() => [...store.readAll(0)][0]!.requests.at(-1)!.end).not.toBeNull();
    const records = [...store.readAll(0)];
    expect(records).toHaveLength(1);
    const [{ events, requests }] = records as [(typeof records)[0]];
    expect(requests).toHaveLength(4);
    const seen = events.map(({ kind, tool, exitCode, ok }) => [kind, tool, exitCode, ok]);
    expect(seen).toEqual([
      ['verified', 'exec_command', 3, false],
      ['diff_proposed', null, null, true],
      ['tool_run', 'apply_patch', 0, true],
      ['tool_run', 'exec_command', 0, true],
    ]);
    const { phaseMs, firstDiffMs, cost } = summariseTask(records[0]!);
    expect(phaseMs.verify).toBeGreaterThanOrEqual(400); // the sleep
    expect(phaseMs.tools).toBeGreaterThan(0);
    expect(phaseMs.model).toBeGreaterThan(0);
    expect(firstDiffMs).toBeGreaterThan(400);
    expect(cost).toBeGreaterThan(0);
    expect(JSON.stringify(records)).not.toMatch(/greeting|formal/);
  });
});
