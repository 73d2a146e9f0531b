// llama.cpp without JavaScript in its loop: the C library inside node-llama-cpp's prebuilt package, called as
// llama-bench calls it (llama_decode of tokens that mean nothing, no sampling). What llama-bench would print, where
// it is not installed. The C structs are those of one release, so anything else is refused.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import koffi from 'koffi';
import { answerTasks, type Leg, noiseTokens, type Opening, type Player, type Task } from './side.ts';

// The structs of include/llama.h as 32-bit words, larger than they are: both are passed in memory, the rest is unread.
const modelParameters = koffi.struct({ words: koffi.array('int32', 64) });
const contextParameters = koffi.struct({ words: koffi.array('int32', 128) });
const batch = koffi.struct({
  ...{ count: 'int32', tokens: 'void *', embeddings: 'void *', positions: 'void *' },
  ...{ sequenceCounts: 'void *', sequenceIds: 'void *', wanted: 'void *' },
});

/** Word of a field in llama_context_params, and the default that proves it is there. */
const contextFields = {
  contextTokens: { word: 0, expected: 512 },
  batchTokens: { word: 1, expected: 2048 },
  microBatchTokens: { word: 2, expected: 512 },
  threads: { word: 7, expected: 4 },
  batchThreads: { word: 8, expected: 4 },
} as const;

answerTasks(async (opening: Opening): Promise<Player> => {
  const folder = join(
    import.meta.dirname,
    `node_modules/@node-llama-cpp/${process.platform}-${process.arch}/bins/${process.platform}-${process.arch}`,
  );
  const library = (start: string) => {
    const name = readdirSync(folder).find((file) => file.startsWith(start));
    if (name === undefined) throw new Error(`no ${start} in ${folder}`);
    return koffi.load(join(folder, name));
  };
  library('libggml-base');
  const ggml = library('libggml.');
  const llama = library('libllama.');
  ggml.func('ggml_backend_load_all_from_path', 'void', ['str'])(folder);
  llama.func('llama_log_set', 'void', ['void *', 'void *'])(silence(), null);
  llama.func('llama_backend_init', 'void', [])();
  const model = llama.func('llama_model_load_from_file', 'void *', ['str', modelParameters])(
    opening.modelPath,
    llama.func('llama_model_default_params', modelParameters, [])(),
  );
  const parameters = llama.func('llama_context_default_params', contextParameters, [])();
  for (const [name, { word, expected }] of Object.entries(contextFields)) {
    if (parameters.words[word] !== expected)
      throw new Error(`llama_context_params has no ${name} at ${word}`);
  }
  parameters.words[contextFields.contextTokens.word] = opening.contextTokens;
  parameters.words[contextFields.threads.word] = opening.threads;
  parameters.words[contextFields.batchThreads.word] = opening.threads;
  const context = llama.func('llama_init_from_model', 'void *', ['void *', contextParameters])(
    model,
    parameters,
  );
  if (context === null) throw new Error(`llama.cpp cannot open ${opening.modelPath}`);
  const version = llama.func('llama_version', 'str', [])();
  const player = new NativePlayer(llama, context);
  return {
    about: `llama.cpp ${version} through its C API, ${opening.threads} threads`,
    play: (task) => Promise.resolve(player.play(task)),
  };
});

/** A log callback that drops what it gets; kept by koffi for the life of the process. */
function silence() {
  const callback = koffi.proto('void peer_log(int32 level, const char *text, void *data)');
  return koffi.register(() => {}, koffi.pointer(callback));
}

const tokensPerCall = 2048; // n_batch

class NativePlayer {
  readonly #decode: (context: unknown, tokens: object) => number;
  readonly #synchronize: (context: unknown) => void;
  readonly #remove: (memory: unknown, sequence: number, from: number, to: number) => boolean;
  readonly #sample: (sampler: unknown, context: unknown, index: number) => number;
  readonly #sampler: unknown;
  readonly #memory: unknown;
  readonly #context: unknown;
  readonly #tokens = koffi.alloc('int32', tokensPerCall);
  #heldContext = -1; // tokens of the decode prompt that are computed

  constructor(llama: ReturnType<typeof koffi.load>, context: unknown) {
    this.#context = context;
    this.#decode = llama.func('llama_decode', 'int32', ['void *', batch]);
    this.#synchronize = llama.func('llama_synchronize', 'void', ['void *']);
    this.#remove = llama.func('llama_memory_seq_rm', 'bool', ['void *', 'int32', 'int32', 'int32']);
    this.#memory = llama.func('llama_get_memory', 'void *', ['void *'])(context);
    this.#sampler = llama.func('llama_sampler_init_greedy', 'void *', [])();
    this.#sample = llama.func('llama_sampler_sample', 'int32', ['void *', 'void *', 'int32']);
  }

  play(task: Task): Leg {
    switch (task.kind) {
      case 'greedy':
        return this.#greedy(task.prompt, task.count);
      case 'prefill':
        return this.#prefill(noiseTokens(task.seed, task.count));
      case 'decode':
        return this.#steps(task.context, task.count);
      default:
        throw new Error(`${task.kind} is not measured here`);
    }
  }

  #greedy(prompt: readonly number[], count: number): Leg {
    this.#truncate(0);
    this.#compute(prompt);
    const tokens: number[] = [];
    while (tokens.length < count) {
      const token = this.#sample(this.#sampler, this.#context, -1);
      tokens.push(token);
      if (tokens.length < count) this.#compute([token]);
    }
    return leg(tokens, 0, 0);
  }

  #prefill(prompt: readonly number[]): Leg {
    this.#truncate(0);
    const startMs = performance.now();
    this.#compute(prompt);
    return leg([0], performance.now() - startMs, 0);
  }

  /** `count − 1` steps, as between the first and the last of `count` tokens. */
  #steps(context: number, count: number): Leg {
    if (this.#heldContext === context) this.#truncate(context, true);
    else {
      this.#truncate(0);
      this.#compute(noiseTokens(7, context));
      this.#heldContext = context;
    }
    const tokens = noiseTokens(11, count);
    const startMs = performance.now();
    for (let index = 1; index < count; index++) this.#compute(tokens.slice(index, index + 1));
    return leg(tokens, 0, performance.now() - startMs);
  }

  #compute(tokens: readonly number[]): void {
    for (let start = 0; start < tokens.length; start += tokensPerCall) {
      const part = tokens.slice(start, start + tokensPerCall);
      koffi.encode(this.#tokens, koffi.array('int32', part.length), part);
      const given = { count: part.length, tokens: this.#tokens, embeddings: null, positions: null };
      const rest = { sequenceCounts: null, sequenceIds: null, wanted: null };
      const code = this.#decode(this.#context, { ...given, ...rest });
      if (code !== 0) throw new Error(`llama_decode answered ${code}`);
    }
    this.#synchronize(this.#context);
  }

  #truncate(length: number, keepsContext = false): void {
    this.#remove(this.#memory, 0, length, -1);
    if (!keepsContext) this.#heldContext = -1;
  }
}

function leg(tokens: readonly number[], firstMs: number, restMs: number): Leg {
  return { firstMs, restMs, restTokens: tokens.length - 1, tokens, accepted: 0, rejected: 0 };
}
