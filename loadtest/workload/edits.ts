// Edits of real code: HumanEvalPack's human-written bugs, the broken function put among others of the same language
// until the file has the wanted length; and NoFunEval's slow programs, the contrast set, where copying helps little.
// The answer is asked for as a rewritten file, a unified diff or search/replace blocks.
import { Random } from '../../kernels/random.ts';
import { FlagError } from '../base/flag-error.ts';
import { jsonLines, type Row, readTrace } from './trace-file.ts';
import { cycled, joinSeeds, type PlannedSession, type Workload } from './turn.ts';

export type EditFormat = 'rewrite' | 'diff' | 'search-replace';

export interface EditOptions {
  readonly path: string;
  readonly set: 'humanevalpack' | 'nofuneval';
  readonly format: EditFormat;
  readonly fileTokens: readonly number[]; // wanted file lengths, taken in turn; [] = the text as it is
  readonly countTokens: (text: string) => number;
  readonly seed: number;
  readonly scale: number; // divides the wanted lengths
  readonly contextTokens: number;
}

/** One edit: what is there, and what to do with it. */
interface Edit {
  readonly name: string;
  readonly original: string;
  readonly instruction: string;
}

const OVERHEAD_TOKENS = 160; // instruction and format, an upper estimate
const FORMATS: Readonly<Record<EditFormat, string>> = {
  rewrite: 'Answer with the whole new file and nothing else.',
  diff: 'Answer with a unified diff (--- a/file, +++ b/file, @@ hunks with context lines) and nothing else.',
  'search-replace':
    'Answer with blocks of the form\n<<<<<<< SEARCH\n(lines of the file)\n=======\n(new lines)\n>>>>>>> REPLACE\nand nothing else.',
};

/** Throws FlagError or TraceError. */
export function edits(options: EditOptions): Workload {
  const file = readTrace(options.path);
  const problems = [...jsonLines(file)].map(({ row }) =>
    options.set === 'humanevalpack' ? bugOf(row) : slowProgramOf(row),
  );
  const sizes = options.fileTokens.map((tokens) => Math.max(1, Math.round(tokens / options.scale)));
  const plan = function* (pass: number): Generator<PlannedSession> {
    const random = new Random(joinSeeds(options.seed, pass));
    for (const [at, problem] of problems.entries()) {
      const size = sizes[at % Math.max(1, sizes.length)];
      const edit = size === undefined ? problem : padded(problem, size, { problems, random, options });
      const session = sessionOf(edit, at, options);
      if (session !== null) yield session;
    }
  };
  const fittingCount = [...plan(0)].length;
  if (fittingCount === 0) {
    throw new FlagError(
      'context',
      String(options.contextTokens),
      'room for one edit: file, answer and instruction',
    );
  }
  return {
    name: options.set === 'humanevalpack' ? 'edits' : 'edits-contrast',
    source: { kind: 'trace', name: file.name, sha256: file.sha256 },
    sessionCount: fittingCount,
    scale: options.scale,
    notes: [
      `answers asked for as ${options.format}`,
      sizes.length === 0 ? 'files as they are' : `files padded to ${sizes.join(', ')} tokens in turn`,
      `${problems.length - fittingCount} of ${problems.length} edits do not fit into ${options.contextTokens} tokens`,
    ],
    sessions: () => cycled(plan),
  };
}

function bugOf(row: Row): Edit {
  const entry = row.text('entry_point');
  return {
    name: row.text('task_id'),
    original: `${row.text('prompt').trimEnd()}\n${row.text('buggy_solution').trimEnd()}\n`,
    instruction: `Fix the bug in ${entry}.`,
  };
}

function slowProgramOf(row: Row): Edit {
  return {
    name: `${row.text('problem_id')}/${row.text('submission_id_v0')}`,
    original: `${row.text('source_code').trimEnd()}\n`,
    instruction: 'Rewrite the program so that it runs faster.',
  };
}

/** The target at a random place among other functions, until the file has about `size` tokens. */
function padded(
  target: Edit,
  size: number,
  parts: { problems: readonly Edit[]; random: Random; options: EditOptions },
): Edit {
  const { problems, random, options } = parts;
  const pieces = [target.original];
  let tokenCount = options.countTokens(target.original);
  for (let tries = 0; tokenCount < size && tries < problems.length; tries++) {
    const other = problems[random.integer(0, problems.length - 1)]!;
    if (pieces.includes(other.original)) continue; // a hunk must fit one place only
    const added = options.countTokens(other.original);
    if (tokenCount + added > size * 1.1) continue;
    if (random.next() < 0.5) pieces.push(other.original);
    else pieces.unshift(other.original);
    tokenCount += added;
  }
  return { ...target, original: pieces.join('\n') };
}

function sessionOf(edit: Edit, index: number, options: EditOptions): PlannedSession | null {
  const fileTokens = options.countTokens(edit.original);
  const maxTokens =
    options.format === 'rewrite' ? Math.ceil(fileTokens * 1.15) + 16 : Math.max(64, fileTokens);
  const promptTokens = fileTokens + OVERHEAD_TOKENS;
  if (promptTokens + maxTokens > options.contextTokens) return null;
  const text = `${edit.instruction} ${FORMATS[options.format]}\n\n${edit.original}`;
  return {
    index,
    name: edit.name,
    arrivalMs: 0,
    turns: [
      {
        reset: false,
        items: [{ role: 'user', parts: [{ kind: 'text', text }] }],
        gapMs: 0,
        gap: 'none',
        promptTokens,
        idealCachedTokens: 0,
        maxTokens,
        exact: false,
        interruption: null,
        original: edit.original,
      },
    ],
  };
}
