import { expect, test } from 'vitest';
import { Transcript, type TranscriptModel } from '../../../../server/sessions/transcript.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { byteModel, FIM } from '../../../native-world.ts';

const said = (transcript: Transcript) => byteModel.tokenizer.decode(transcript.tokens, { keepSpecial: true });

/** Trims what the assistant said, as many templates do, and forgets all but its last answer. */
const forgetful: TranscriptModel = {
  ...byteModel,
  chatTemplate: {
    render: (messages, { addGenerationPrompt }) => {
      const last = messages.findLastIndex(({ role }) => role === 'assistant');
      const lines = messages.map(({ role, content }, index) =>
        role === 'assistant' && index < last
          ? `${role}: (old)<|end|>\n`
          : `${role}: ${String(content).trim()}<|end|>\n`,
      );
      return lines.join('') + (addGenerationPrompt ? 'assistant: ' : '');
    },
  },
};

function answer(transcript: Transcript, text: string, keep = true): void {
  expect(transcript.openAnswer()).toMatchObject({ ok: true });
  transcript.pushAnswer([...encodeBytes(text), BYTE_EOS]);
  transcript.closeAnswer({ keep, text });
}

test('filling in the middle lays both sides out around the cursor', () => {
  const transcript = new Transcript(byteModel, 100);
  expect(transcript.appendText('ab', 'yz')).toEqual({ ok: true, start: 0 });
  expect([...transcript.tokens]).toEqual([
    FIM.prefixId,
    ...encodeBytes('ab'),
    FIM.suffixId,
    ...encodeBytes('yz'),
    FIM.middleId,
  ]);
  expect(transcript.appendText('ab', 'yz')).toMatchObject({ ok: false, fault: { param: 'suffix' } });
});

test('a model without the tokens for it refuses to fill in the middle', () => {
  const transcript = new Transcript({ ...byteModel, fim: null }, 100);
  expect(transcript.appendText('ab', '')).toMatchObject({ ok: false, fault: { param: 'suffix' } });
  expect(transcript.tokenCount).toBe(0);
});

test('raw text starts as the tokenizer wants prompts to start, once', () => {
  const tokenizer = { ...byteModel.tokenizer, startIds: [200] };
  const transcript = new Transcript({ ...byteModel, tokenizer }, 100);
  transcript.appendText('a', null);
  transcript.appendText('b', null);
  expect([...transcript.tokens]).toEqual([200, 97, 98]);
});

test('a session is raw or a chat, never both', () => {
  const raw = new Transcript(byteModel, 100);
  raw.appendTokens([1]);
  expect(raw.appendMessages([{ role: 'user', content: 'a' }])).toMatchObject({ ok: false });
  const chat = new Transcript(byteModel, 100);
  chat.appendMessages([{ role: 'user', content: 'a' }]);
  expect(chat.appendText('a', null)).toMatchObject({ ok: false, fault: { code: 'invalid_request' } });
  expect(chat.appendTokens([1])).toMatchObject({ ok: false, fault: { code: 'invalid_request' } });
});

test('a template that rewrites history costs the tokens after the first difference', () => {
  const transcript = new Transcript(forgetful, 1000);
  transcript.appendMessages([{ role: 'user', content: 'one' }]);
  answer(transcript, '  first  ');
  const before = transcript.tokenCount;
  const outcome = transcript.appendMessages([{ role: 'user', content: 'two' }]);
  expect(said(transcript)).toBe('user: one<|end|>\nassistant: first<|end|>\nuser: two<|end|>\n');
  expect(outcome.ok && outcome.start).toBeLessThan(before);
  expect(outcome.ok && outcome.start).toBe('user: one$\nassistant: '.length);
});

test('an answer dropped after its opening rewrote history leaves what stood before', () => {
  const transcript = new Transcript(
    {
      ...forgetful,
      chatTemplate: {
        render: (messages, options) =>
          // Only a prompt tells the model about its tools: the opening changes the start.
          (options.addGenerationPrompt ? 'tools<|end|>' : '') +
          forgetful.chatTemplate!.render(messages, options),
      },
    },
    1000,
  );
  transcript.appendMessages([{ role: 'user', content: 'one' }]);
  const before = said(transcript);
  answer(transcript, 'no', false);
  expect(said(transcript)).toBe(before);
  answer(transcript, 'yes');
  transcript.appendMessages([{ role: 'user', content: 'two' }]);
  expect(said(transcript)).toBe('user: one<|end|>\nassistant: yes<|end|>\nuser: two<|end|>\n');
});

test('a conversation that the template refuses changes nothing', async () => {
  const { ChatTemplateError } = await import('../../../../models/template/chat-template.ts');
  const chatTemplate = {
    render: () => {
      throw new ChatTemplateError('roles must alternate');
    },
  };
  const transcript = new Transcript({ ...byteModel, chatTemplate }, 1000);
  expect(transcript.appendMessages([{ role: 'user', content: 'a' }])).toMatchObject({
    ok: false,
    fault: { code: 'invalid_request', param: 'messages', message: 'roles must alternate' },
  });
  expect(transcript.appendText('a', null)).toMatchObject({ ok: true });
  const without = new Transcript({ ...byteModel, chatTemplate: null }, 1000);
  expect(without.appendMessages([{ role: 'user', content: 'a' }])).toMatchObject({ ok: false });
});

test('the bound holds for every kind of append, and a refused one adds nothing', () => {
  const transcript = new Transcript(byteModel, 20);
  transcript.appendTokens(new Array(15).fill(1));
  expect(transcript.appendTokens(new Array(6).fill(1))).toMatchObject({ ok: false });
  expect(transcript.appendText('123456', null)).toMatchObject({ ok: false });
  expect(transcript.tokenCount).toBe(15);
  const chat = new Transcript(byteModel, 20);
  expect(chat.appendMessages([{ role: 'user', content: 'much too long for it' }])).toMatchObject({
    ok: false,
  });
  expect(chat.appendMessages([{ role: 'user', content: 'short' }])).toMatchObject({ ok: true });
  expect(chat.openAnswer()).toMatchObject({ ok: false, fault: { code: 'context_length_exceeded' } });
  expect(said(chat)).toBe('user: short<|end|>\n');
});
