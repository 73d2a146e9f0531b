// The table of docs/faults.md, made of the faults themselves.
import type { Family } from './fault.ts';

export function tableOf(families: readonly Family[]): string {
  const lines = families.flatMap(({ name, faults }) => [
    `| **${name}** | | |`,
    ...faults.map(
      ({ id, does, promise, pace }) => `| \`${id}\`${pace === 'slow' ? ' ·' : ''} | ${does} | ${promise} |`,
    ),
  ]);
  return ['| fault | what is done | what happens |', '|---|---|---|', ...lines].join('\n');
}
