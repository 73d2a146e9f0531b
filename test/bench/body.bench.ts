// What reading a JSON body takes of the event loop, in ms of the thread's own time: the largest of each kind that the default
// bounds let through, the least of several tries. Run: npx tsx test/bench/body.bench.ts

import { parseJson } from '../../server/base/json-body.ts';
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

const rows = Object.entries(bodies).map(([name, json]) => {
  const body = new Uint8Array(Buffer.from(json));
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < tries; attempt++) {
    const start = threadMs();
    const parsed = parseJson(body, bodyValuesMax);
    least = Math.min(least, threadMs() - start);
    if (!parsed.ok) throw new Error(`${name}: ${parsed.fault.message}`);
  }
  return { body: name, MiB: (body.length / 2 ** 20).toFixed(1), ms: least.toFixed(1) };
});
console.table(rows);
