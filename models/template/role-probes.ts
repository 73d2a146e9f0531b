// Conversations that show whether a template says what somebody of a role says. Pure. Before it: chat-template.ts renders
// them and looks for the probe.

export const PROBE = 'sparklaneprobe';

export function roleProbes(role: string): readonly (readonly Readonly<Record<string, unknown>>[])[] {
  const probe = { role, content: PROBE, name: 'probe', tool_call_id: 'probe0000' };
  const question = { role: 'user', content: 'a' };
  const call = { id: 'probe0000', type: 'function', function: { name: 'probe', arguments: {} } };
  return [
    [probe, question],
    [question, probe],
    [question, { role: 'assistant', content: '', tool_calls: [call] }, probe],
    [question, { role: 'assistant', content: 'b' }, probe],
  ];
}
