// What guessing ahead brings where people edit: bugs of HumanEval to fix (most of the answer stands in the question) and,
// as the contrast, programs to make faster (little of it does). Each answer is forced to be the reference, so that all
// ways do the same work, whatever the model would say; and a draft model, on text that the model says itself.
// One stream in process, ways in turn there and back. Run: npx tsx test/bench/edits.bench.ts [model [KV precision]]
import { argv } from 'node:process';
import { resolveModel } from '../../models/model.ts';
import { loadConfig } from '../../server/config/config.ts';
import { type Arm, type CellResult, playCell } from '../peer/contest.ts';
import { type EditSet, readEdits } from '../peer/edits.ts';
import { type EditTask, type Leg, Side } from '../peer/side.ts';

const sets: readonly EditSet[] = ['humanevalpack', 'nofuneval'];
const SMALL = 'spark-nano';
const secondsMax = { small: 15, large: 90 }; // of a cell
const blocks = 12;
const freeTokens = 128;

export interface EditsCell {
  readonly name: string;
  readonly result: CellResult; // the first arm is the one without guesses
}

/** Null without ../shared/data. */
export async function editsBench(
  model = SMALL,
  kvPrecision: string | null = null,
): Promise<readonly EditsCell[] | null> {
  if (sets.some((set) => readEdits(set) === null)) return null;
  const cells: EditsCell[] = [];
  await withSide(model, 'auto', kvPrecision === null ? {} : { kvPrecision }, async (side) => {
    const plain = arm('plain', side);
    for (const set of sets) {
      const tasks = await editTasks(side, set);
      const ways: Arm[] = [
        { ...plain, task: (visit) => ({ ...taskAt(tasks, visit), drafts: false, prediction: null }) },
        { ...plain, name: 'prompt lookup', task: (visit) => ({ ...taskAt(tasks, visit), prediction: null }) },
        { ...plain, name: 'predicted: the original', task: (visit) => taskAt(tasks, visit) },
      ];
      cells.push(await play(`${model}, ${set}, reference answer`, ways, model === SMALL ? 'small' : 'large'));
    }
  });
  if (model === SMALL) cells.push(await draftModelCell());
  return cells;
}

/** spark-nano at fp32, guessed for by itself at 4 bits; what it says is its own. */
async function draftModelCell(): Promise<EditsCell> {
  const flags = { draftModel: 'spark-nano', draftPrecision: 'int4' };
  return withSide(SMALL, 'fp32', {}, (alone) =>
    withSide(SMALL, 'fp32', flags, async (drafted) => {
      const tasks = await editTasks(alone, 'humanevalpack');
      const free = (visit: number): Task => {
        const task = taskAt(tasks, visit);
        const answer = new Array(freeTokens).fill(0); // its length counts
        return { ...task, answer, forced: false, prediction: null };
      };
      const ways: Arm[] = [
        { ...arm('plain', alone), task: (visit) => ({ ...free(visit), drafts: false }) },
        { ...arm('prompt lookup', alone), task: free },
        { ...arm('lookup and draft model at int4', drafted), task: free },
      ];
      return play('humanevalpack, its own answer, fp32', ways, 'small');
    }),
  );
}

type Task = EditTask & { readonly kind: 'edit' };

async function withSide<T>(
  model: string,
  precision: string,
  flags: Readonly<Record<string, string>>,
  use: (side: Side) => Promise<T>,
): Promise<T> {
  const { cacheDirectory } = loadConfig({ flags: {}, env: process.env });
  const modelPath = resolveModel(model);
  const opening = { modelPath, precision, threads: 2, contextTokens: 4096, cacheDirectory, flags };
  const side = await Side.open('sparklane', opening);
  try {
    return await use(side);
  } finally {
    side.close();
  }
}

function arm(name: string, side: Side): Omit<Arm, 'task'> {
  return { name, play: (task) => side.play(task) };
}

async function editTasks(side: Side, set: EditSet): Promise<readonly Task[]> {
  const encode = async (text: string) => (await side.play({ kind: 'encode', text })).tokens;
  const tasks: Task[] = [];
  for (const { prompt, answer, original } of readEdits(set)!.slice(0, 2 * blocks + 1)) {
    const [asked, said, prediction] = [await encode(prompt), await encode(answer), await encode(original)];
    tasks.push({ kind: 'edit', prompt: asked, answer: said, forced: true, drafts: true, prediction });
  }
  return tasks;
}

function taskAt(tasks: readonly Task[], visit: number): Task {
  return tasks[visit % tasks.length]!;
}

/** The time of the answer alone: reading the question is the same for all. */
async function play(name: string, arms: readonly Arm[], size: keyof typeof secondsMax): Promise<EditsCell> {
  const timeMs = ({ restMs }: Leg) => restMs;
  return {
    name,
    result: await playCell({ name, arms, blocks, secondsMax: secondsMax[size], warmUps: 1, timeMs }),
  };
}

export function printEdits(cells: readonly EditsCell[] | null): void {
  console.log('\nedits, one stream: times as fast as without guesses');
  if (cells === null) {
    console.log('  skipped: no ../shared/data');
    return;
  }
  for (const { name, result } of cells) {
    console.log(`  ${name}`);
    for (const [way, { speedup, interval, blocks: played }] of Object.entries(result.against)) {
      const { accepted, rejected } = result.arms[way]!;
      const range =
        interval === null ? '' : ` (${(1 / interval.high).toFixed(2)} to ${(1 / interval.low).toFixed(2)})`;
      const drafts = `${accepted} of ${accepted + rejected} guesses right`;
      console.log(`    ${way.padEnd(32)} ${(1 / speedup).toFixed(2)}${range}  ${drafts}, ${played} blocks`);
    }
  }
}

if (argv[1] === import.meta.filename) printEdits(await editsBench(argv[2], argv[3]));
