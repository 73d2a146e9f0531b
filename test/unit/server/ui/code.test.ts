// Code in answers: its colours, where it belongs in a file, and which addresses may be followed.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changeOf } from '../../../../server/ui/page/file-diff.ts';
import { isHarmless } from '../../../../server/ui/page/harmless-link.ts';
import { highlight } from '../../../../server/ui/page/highlight.ts';

const kinds = (code: string, language: string) =>
  highlight(code, language)
    .filter(({ kind }) => kind !== 'plain')
    .map(({ kind, text }) => `${kind} ${text.trim()}`);

describe('colours', () => {
  test('of a few languages', () => {
    expect(kinds('const a = "x\\"y"; // end', 'ts')).toEqual([
      'keyword const',
      'string "x\\"y"',
      'comment // end',
    ]);
    expect(kinds('def f(x):\n  """doc"""\n  return Foo(1.5)', 'python')).toEqual([
      'keyword def',
      'call f',
      'string """doc"""',
      'keyword return',
      'type Foo',
      'number 1.5',
    ]);
    expect(kinds('SELECT a FROM t -- all', 'sql')).toEqual([
      'keyword SELECT',
      'keyword FROM',
      'comment -- all',
    ]);
    expect(kinds('<b>x</b><!-- c -->', 'html')).toEqual(['tag <b>', 'tag </b>', 'comment <!-- c -->']);
    expect(kinds('let a', 'no-language')).toEqual([]);
  });

  test('never change the text, however it is cut off', () => {
    const languages = fc.constantFrom('ts', 'py', 'rust', 'sh', 'sql', 'json', 'css', 'html', 'x');
    const code = fc.array(
      fc.constantFrom('"', "'", '`', '\\', '/*', '*/', '//', '#', '\n', 'a', 'if', '<', '1', '"""'),
    );
    fc.assert(
      fc.property(languages, code, (language, parts) => {
        const text = parts.join('');
        expect(
          highlight(text, language)
            .map((token) => token.text)
            .join(''),
        ).toBe(text);
      }),
    );
  });
});

const file = `import a from 'a';

function one() {
  return 1;
}

function two() {
  return 2;
}
`;

describe('a comparison', () => {
  test('a function of the file takes its place', () => {
    const change = changeOf(file, 'function one() {\n  // better\n  return 11;\n}');
    expect(change.result).toBe(file.replace('  return 1;', '  // better\n  return 11;'));
    expect([change.added, change.removed]).toEqual([2, 1]);
    const out = change.lines.find(({ kind }) => kind === 'out');
    expect(out).toEqual({ kind: 'out', text: '  return 1;', before: 4, after: null });
  });

  test('a whole new file replaces all of it, and ends as files do', () => {
    const change = changeOf(file, file.replaceAll('1', '11').trimEnd());
    expect(change.result).toBe(file.replaceAll('1', '11'));
    expect(changeOf('', 'a').result).toBe('a\n');
  });

  test('the same again changes nothing', () => {
    expect(changeOf(file, file)).toMatchObject({ added: 0, removed: 0, result: file });
    expect(changeOf(file, 'function two() {\n  return 2;\n}\n')).toMatchObject({ added: 0, removed: 0 });
  });

  test('its lines are the file before and the file after', () => {
    const text = fc.array(fc.constantFrom('a', '  b', '}', '', 'f {')).map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(text, text, (before, after) => {
        const { lines, result } = changeOf(before, after);
        const side = (kind: string) => lines.filter((line) => line.kind !== kind).map((line) => line.text);
        const tidy = (whole: string) => whole.replace(/\n$/, '');
        expect(side('in').join('\n')).toBe(tidy(before));
        expect(side('out').join('\n')).toBe(tidy(result));
      }),
    );
  });
});

test('only addresses that leave the page are followed', () => {
  for (const href of ['https://a.example', 'HTTP://a.example/x', 'mailto:a@b.example'])
    expect([href, isHarmless(href)]).toEqual([href, true]);
  for (const href of [
    'javascript:alert(1)',
    ' java\nscript:1',
    'data:text/html,x',
    '/v1/models',
    '//a',
    'file:///x',
  ])
    expect([href, isHarmless(href)]).toEqual([href, false]);
});
