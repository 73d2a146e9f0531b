// Who may import whom: the rooms of the tree in their order. Data only; tidy.test.ts holds the tree to it.

/** Wires the layers, and stands beside them. */
export const PROGRAM = 'sparklane.ts';

/** The rooms of models/ in their order: a file imports its own room and earlier ones. */
const modelRooms: readonly Room[] = [
  { room: 'spec.ts', packages: [] },
  { room: 'thread-entry.ts', earlier: [], packages: [] }, // starts threads; knows no model
  { room: 'files', earlier: [], packages: ['zod'] }, // what lies where; knows no format
  { room: 'config', packages: ['zod'] },
  { room: 'weights', packages: ['zod'] },
  { room: 'tokenizer', earlier: ['files'], packages: ['@huggingface/', 'zod'] },
  { room: 'jinja', earlier: [], packages: [] },
  { room: 'template', earlier: ['files', 'tokenizer', 'jinja'], packages: ['zod'] },
  { room: 'gguf', packages: [] },
  { room: 'onnx', packages: ['@bufbuild/', 'zod'] },
  { room: 'checkpoint', packages: ['zod'] }, // a model's files, whatever their format
  { room: 'graph', packages: [] },
  { room: 'encoder', packages: ['zod'] },
  { room: 'model.ts', packages: ['zod'] },
  { room: 'embedding-model.ts', packages: [] },
];

/** The rooms of server/ in their order: a file imports its own room and earlier ones, and outside of server/ what its row says. */
const serverRooms: readonly Room[] = [
  {
    room: 'engine',
    outside: ['kernels/backend.ts', 'kernels/clock.ts', 'kernels/random.ts', 'models/spec.ts'],
    packages: ['node:assert/strict'],
  },
  { room: 'grammar', outside: ['kernels/clock.ts'], packages: [] },
  { room: 'base', outside: ['models/template/content-part.ts'], packages: ['pino', 'zod'] },
  {
    room: 'hub', // fetches models; knows no server
    earlier: ['base'],
    outside: ['kernels/clock.ts', 'models/files/hub-cache.ts'],
    packages: ['undici', 'zod'],
  },
  { room: 'config', outside: ['models/'], packages: ['zod'] },
  { room: 'text', outside: ['models/'], packages: ['zod'] },
  {
    room: 'client',
    earlier: ['base'],
    outside: ['kernels/sampling.ts'],
    packages: ['msgpackr', 'ws', 'zod'],
  },
  { room: 'generation', outside: ['kernels/'], packages: [] },
  { room: 'telemetry', packages: ['@opentelemetry/'] },
  { room: 'archive', outside: ['kernels/', 'models/model.ts'], packages: [] },
  { room: 'tools', outside: ['models/'], packages: [] },
  { room: 'metrics', outside: ['kernels/backend.ts'], packages: ['prom-client'] },
  { room: 'sessions', outside: ['kernels/', 'models/'], packages: [] },
  {
    room: 'listeners',
    earlier: ['base'],
    outside: ['kernels/clock.ts'],
    packages: ['uWebSockets.js', '@btc-vision/uwebsockets.js', 'ws'],
  },
  { room: 'http', outside: ['kernels/clock.ts'], packages: ['zod'] },
  {
    room: 'upstream', // knows no wire of ours
    earlier: ['base', 'generation'],
    outside: ['kernels/clock.ts', 'kernels/random.ts'],
    packages: ['undici', 'eventsource-parser'],
  },
  { room: 'cluster', outside: ['kernels/clock.ts'], packages: ['ioredis', 'prom-client', 'zeromq'] },
  { room: 'shelf', outside: ['kernels/clock.ts'], packages: ['zod'] }, // which models are in memory
  { room: 'device', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'lanes', outside: ['kernels/clock.ts', 'kernels/random.ts'], packages: ['prom-client', 'zod'] },
  { room: 'chat', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'embeddings', outside: ['models/'], packages: ['zod'] },
  { room: 'openai', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'llama', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'messages', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'ollama', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'responses', outside: ['kernels/', 'models/'], packages: ['zod'] },
  { room: 'native', outside: ['kernels/'], packages: [] },
  { room: 'catalogue', outside: ['kernels/clock.ts'], packages: [] }, // which model answers
  {
    room: 'outcomes',
    outside: ['kernels/', 'models/thread-entry.ts'],
    packages: ['diff', 'libsql', 'prom-client', 'zod'],
  },
  { room: 'ui', outside: ['kernels/'], packages: ['zod'] }, // its page/ is a browser's and has a row of its own
  { room: 'serving', outside: ['kernels/', 'models/'], packages: [] },
  { room: 'app.ts', outside: ['kernels/'], packages: [] },
  { room: 'compose.ts', outside: ['kernels/', 'models/'], packages: [] },
  { room: 'cli', outside: ['kernels/', 'models/'], packages: ['commander', 'cli-progress'] },
  { room: 'main.ts', outside: ['kernels/clock.ts'], packages: [] },
];

/** By layer. */
export const rooms = { models: modelRooms, server: serverRooms } as const;

export interface Room {
  readonly room: string; // a folder of its layer, or one of the files beside those
  readonly earlier?: readonly string[]; // only these of the earlier rooms
  readonly outside?: readonly string[]; // of other layers; absent: nothing
  readonly packages: readonly string[];
}

/** For each place, what it may import beside itself: folders or files of ours, and packages. */
export const importTable: readonly Rule[] = [
  ...rowsOf('models'),
  {
    where: 'kernels/onnx/',
    ours: ['kernels/', 'models/'],
    packages: ['piscina', 'onnxruntime-node', 'koffi'],
  },
  { where: 'kernels/', ours: ['models/'], packages: [] },
  // Runs in browsers, which get these packages as they are.
  {
    where: 'server/ui/page/',
    ours: ['kernels/device-plan.ts'],
    packages: ['preact', 'marked', 'eventsource-parser', 'diff', 'uplot'],
  },
  ...rowsOf('server'),
  ...loadtestRows(),
  { where: PROGRAM, ours: ['server/main.ts', 'loadtest/main.ts', 'loadtest/commands.ts'], packages: [] },
];

function rowsOf(layer: keyof typeof rooms): Rule[] {
  return rooms[layer].map(({ room, earlier, outside = [], packages }, index, all) => {
    const before = earlier ?? all.slice(0, index).map((one) => one.room);
    const ours = [...before.map((one) => placeOf(layer, one)), ...outside];
    return { where: placeOf(layer, room), ours, packages };
  });
}

/**
 * The rooms of loadtest/ in their order. What simulates, what reports on tasks and what measures do not know each other;
 * all three stand on the rooms before them.
 */
function loadtestRows(): Rule[] {
  const common = ['base/', 'statistics/', 'show/', 'workload/'];
  const measure = ['measure/wires/', 'measure/play/', 'measure/runs/', 'measure/report/'];
  const outside = ['server/', 'kernels/', 'models/'];
  const row = (room: string, before: readonly string[]): Rule => ({
    where: `loadtest/${room}`,
    ours: [...before.map((earlier) => `loadtest/${earlier}`), ...outside],
    packages: null,
  });
  return [
    ...common.map((room, at) => row(room, common.slice(0, at))),
    row('agents/', common),
    row('simulate/', common),
    row('outcomes/', common),
    ...measure.map((room, at) => row(room, [...common, ...measure.slice(0, at)])),
    row('measure/live/', [...common, ...measure]),
    row('measure/', [...common, 'agents/']), // settings and campaigns, over all of its rooms
    row('main.ts', ['measure/']),
    row('commands.ts', ['agents/', 'simulate/', 'outcomes/', 'measure/']), // what sparklane.ts mounts
  ];
}

export interface Rule {
  readonly where: string;
  readonly ours: readonly string[];
  readonly packages: readonly string[] | null; // null: any but the fenced ones below
}

/** Packages that only these places may know. */
export const fenced: Readonly<Record<string, readonly string[]>> = {
  'uWebSockets.js': ['server/listeners/uws-binary.ts'],
  '@btc-vision/uwebsockets.js': ['server/listeners/uws-binary.ts'],
  piscina: ['kernels/onnx/'],
  'onnxruntime-node': ['kernels/onnx/'],
  koffi: ['kernels/onnx/'],
  libsql: ['server/outcomes/'],
  undici: ['server/upstream/undici-wire.ts', 'server/hub/undici-fetch.ts', 'loadtest/measure/wires/'],
};

export function placeOf(layer: string, room: string): string {
  return room.endsWith('.ts') ? `${layer}/${room}` : `${layer}/${room}/`;
}
