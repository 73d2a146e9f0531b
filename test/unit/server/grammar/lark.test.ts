import { describe, expect, test } from 'vitest';
import { Random } from '../../../../kernels/random.ts';
import { drawText, openCompiler, refusalOf } from '../../../grammar-rig.ts';

const compiler = openCompiler();

async function constraintOf(definition: string) {
  const { newConstraint } = await compiler.run(compiler.compile({ kind: 'lark', definition }));
  return newConstraint();
}

// What Codex CLI sends with its apply_patch tool.
const applyPatch = `start: begin_patch hunk+ end_patch
begin_patch: "*** Begin Patch" LF
end_patch: "*** End Patch" LF?

hunk: add_hunk | delete_hunk | update_hunk
add_hunk: "*** Add File: " filename LF add_line+
delete_hunk: "*** Delete File: " filename LF
update_hunk: "*** Update File: " filename LF change_move? change?

filename: /(.+)/
add_line: "+" /(.*)/ LF -> line

change_move: "*** Move to: " filename LF
change: (change_context | change_line)+ eof_line?
change_context: ("@@" | "@@ " /(.+)/) LF
change_line: ("+" | "-" | " ") /(.*)/ LF
eof_line: "*** End of File" LF

%import common.LF
`;

describe('apply_patch', () => {
  const lines = [
    '*** Begin Patch',
    '*** Add File: a/b.ts',
    '+const x = "y";',
    '+',
    '*** Update File: c d.py',
    '*** Move to: e.py',
    '@@ class A',
    ' def f():',
    '-  return 1',
    '+  return "ü"',
    '*** End of File',
    '*** Delete File: old',
    '*** End Patch',
  ];

  test('a whole patch is allowed, with and without its last line end', async () => {
    expect(refusalOf(await constraintOf(applyPatch), lines.join('\n'))).toBeNull();
    expect(refusalOf(await constraintOf(applyPatch), `${lines.join('\n')}\n`)).toBeNull();
  });

  test.each(lines.slice(1).filter((line) => !/^[-+ @]|End of File|Move/.test(line)))(
    'without %j in its place it is refused',
    async (line) => {
      const broken = lines.map((other) => (other === line ? `?${line}` : other)).join('\n');
      expect(refusalOf(await constraintOf(applyPatch), broken)).not.toBeNull();
    },
  );

  test('what is drawn under it is a patch', async () => {
    for (let seed = 0; seed < 20; seed++) {
      const draw = drawText(await constraintOf(applyPatch), {
        random: new Random(seed),
        wildCount: 100,
        tokensMax: 150,
      });
      for (const line of draw.text.split('\n').slice(0, -1)) expect(line).toMatch(/^(\*\*\* |@@|[-+ ])/);
    }
  });
});

const arithmetic = `
// left recursion, ignored blanks, priorities and aliases
start: sum
?sum: product
    | sum "+" product   -> add
    | sum "-" product
?product: atom | product "*" atom
?atom.2: NUMBER | "-" atom -> neg | "(" sum ")"
%import common.NUMBER
%import common.WS_INLINE -> BLANK
%ignore BLANK
`;

test.each(['1', '1+2*3', ' 1 - ( 2.5e3 +-4 ) * 5', '((((7))))'])('arithmetic allows %j', async (text) => {
  expect(refusalOf(await constraintOf(arithmetic), text)).toBeNull();
});

test.each(['', '1+', '(1', '1 1', '*2'])('arithmetic refuses %j', async (text) => {
  expect(refusalOf(await constraintOf(arithmetic), text)).not.toBeNull();
});

test('terminals are made of terminals, ranges, flags, counts and options', async () => {
  const grammar = `start: KEYWORD " " HEX~2..3 ["!" | "?"] (", " word){0,2}
KEYWORD: "select"i | /f(rom|OR)/i
HEX: "0".."9" | "a".."f"
word: /[[:a-z]+/ | "\\x41\\u00e9\\n"`;
  for (const text of ['SELECT 0af', 'FroM 12!', 'for ab?, xy, Aé\n']) {
    expect(refusalOf(await constraintOf(grammar), text)).toBeNull();
  }
  for (const text of ['select 0', 'select 0000', 'select 00, a, b, c']) {
    expect(refusalOf(await constraintOf(grammar), text)).not.toBeNull();
  }
});

test.each([
  ['begin: "x"', 'there is no rule "start"'],
  ['start: other', 'line 1: "other" is not defined'],
  ['start: A\nA: "x" B\nB: A', 'contains itself'],
  ['start: A\nA: rule\nrule: "x"', 'line 2: rule "rule" inside a terminal'],
  ['start: a\na: b "x" | "y"\nb: a "z" | "w"', 'left recursion through several rules'],
  ['start: "x" start', 'no finite text matches'],
  ['start: <|special|>', 'unexpected "<"'],
  ['start: /(?=x)/', 'line 1: the pattern /(?=x)/ has look-around'],
  ['%import python.NAME\nstart: NAME', 'line 1: %import python.NAME'],
  ['%declare X\nstart: X', '%declare'],
  ['start: "x', 'line 1: unexpected "'],
  ['start: ("x"', 'expected )'],
  ['start: "x"~5..2', 'out of order'],
  [`start: ${'('.repeat(200)}"x"${')'.repeat(200)}`, 'nested deeper'],
  [`start: "${'x'.repeat(200_000)}"`, 'more than 100000 characters'],
])('%j is refused: %s', async (definition, message) => {
  await expect(constraintOf(definition)).rejects.toThrow(message);
});
