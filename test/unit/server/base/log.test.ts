import { expect, test } from 'vitest';
import { createLog, type LogLevel } from '../../../../server/base/log.ts';

function logAt(level: LogLevel) {
  const lines: string[] = [];
  const log = createLog({
    level,
    write: (line) => void lines.push(line),
    epochMs: () => Date.UTC(2026, 10, 20),
  });
  return { log, lines };
}

test('a line is one JSON object with level, time, message and fields', () => {
  const { log, lines } = logAt('info');
  log.info('listening', { port: 8080 });
  expect(lines).toHaveLength(1);
  expect(lines[0]!.endsWith('\n')).toBe(true);
  expect(JSON.parse(lines[0]!)).toEqual({
    level: 'info',
    time: '2026-11-20T00:00:00.000Z',
    port: 8080,
    message: 'listening',
  });
});

test('an error is written with its stack', () => {
  const { log, lines } = logAt('error');
  log.error('failed', { err: new Error('broken') });
  expect(JSON.parse(lines[0]!).err).toMatchObject({
    message: 'broken',
    stack: expect.stringContaining('log.test'),
  });
});

test('less severe lines are left out, all of them when silent', () => {
  const { log, lines } = logAt('warn');
  log.debug('a');
  log.info('b');
  log.warn('c');
  expect(lines).toHaveLength(1);
  const silent = logAt('silent');
  silent.log.error('d');
  expect(silent.lines).toHaveLength(0);
});

test('no name is in a line twice, whatever its fields are called', () => {
  const { log, lines } = logAt('warn');
  const fields: Record<string, unknown> = { message: 'no space left', level: 3, time: 7, lost: 'slots' };
  log.warn('worker replaced', fields);
  const names = [...lines[0]!.matchAll(/"(\w+)":/g)].map(([, name]) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(JSON.parse(lines[0]!)).toMatchObject({
    message: 'worker replaced',
    level: 'warn',
    message_: 'no space left',
    lost: 'slots',
  });
});
