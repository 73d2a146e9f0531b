// Embeddings over real sockets and weights: the golden decoder that pools its last token, over OpenAI's client and in
// Ollama's and llama-server's words, beside an answer that is drawn meanwhile.
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WallClock } from '../../kernels/clock.ts';
import { type LocalServer, startLocalServer } from '../../server/cli/local-server.ts';
import { loadConfig } from '../../server/config/config.ts';
import { MemoryTerminal } from '../memory-terminal.ts';
import { faultsBy } from '../openai/published-schemas.ts';
import { servedEnv } from '../served-env.ts';
import { temporaryDirectory } from '../temporary-directory.ts';

interface Case {
  readonly text?: string;
  readonly ids: readonly number[];
  readonly vector: readonly number[];
}

const directory = join(import.meta.dirname, '../golden/models/encoders/qwen3-embedding');
const cases = JSON.parse(readFileSync(join(directory, 'golden.json'), 'utf8')) as readonly Case[];
const texts = cases.filter(({ text }) => text !== undefined);
const terminal = new MemoryTerminal();
let server: LocalServer;
let client: OpenAI;

beforeAll(async () => {
  const path = join(temporaryDirectory(), 'qwen3-embedding');
  cpSync(directory, path, { recursive: true });
  writeFileSync(join(path, 'generation_config.json'), '{}');
  const flags = {
    ...{ port: 0, model: path, cacheDirectory: join(temporaryDirectory(), 'cache'), precision: 'fp32' },
    ...{ slots: '2', embeddingInputsMax: '4', embeddingTokensMax: '120' },
  };
  const host = { terminal, env: {}, clock: new WallClock(), epochMs: () => Date.now() };
  server = await startLocalServer(loadConfig({ flags, env: servedEnv }), host);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
});

afterAll(() => server.stop());

const model = 'qwen3-embedding';

interface Answer {
  readonly data: readonly { readonly embedding: readonly number[] }[];
  readonly embeddings: readonly (readonly number[])[];
  readonly embedding: readonly number[];
  readonly prompt_eval_count: number;
  readonly choices: readonly { readonly text: string }[];
  readonly error: { readonly param: string };
}

async function post(path: string, body: object): Promise<{ status: number; json: Answer }> {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, json: (await response.json()) as Answer };
}

function near(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  for (const [at, value] of expected.entries()) expect(actual[at]).toBeCloseTo(value, 4);
}

test('a batch of texts gives the vectors of transformers, in base64 as the client asks, and as numbers', async () => {
  const input = texts.map(({ text }) => text!);
  for (const encoding_format of [undefined, 'float'] as const) {
    const answer = await client.embeddings.create({
      ...{ model, input },
      ...(encoding_format !== undefined && { encoding_format }),
    });
    expect(answer.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const [at, { embedding }] of answer.data.entries()) near(embedding, texts[at]!.vector);
    const count = texts.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(answer.usage).toEqual({ prompt_tokens: count, total_tokens: count });
    expect(answer.model).toBe(model);
  }
});

test('token ids are taken as they are, one list or several', async () => {
  const [, middle, long] = cases;
  const one = await post('/v1/embeddings', { model, input: middle!.ids });
  expect(faultsBy('CreateEmbeddingResponse', one.json)).toBe('');
  near(one.json.data[0]!.embedding, middle!.vector);
  const two = await post('/v1/embeddings', { input: [long!.ids, middle!.ids] });
  near(two.json.data[0]!.embedding, long!.vector);
  near(two.json.data[1]!.embedding, middle!.vector);
});

test('fewer dimensions are the first ones, of length 1 again', async () => {
  const { vector, text } = texts[0]!;
  const { json } = await post('/v1/embeddings', { input: text, dimensions: 8 });
  const first = vector.slice(0, 8);
  const length = Math.hypot(...first);
  near(
    json.data[0]!.embedding,
    first.map((value) => value / length),
  );
});

test('Ollama and llama-server spell it their way', async () => {
  const { vector, text, ids } = texts[1]!;
  const batch = await post('/api/embed', { model, input: [text, text] });
  expect(batch.json).toMatchObject({ model, prompt_eval_count: 2 * ids.length });
  near(batch.json.embeddings[1]!, vector);
  const older = await post('/api/embeddings', { model: `${model}:latest`, prompt: text });
  near(older.json.embedding, vector);
  const llama = await post('/embedding', { content: text });
  near((llama.json as unknown as readonly { embedding: number[][] }[])[0]!.embedding[0]!, vector);
  // Longer than the model takes: Ollama's are cut, unless told not to.
  const long = 'cat '.repeat(300);
  expect((await post('/api/embed', { model, input: long })).json.prompt_eval_count).toBe(60);
  expect((await post('/api/embed', { model, input: long, truncate: false })).status).toBe(400);
});

test('what is asked wrongly is refused with the field and the bound', async () => {
  const refusals = [
    [{ input: '', model: 'other' }, 404, 'model'],
    [{ input: ['a', 'b', 'c', 'd', 'e'] }, 400, 'input'],
    [{ input: [] }, 400, 'input'],
    [{ input: [[5], [200]] }, 400, 'input[1][0]'],
    [{ input: 'a', dimensions: 33 }, 400, 'dimensions'],
    [{ input: 'a', encoding_format: 'hex' }, 400, 'encoding_format'],
    [{ input: 'cat '.repeat(70) }, 400, 'input'],
    [{ input: ['a', 'cat '.repeat(50), 'cat '.repeat(50), 'cat '.repeat(50)] }, 400, 'input'],
  ] as const;
  for (const [body, status, param] of refusals) {
    const refused = await post('/v1/embeddings', body);
    expect([refused.status, refused.json.error.param], JSON.stringify(body)).toEqual([status, param]);
  }
});

test('vectors and answers do not disturb each other', async () => {
  const text = texts[0]!;
  const complete = () => post('/v1/completions', { prompt: [7, 8, 9], max_tokens: 30, temperature: 0 });
  const alone = (await complete()).json.choices[0]!.text;
  const embed = () => post('/v1/embeddings', { input: [text.text, text.text, text.text] });
  const [answers, vectors] = await Promise.all([
    Promise.all(Array.from({ length: 6 }, complete)),
    Promise.all(Array.from({ length: 6 }, embed)),
  ]);
  for (const { json } of answers) expect(json.choices[0]!.text).toBe(alone);
  for (const { json } of vectors) for (const { embedding } of json.data) near(embedding, text.vector);
});
