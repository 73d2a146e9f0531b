// Validity and gates as JUnit XML, which CI systems show: one test case each. Pure: a string out.
import { escaped } from '../../show/page-frame.ts';
import type { GateResult } from '../runs/gate.ts';

export interface JunitInput {
  readonly name: string; // what was run
  readonly seconds: number;
  readonly validity: { readonly isVoid: boolean; readonly reasons: readonly string[] } | null; // null: of none
  readonly stopReason: string | null;
  readonly gates: readonly GateResult[];
}

export function junitXml({ name, seconds, validity, stopReason, gates }: JunitInput): string {
  const voided = validity?.isVoid === true ? validity.reasons.join('; ') : null;
  const cases = [
    ...(validity === null ? [] : [testCase('the run is valid', voided)]),
    testCase('the run went to its end', stopReason),
    ...gates.map(({ text, passed, reason }) => testCase(`gate ${text}`, passed ? null : reason)),
  ];
  const failures = cases.filter((text) => text.includes('<failure')).length;
  const counts = `tests="${cases.length}" failures="${failures}" errors="0"`;
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites ${counts}>
<testsuite name="${clean(name)}" ${counts} time="${seconds.toFixed(3)}">
${cases.join('\n')}
</testsuite>
</testsuites>
`;
}

function testCase(name: string, failure: string | null): string {
  const head = `<testcase classname="sparklane.loadtest" name="${clean(name)}"`;
  return failure === null ? `${head}/>` : `${head}><failure message="${clean(failure)}"/></testcase>`;
}

// XML 1.0 has no place for most control characters, however they are written.
function clean(text: string): string {
  return escaped(Array.from(text, (character) => (character < ' ' ? ' ' : character)).join(''));
}
