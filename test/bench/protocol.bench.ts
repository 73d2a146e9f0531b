// Cost of one token on the wire: bytes, encode and decode time of a native token frame, of the encodings it was
// chosen over, and of the SSE chunk that OpenAI's API needs. Run: npx tsx test/bench/protocol.bench.ts
import { Packr } from 'msgpackr';
import { decodeServerFrame, encodeTokens } from '../../server/client/protocol.ts';
import { ChatEvents } from '../../server/openai/chat-events.ts';
import { median } from './samples.ts';

export interface CodecCost {
  readonly name: string;
  readonly bytes: number; // mean over an answer of 1,024 tokens
  readonly encodeNs: number; // median of rounds
  readonly decodeNs: number;
}

interface Codec {
  readonly name: string;
  readonly encode: (index: number) => Uint8Array;
  readonly decode: (frame: Uint8Array) => unknown;
}

const FRAMES = 1024;
const ROUNDS = 15;
const CALLS_PER_ROUND = 20_000;
const TEXTS = [' const', ' function', 'foo', '(', '\n', ' return', ' fibonacci', '});'];

/** Measures all codecs in turn, round by round, so that a change of the machine's speed meets all of them. */
export function protocolBench(): CodecCost[] {
  const measured = codecs().map((codec) => {
    const frames = Array.from({ length: FRAMES }, (_, index) => Uint8Array.from(codec.encode(index)));
    return { codec, frames, encodeNs: [] as number[], decodeNs: [] as number[] };
  });
  for (let round = -2; round < ROUNDS; round++) {
    for (const { codec, frames, encodeNs, decodeNs } of measured) {
      const encoded = timeNs((call) => codec.encode(call % FRAMES));
      const decoded = timeNs((call) => codec.decode(frames[call % FRAMES]!));
      if (round < 0) continue; // warm-up
      encodeNs.push(encoded);
      decodeNs.push(decoded);
    }
  }
  return measured.map(({ codec, frames, encodeNs, decodeNs }) => ({
    name: codec.name,
    bytes: Math.round(frames.reduce((sum, frame) => sum + frame.length, 0) / FRAMES),
    encodeNs: Math.round(median(encodeNs)),
    decodeNs: Math.round(median(decodeNs)),
  }));
}

function codecs(): Codec[] {
  const fields = (index: number) => ({
    session: 1,
    generation: 3,
    index,
    timeUs: 61_234_567 + index * 700,
    tokens: [1000 + ((index * 37) % 7000)],
    text: TEXTS[index % TEXTS.length]!,
  });
  const maps = new Packr({ useRecords: false, variableMapSize: true });
  const structures = [['type', 'session', 'generation', 'index', 'timeUs', 'tokens', 'text']];
  const records = new Packr({ useRecords: true, structures });
  const events = new ChatEvents({
    head: {
      id: 'chatcmpl-Zk3rXw0T9qLb5nYc',
      created: 1_763_600_000,
      model: 'spark-nano',
      system_fingerprint: 'fp_0123456789ab',
    },
    tokenizer: { tokenBytes: () => new Uint8Array(0) },
    stopTokenIds: [],
    promptTokens: null,
    withUsage: true,
  });
  return [
    {
      name: 'native token frame (array)',
      encode: (index) => encodeTokens({ type: 'tokens', ...fields(index), logprobs: null }),
      decode: decodeServerFrame,
    },
    {
      name: 'the same as a map with names',
      encode: (index) => maps.pack({ type: 'tokens', ...fields(index) }),
      decode: (frame) => maps.unpack(frame),
    },
    {
      name: 'msgpackr records, shared structures',
      encode: (index) => records.pack({ type: 1, ...fields(index) }),
      decode: (frame) => records.unpack(frame),
    },
    {
      name: 'SSE chat chunk (JSON)',
      encode: (index) => {
        const { tokens, text } = fields(index);
        const delta = { choice: 0, index, tokens, text, logprobs: null };
        return Buffer.from(`data: ${events.delta(0, delta)!}\n\n`);
      },
      decode: (frame) =>
        JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.length).toString().slice(6)),
    },
  ];
}

let kept: unknown; // so that no call is optimised away

function timeNs(call: (index: number) => unknown): number {
  const start = process.hrtime.bigint();
  for (let index = 0; index < CALLS_PER_ROUND; index++) kept = call(index);
  return Number(process.hrtime.bigint() - start) / CALLS_PER_ROUND;
}

export function printCodecs(costs: readonly CodecCost[]): void {
  const sse = costs.at(-1)!;
  console.log('\n| per token | bytes | encode ns | decode ns | both, of SSE |\n|---|---|---|---|---|');
  for (const { name, bytes, encodeNs, decodeNs } of costs) {
    const share = Math.round(((encodeNs + decodeNs) / (sse.encodeNs + sse.decodeNs)) * 100);
    console.log(`| ${name} | ${bytes} | ${encodeNs} | ${decodeNs} | ${share} % |`);
  }
  if (kept === null) console.log(); // reads it
}

if (process.argv[1] === import.meta.filename) printCodecs(protocolBench());
