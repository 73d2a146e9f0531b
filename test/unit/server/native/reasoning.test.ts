// Answers whose reasoning is told apart: in frames of its own place, whatever the pace; to a reader who comes back; at the end.
import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../../../kernels/clock.ts';
import { commonMarks } from '../../../../models/template/reasoning-marks.ts';
import type { GenerationEnded, TokensFrame } from '../../../../server/client/messages.ts';
import { reasoningSplit } from '../../../../server/native/reasoning-split.ts';
import { BYTE_EOS, encodeBytes } from '../../../byte-text.ts';
import { byteModel, NativeServer, type NativeServerOptions } from '../../../native-world.ts';
import { ScriptedEngine } from '../../../scripted-engine.ts';

const answer = '<think>\nhm, so\n</think>\n\nYes.';

function setup(says = answer, options: Partial<NativeServerOptions> = {}, tokensPerStep = 1) {
  const clock = new VirtualClock();
  const tokens = [...encodeBytes(says), BYTE_EOS];
  const engine = new ScriptedEngine({ clock, tokensPerStep, script: () => ({ tokens }) });
  const newSplit = reasoningSplit(commonMarks);
  return { server: new NativeServer({ clock, engine, newSplit, ...options }) };
}

const messages = [{ role: 'user', content: 'Sure?' }];

async function asked(server: NativeServer, question: object) {
  const client = await server.connect();
  const session = client.open();
  const { id } = await server.settle(session.opened);
  void session.append({ messages });
  const frames: TokensFrame[] = [];
  const running = session.generate(question, (frame) => void frames.push(frame));
  const end = await server.settle(running.end);
  return { client, id, frames, end };
}

const said = (frames: readonly TokensFrame[], end: GenerationEnded) => ({
  text: frames.map(({ text }) => text).join('') + end.text,
  reasoning: frames.map(({ reasoning }) => reasoning ?? '').join('') + (end.reasoning ?? ''),
});

describe('an answer', () => {
  test.each([1, 4, 64])('of %i tokens a step comes in two parts, without marks', async (tokensPerStep) => {
    const { server } = setup(answer, {}, tokensPerStep);
    const { frames, end } = await asked(server, { reasoning: true });
    expect(said(frames, end)).toEqual({ text: 'Yes.', reasoning: 'hm, so' });
    const tokens = frames.flatMap((frame) => [...frame.tokens]);
    expect(tokens.filter((id) => id !== BYTE_EOS)).toEqual([...encodeBytes(answer)]);
    expect(end.usage.reasoningTokens).toBeLessThan(end.usage.outputTokens);
    expect(end.usage.reasoningTokens).toBeGreaterThanOrEqual(tokensPerStep === 64 ? 0 : 20);
  });

  test('is told as it is where nobody asks for parts', async () => {
    const { server } = setup();
    const { frames, end } = await asked(server, {});
    expect(said(frames, end)).toEqual({ text: answer, reasoning: '' });
    expect(end.usage.reasoningTokens).toBeUndefined();
  });

  test('that its prompt has opened begins with reasoning', async () => {
    const chatTemplate = { render: () => 'user: Sure?\nassistant: <think>\n' };
    const { server } = setup('hm</think>Yes.', { model: { ...byteModel, chatTemplate } });
    const { frames, end } = await asked(server, { reasoning: true });
    expect(said(frames, end)).toEqual({ text: 'Yes.', reasoning: 'hm' });
  });

  test('cut within its reasoning tells what there is', async () => {
    const { server } = setup();
    const { frames, end } = await asked(server, { reasoning: true, maxTokens: 12 });
    expect(said(frames, end)).toEqual({ text: '', reasoning: 'hm,' });
    expect(end.usage.reasoningTokens).toBe(12);
  });

  test('stays in its session as it was drawn', async () => {
    const { server } = setup();
    const { client, id } = await asked(server, { reasoning: true });
    expect((await server.settle(client.show(id))).text).toContain(answer);
  });
});

test.each([3, 9, 17, 25])(
  'a reader who comes back with %i tokens hears the rest of both parts',
  async (count) => {
    const { server } = setup();
    const whole = await asked(server, { reasoning: true });
    const read = whole.frames.slice(0, count); // a token each
    expect(read.flatMap(({ tokens }) => [...tokens])).toHaveLength(count);
    const again = await server.connect();
    const session = again.resume(whole.id, { generation: 0, index: count });
    const frames: TokensFrame[] = [];
    const end = await server.settle(session.continued(0, (frame) => void frames.push(frame)).end);
    expect(frames[0]!.index).toBe(count);
    expect(said([...read, ...frames], end)).toEqual({ text: 'Yes.', reasoning: 'hm, so' });
  },
);
