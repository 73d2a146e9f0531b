// What is played: groups of cells that share a model, a format and therefore open engines. Data and a little wiring;
// contest.ts plays, main.ts prints. Engines of two threads meet those of one: where another program takes a core, two
// threads wait for each other, and a user would choose what is faster.
import type { Arm, Cell } from './contest.ts';
import { type EditSet, readEdits } from './edits.ts';
import type { GgufFormat } from './gguf-model.ts';
import { findProgram, LlamaBenchSide } from './llama-bench.ts';
import { cacheDirectory, type PeerModelName, prepareModel } from './peer-models.ts';
import { type EditTask, type Leg, noiseTokens, type Opening, Side, type Task } from './side.ts';
import { SocketSide } from './socket-side.ts';

export interface Group {
  readonly name: string; // 'nano/8bit'
  readonly model: PeerModelName;
  readonly precision: string; // ours
  readonly format: GgufFormat; // theirs
  readonly decode: readonly Amount[]; // tokens of context
  readonly prefill: readonly Amount[]; // tokens of prompt
  readonly edits: readonly { readonly set: EditSet; readonly blocks: number; readonly forced: boolean }[];
  readonly websocket: boolean; // our server through its socket, beside the engine in process
  readonly flags?: Readonly<Record<string, string>>; // more of ours
}

interface Amount {
  readonly tokens: number;
  readonly blocks: number;
}

const threads = 2;
const secondsMax = 300; // of a cell
const contextTokens = 8192 + 512;

/** Tokens of a decode leg: under a second for the small model, one or two for the large one. */
function decodeTokens(model: PeerModelName, context: number): number {
  if (model === 'half-b') return context > 4096 ? 8 : 16;
  return context > 4096 ? 32 : context > 1024 ? 64 : 128;
}

const none = { decode: [], prefill: [], edits: [], websocket: false };
const amounts = (blocks: number, ...counts: number[]) => counts.map((tokens) => ({ tokens, blocks }));

export const groups: readonly Group[] = [
  {
    ...{ ...none, name: 'nano/8bit', model: 'nano', precision: 'auto', format: 'Q8_0', websocket: true },
    ...{ decode: amounts(8, 128, 2048, 8192), prefill: amounts(6, 512, 4096) },
  },
  {
    ...{ ...none, name: 'nano/8bit-kv8', model: 'nano', precision: 'auto', format: 'Q8_0' },
    ...{ flags: { kvPrecision: 'int8' }, decode: amounts(8, 128, 2048, 8192), prefill: amounts(6, 512) },
  },
  {
    ...{ ...none, name: 'nano/4bit', model: 'nano', precision: 'int4', format: 'Q4_0' },
    ...{ decode: amounts(6, 128, 2048), prefill: amounts(6, 512) },
  },
  {
    ...{ ...none, name: 'nano/float', model: 'nano', precision: 'fp32', format: 'F16' },
    ...{ decode: amounts(6, 128), prefill: amounts(6, 512) },
  },
  {
    ...{ ...none, name: 'nano/edits', model: 'nano', precision: 'auto', format: 'Q8_0' },
    edits: [
      { set: 'humanevalpack', blocks: 8, forced: true },
      { set: 'humanevalpack', blocks: 8, forced: false },
      { set: 'nofuneval', blocks: 8, forced: true },
    ],
  },
  {
    ...{ ...none, name: 'half-b/8bit', model: 'half-b', precision: 'auto', format: 'Q8_0' },
    ...{ decode: amounts(5, 128, 2048), prefill: amounts(3, 512) },
  },
  {
    ...{ ...none, name: 'half-b/8bit-long', model: 'half-b', precision: 'auto', format: 'Q8_0' },
    ...{ decode: amounts(4, 8192), prefill: amounts(1, 4096) },
  },
  {
    ...{ ...none, name: 'half-b/w8a8', model: 'half-b', precision: 'w8a8', format: 'Q8_0' },
    ...{ decode: amounts(4, 128), prefill: amounts(3, 512) },
  },
  {
    ...{ ...none, name: 'half-b/4bit', model: 'half-b', precision: 'int4', format: 'Q4_0' },
    ...{ decode: amounts(4, 128), prefill: amounts(2, 512) },
  },
  {
    ...{ ...none, name: 'half-b/edits', model: 'half-b', precision: 'auto', format: 'Q8_0' },
    edits: [
      { set: 'humanevalpack', blocks: 2, forced: true },
      { set: 'nofuneval', blocks: 2, forced: true },
    ],
  },
  {
    ...{ ...none, name: 'half-b/w8a8-edits', model: 'half-b', precision: 'w8a8', format: 'Q8_0' },
    edits: [{ set: 'humanevalpack', blocks: 2, forced: true }],
  },
];

interface Entrant {
  readonly name: string;
  readonly about: string;
  readonly play: (task: Task) => Promise<Leg>;
  readonly close: () => void | Promise<void>;
}

export interface OpenGroup {
  readonly about: Readonly<Record<string, string>>; // by entrant
  readonly cells: readonly Cell[];
  readonly skipped: readonly string[]; // reasons
  close(): Promise<void>;
}

export async function openGroup(group: Group): Promise<OpenGroup> {
  const model = prepareModel(group.model);
  const gguf = model.gguf(group.format);
  const skipped: string[] = [];
  const opening = (modelPath: string, count: number): Opening => {
    const { precision, flags = {} } = group;
    return { modelPath, precision, threads: count, contextTokens, cacheDirectory, flags };
  };
  const entrants: Entrant[] = [];
  const enter = async (
    name: string,
    side: 'sparklane' | 'llama' | 'native',
    modelPath: string,
    count: number,
  ) => {
    try {
      const entered = await Side.open(side, opening(modelPath, count));
      entrants.push({
        ...{ name, about: entered.about, play: (task) => entered.play(task), close: () => entered.close() },
      });
    } catch (error) {
      if (side === 'sparklane') throw error;
      skipped.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
    }
  };
  await enter('sparklane', 'sparklane', model.directory, threads);
  await enter('node-llama-cpp, 2 threads', 'llama', gguf, threads);
  await enter('node-llama-cpp, 1 thread', 'llama', gguf, 1);
  const agreement = await checkSameModel(entrants);
  const isSpeed = group.decode.length + group.prefill.length > 0;
  if (isSpeed) {
    await enter('sparklane, 1 thread', 'sparklane', model.directory, 1);
    await enter('llama.cpp, 2 threads', 'native', gguf, threads);
    await enter('llama.cpp, 1 thread', 'native', gguf, 1);
    const program = findProgram('llama-bench');
    if (program === null) skipped.push('llama-bench: not on the PATH');
    else entrants.push(entrant('llama-bench', new LlamaBenchSide(program, opening(gguf, threads))));
  }
  const socket = group.websocket ? await SocketSide.open(opening(model.directory, threads)) : null;
  const sockets = socket === null ? [] : [entrant('sparklane, WebSocket', socket)];
  const cells = [
    ...group.decode.map((amount) => decodeCell(group, [...entrants, ...sockets], amount)),
    ...group.prefill.map((amount) => prefillCell(group, entrants, amount)),
    ...(await editCells(group, entrants, skipped)),
  ];
  return {
    about: {
      ...Object.fromEntries([...entrants, ...sockets].map(({ name, about }) => [name, about])),
      ...(agreement !== null && { 'sparklane and llama.cpp': agreement }),
    },
    cells,
    skipped,
    async close() {
      for (const { close } of [...entrants, ...sockets]) await close();
    },
  };
}

const checkedText =
  '<|im_start|>user\nfunction add(a, b) {\n\treturn a - b; // h\u00e9llo \u4e16\u754c \ud83d\ude80 1234\n}<|im_end|>\n  \n';
const checkedPrompts = 16;
// Two formats of random weights differ in many near ties; other weights would agree on one in thousands.
const agreementMin = 0.12;

/** The same model: llama.cpp must read the same tokens, and mostly say the same. Throws otherwise; answers what it found. */
async function checkSameModel(entrants: readonly Entrant[]): Promise<string | null> {
  const [ours, theirs] = entrants;
  if (theirs === undefined) return null;
  const both = async (task: Task) => {
    const own = await ours!.play(task);
    const other = await theirs.play(task);
    return [own.tokens, other.tokens] as const;
  };
  const [own, other] = await both({ kind: 'encode', text: checkedText });
  if (String(own) !== String(other)) throw new Error(`llama.cpp reads other tokens: ${own} and ${other}`);
  let agreeing = 0;
  for (let at = 0; at < checkedPrompts; at++) {
    const prompt = [...own, ...noiseTokens(at, 1 + 3 * at)];
    const [mine, yours] = await both({ kind: 'greedy', prompt, count: 1 });
    if (mine[0] === yours[0]) agreeing++;
  }
  const found = `${agreeing} of ${checkedPrompts} next tokens are the same`;
  if (agreeing < checkedPrompts * agreementMin) throw new Error(`these are not the same weights: ${found}`);
  return found;
}

function entrant(name: string, side: Pick<Entrant, 'about' | 'play' | 'close'>): Entrant {
  return { name, about: side.about, play: (task) => side.play(task), close: () => side.close() };
}

function decodeCell(group: Group, entrants: readonly Entrant[], { tokens, blocks }: Amount): Cell {
  const task: Task = { kind: 'decode', context: tokens, count: decodeTokens(group.model, tokens) + 1 };
  return {
    ...{
      name: `${group.name} decode at ${tokens}`,
      blocks,
      secondsMax,
      warmUps: 1,
      timeMs: ({ restMs, restTokens }) => restMs / restTokens,
    },
    arms: entrants.map(({ name, play }) => ({ name, play, task: () => task })),
  };
}

function prefillCell(group: Group, entrants: readonly Entrant[], { tokens, blocks }: Amount): Cell {
  const task = (visit: number): Task => ({ kind: 'prefill', count: tokens, seed: 100 + visit });
  const warmUps = blocks > 1 ? 1 : 0; // one block: a minute a leg, and warm from the cell before
  return {
    ...{
      name: `${group.name} prefill of ${tokens}`,
      blocks,
      secondsMax,
      warmUps,
      timeMs: ({ firstMs }) => firstMs,
    },
    arms: entrants.map(({ name, play }) => ({ name, play, task })),
  };
}

/** The whole answer, its prompt included. Ours with prompt lookup comes first: it is what the others are set against. */
async function editCells(group: Group, entrants: readonly Entrant[], skipped: string[]): Promise<Cell[]> {
  if (group.edits.length === 0) return [];
  const [ours, ...others] = entrants;
  const theirs = others.find(({ name }) => name.endsWith(group.model === 'nano' ? '1 thread' : '2 threads'));
  const cells: Cell[] = [];
  for (const asked of group.edits) {
    const { set, blocks, forced } = asked;
    const edits = await encodedEdits(ours!, asked);
    if (edits === null) {
      skipped.push(`edits of ${set}: no ../shared/data`);
      continue;
    }
    const arm = (entrant: Entrant, how: string, drafts: boolean, predicts = false): Arm => {
      const task = (visit: number): EditTask & { kind: 'edit' } => {
        const { prompt, answer, original } = edits[visit % edits.length]!;
        return { kind: 'edit', prompt, answer, forced, drafts, prediction: predicts ? original : null };
      };
      return { name: `${entrant.name}, ${how}`, play: entrant.play, task };
    };
    const arms = [
      arm(ours!, 'lookup', true),
      arm(ours!, 'prediction', true, true),
      arm(ours!, 'plain', false),
    ];
    if (theirs !== undefined) arms.push(arm(theirs, 'plain', false), arm(theirs, 'lookup', true));
    const timeMs = ({ firstMs, restMs }: Leg) => firstMs + restMs;
    const name = `${group.name} ${set}, ${forced ? 'reference answer' : 'free'}`;
    cells.push({ name, arms, blocks, secondsMax, warmUps: group.model === 'nano' ? 1 : 0, timeMs });
  }
  return cells;
}

interface EncodedEdit {
  readonly prompt: readonly number[];
  readonly answer: readonly number[];
  readonly original: readonly number[];
}

/** Both engines get our ids, which are the same as llama.cpp's (checkSameModel). */
async function encodedEdits(
  ours: Entrant,
  { set, blocks }: Group['edits'][number],
): Promise<EncodedEdit[] | null> {
  const edits = readEdits(set)?.slice(0, 2 * blocks + 1);
  if (edits === undefined) return null;
  const encode = async (text: string) => (await ours.play({ kind: 'encode', text })).tokens;
  const encoded: EncodedEdit[] = [];
  for (const { prompt, answer, original } of edits) {
    encoded.push({
      prompt: await encode(prompt),
      answer: await encode(answer),
      original: await encode(original),
    });
  }
  return encoded;
}
