// Grammars in llama.cpp's notation.
import { expect, test } from 'vitest';
import { grammarBounds as bounds } from '../../../../server/grammar/bounds.ts';
import { RegexTable } from '../../../../server/grammar/byte-regex.ts';
import { readGbnf } from '../../../../server/grammar/gbnf-reader.ts';
import { atOnce, Pace } from '../../../../server/grammar/pace.ts';

const read = (text: string) => atOnce(readGbnf(text, { pace: new Pace(new RegexTable()), bounds }));

test('rules go over lines, names may be in capitals, comments are left out', () => {
  const { definitions } = read('# list\nroot ::= Item (", "\n  Item)* |\n  "none"\nItem ::= [a-z]+ # one\n');
  expect([...definitions.keys()]).toEqual(['start', 'r-Item']);
  expect(definitions.get('r-Item')!.body).toMatchObject({
    kind: 'repeat',
    min: 1,
    inner: { kind: 'pattern', source: '[\\u0061-\\u007a]' },
  });
});

test.each([
  ['"\\x41\\u00e9\\n\\""', { kind: 'text', text: 'Aé\n"' }],
  ['[-\\]]', { kind: 'pattern', source: '[\\u002d\\u005d]' }],
  ['[^"\\\\]', { kind: 'pattern', source: '[^\\u0022\\u005c]' }],
  ['"a"{2}', { kind: 'repeat', min: 2, max: 2 }],
  ['"a"{2,}', { kind: 'repeat', min: 2, max: Number.POSITIVE_INFINITY }],
  ['"a"{0,3}', { kind: 'repeat', min: 0, max: 3 }],
  ['.', { kind: 'pattern', source: '[\\s\\S]' }],
])('%s', (text, body) => {
  expect(read(`root ::= ${text}`).definitions.get('start')!.body).toMatchObject(body);
});

test.each([
  ['root ::= (', 'line 1'],
  ['root ::= "a"\nother ::= ]', 'line 2'],
  ['root ::= "a"{3,1}', 'line 1'],
  ['"a"', 'line 1'],
  [`root ::= ${'('.repeat(100)}"a"${')'.repeat(100)}`, 'line 1'],
])('%s is refused with its line', (text, line) => {
  expect(() => read(text)).toThrow(line);
});
