// llama.cpp as a TypeScript user gets it: node-llama-cpp's prebuilt binary through its own API. Nothing is downloaded
// or compiled at run time. Where a text is forced, sampling runs as ever and only its result is exchanged.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { answerTasks, type Leg, noiseTokens, type Opening, type Player, type Task } from './side.ts';

const lookup = { patternLength: { min: 1 }, predictionLength: { max: 3 } }; // node-llama-cpp's own defaults

answerTasks(async (opening: Opening): Promise<Player> => {
  const module = await nodeLlamaCpp();
  const llama = await module.getLlama({
    ...{ gpu: false, build: 'never', skipDownload: true, progressLogs: false, logLevel: 'error' },
    maxThreads: opening.threads,
  });
  const model = await llama.loadModel({ modelPath: opening.modelPath });
  const context = await model.createContext({
    ...{ contextSize: opening.contextTokens, sequences: 1, threads: opening.threads },
  });
  const player = new LlamaPlayer(module, model, context);
  await player.open(false);
  const about = `node-llama-cpp ${module.version}, llama.cpp ${llama.llamaCppRelease.release}, ${opening.threads} threads`;
  return { about, play: (task) => player.play(task) };
});

// biome-ignore lint/suspicious/noExplicitAny: a package that need not be installed where this is type-checked
type Untyped = any;

async function nodeLlamaCpp(): Promise<Untyped> {
  const name = 'node-llama-cpp';
  const manifest = join(import.meta.dirname, 'node_modules', name, 'package.json');
  return { ...(await import(name)), version: JSON.parse(readFileSync(manifest, 'utf8')).version };
}

class LlamaPlayer {
  readonly #module: Untyped;
  readonly #model: Untyped;
  readonly #context: Untyped;
  #sequence: Untyped = null;
  #predictor: Untyped = null;
  #heldContext = -1; // tokens of the decode prompt that are computed; −1: another prompt is
  #script: readonly number[] | null = null;
  #drawnCount = 0; // tokens of the answer that are out
  #sampledCount = 0; // sampled since then: the first belongs to the next token, further ones verify drafts

  constructor(module: Untyped, model: Untyped, context: Untyped) {
    this.#module = module;
    this.#model = model;
    this.#context = context;
    const inner = context._ctx; // a script must come in below the API, where drafts are verified
    const sample = inner.sampleToken.bind(inner);
    const scripted = async (...given: unknown[]) => {
      const drawn = await sample(...given);
      return this.#script?.[this.#drawnCount + this.#sampledCount++] ?? drawn;
    };
    Object.defineProperty(inner, 'sampleToken', { value: scripted });
  }

  /** A fresh sequence, with or without prompt lookup. */
  async open(drafts: boolean): Promise<void> {
    if (this.#sequence !== null) await this.#sequence.dispose();
    this.#predictor = drafts ? new this.#module.InputLookupTokenPredictor(lookup) : null;
    this.#sequence = this.#context.getSequence(drafts ? { tokenPredictor: this.#predictor } : {});
    this.#heldContext = -1;
  }

  async play(task: Task): Promise<Leg> {
    switch (task.kind) {
      case 'encode':
        return leg({ tokens: this.#model.tokenize(task.text, true) });
      case 'greedy':
        return this.#fresh(task.prompt, task.count);
      case 'prefill':
        return this.#fresh(noiseTokens(task.seed, task.count), 1);
      case 'decode':
        return this.#decode(task.context, task.count);
      case 'edit': {
        if (task.drafts !== (this.#predictor !== null)) await this.open(task.drafts);
        this.#script = task.forced ? task.answer : null;
        const before = { ...this.#sequence.tokenPredictions };
        const played = await this.#fresh(task.prompt, task.answer.length);
        this.#script = null;
        const { validated, refuted } = this.#sequence.tokenPredictions;
        return { ...played, accepted: validated - before.validated, rejected: refuted - before.refuted };
      }
      case 'streams':
        throw new Error('streams are measured through the socket');
    }
  }

  async #fresh(prompt: readonly number[], count: number): Promise<Leg> {
    await this.#sequence.clearHistory();
    this.#heldContext = -1;
    this.#predictor?.updateInputTokens(prompt);
    return this.#generate(prompt, count);
  }

  async #decode(context: number, count: number): Promise<Leg> {
    if (this.#predictor !== null) await this.open(false);
    const prompt = noiseTokens(7, context);
    if (this.#heldContext === context) {
      const end = this.#sequence.nextTokenIndex;
      await this.#sequence.eraseContextTokenRanges([{ start: context - 1, end }]);
    } else {
      await this.#sequence.clearHistory();
      await this.#sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
      this.#heldContext = context;
    }
    return this.#generate(prompt.slice(-1), count);
  }

  async #generate(tokens: readonly number[], count: number): Promise<Leg> {
    const drawn: number[] = [];
    const startMs = performance.now();
    let firstMs = 0;
    this.#drawnCount = 0;
    this.#sampledCount = 0;
    for await (const token of this.#sequence.evaluate(tokens, { temperature: 0, yieldEogToken: true })) {
      if (firstMs === 0) firstMs = performance.now();
      drawn.push(token);
      this.#drawnCount = drawn.length;
      this.#sampledCount = 0;
      if (drawn.length === count) break;
    }
    const lastMs = performance.now();
    if (drawn.length < count) throw new Error(`the answer ended after ${drawn.length} tokens`);
    return leg({ firstMs: firstMs - startMs, restMs: lastMs - firstMs, tokens: drawn });
  }
}

function leg(known: Partial<Leg> & Pick<Leg, 'tokens'>): Leg {
  return { firstMs: 0, restMs: 0, restTokens: known.tokens.length - 1, accepted: 0, rejected: 0, ...known };
}
