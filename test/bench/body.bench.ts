// What reading a JSON body, or a frame of MessagePack, takes of the event loop, in ms of the thread's own time: the largest of each kind that the default
// bounds let through, the least of several tries. Run: npx tsx test/bench/body.bench.ts

import { pack } from 'msgpackr';
import type { Fault } from '../../server/base/errors.ts';
import { parseJson } from '../../server/base/json-body.ts';
import { decodeClientFrame } from '../../server/client/protocol.ts';
import { loadConfig } from '../../server/config/config.ts';
import { threadMs } from './thread-time.ts';

const tries = 9;
const { bodySizeMax, bodyValuesMax } = loadConfig({ flags: {}, env: {} });

const array = (count: number, one: string) => `[${Array(count).fill(one).join(',')}]`;
const chat = (text: string) => JSON.stringify({ messages: [{ role: 'user', content: text }] });
const line = 'const parse = (file) => file.lines.map((line) => line.trim()); // all of it\n';
const lines = line.repeat(Math.floor((0.98 * bodySizeMax) / (line.length + 1)));
const memberCount = Math.floor(bodyValuesMax / 5) - 1;

const bodies: Readonly<Record<string, string>> = {
  'one text, ASCII': chat(lines),
  'one text, with another letter': chat(`é${lines}`),
  'one text, Chinese': chat('解析器读取文件'.repeat(Math.floor(bodySizeMax / 22))),
  numbers: array(bodyValuesMax, '123456'),
  'decimal numbers': array(bodyValuesMax, '0.123456789'),
  texts: array(bodyValuesMax, '"ab"'),
  'empty objects': array(bodyValuesMax, '{}'),
  'objects of two members': array(Math.floor(bodyValuesMax / 10) - 1, '{"a":1,"b":""}'),
  'one object of other members each': `{${Array.from({ length: memberCount }, (_, i) => `"k${i}":1`).join(',')}}`,
};

const append = (content: object) => ({ type: 'session.append', session: 1, ...content });
const frames: Readonly<Record<string, object>> = {
  'one text, ASCII': append({ text: lines }),
  'one text, with another letter': append({ text: `é${lines}` }),
  'one text, Chinese': append({ text: '解析器读取文件'.repeat(Math.floor(bodySizeMax / 22)) }),
  'one text, emoji': append({ text: '😀a'.repeat(Math.floor(bodySizeMax / 6)) }),
  tokens: append({ tokens: Array.from({ length: bodyValuesMax - 20 }, (_, i) => i) }),
  '4,096 messages': append({ messages: Array(4096).fill({ role: 'user', content: lines.slice(0, 1000) }) }),
};

const read = Object.entries(bodies).map(([name, json]) => {
  const body = new Uint8Array(Buffer.from(json));
  return row(name, body, () => parseJson(body, bodyValuesMax));
});
for (const [name, message] of Object.entries(frames)) {
  const frame = pack(message);
  read.push(row(`frame, ${name}`, frame, () => decodeClientFrame(frame, bodyValuesMax)));
}
console.table(read);

function row(
  name: string,
  bytes: Uint8Array,
  parse: () => { ok: true } | { ok: false; fault: Fault },
): object {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < tries; attempt++) {
    const start = threadMs();
    const parsed = parse();
    least = Math.min(least, threadMs() - start);
    if (!parsed.ok) throw new Error(`${name}: ${parsed.fault.message}`);
  }
  return { read: name, MiB: (bytes.length / 2 ** 20).toFixed(1), ms: least.toFixed(1) };
}
