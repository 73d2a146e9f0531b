// A prompt's tokens are the same with and without what the encoder remembers of others.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadModel } from '../../../models/model.ts';
import { PromptEncoder } from '../../../server/chat/prompt-encoder.ts';

const { tokenizer } = loadModel('spark-nano');

const words = [
  '<|im_start|>',
  '<|im_end|>',
  '<|fim_prefix|>',
  '<|im_',
  'user\n',
  ' the',
  'x',
  '\n',
  '  ',
  'é',
  '👩‍💻',
  '1234',
];
const text = fc.array(fc.constantFrom(...words), { maxLength: 24 }).map((parts) => parts.join(''));

test('whatever came before', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.nat(30), text), { minLength: 1, maxLength: 12 }), (steps) => {
      const encoder = new PromptEncoder(tokenizer, { promptCountMax: 3, textLengthMax: 500 });
      let last = '';
      for (const [start, kept, end] of steps) {
        // Sometimes something new, mostly a part of the last one and something more.
        last = kept === 0 ? start : last.slice(0, Math.floor((last.length * kept) / 24)) + end;
        const encoded = encoder.encode(last, 4096);
        expect(encoded.ok && Array.from(encoded.value)).toEqual(Array.from(tokenizer.encode(last)));
      }
    }),
    { numRuns: 300 },
  );
});

test('what was in common is not tokenised again', () => {
  const encoded: string[] = [];
  const encoder = new PromptEncoder({
    encode: (part) => {
      encoded.push(part);
      return tokenizer.encode(part);
    },
    isSpecial: (id) => tokenizer.isSpecial(id),
    tokenBytes: (id) => tokenizer.tokenBytes(id),
  });
  const turn = (role: string, content: string) => `<|im_start|>${role}\n${content}<|im_end|>\n`;
  const first = turn('system', 'Rules. '.repeat(1000)) + turn('user', 'Hi');
  encoder.encode(`${first}<|im_start|>assistant\n`, 4096);
  encoder.encode(
    `${first}${turn('assistant', 'Hello.')}${turn('user', 'And?')}<|im_start|>assistant\n`,
    4096,
  );
  expect(encoded[1]!.length).toBeLessThan(150);
});
