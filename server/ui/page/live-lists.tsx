// The lists of the live pane: seats, latest prompts, sessions, lanes. Before it: live-pane.tsx.
import type { VNode } from 'preact';
import { Card, Table } from './card.tsx';
import { MISS_WORDS } from './live-numbers.ts';
import type { LiveDevice, LiveLanes, LivePrompt, LiveReport, LiveSeat } from './live-report.ts';
import { age, count, milliseconds, percent } from './numbers.ts';

export function SeatList({
  seats,
  device,
}: {
  readonly seats: readonly LiveSeat[];
  readonly device: LiveDevice;
}): VNode {
  const total = device.replicaCount * device.slotCount;
  return (
    <Card title="Slots" hint={`${seats.length} of ${total} taken`}>
      {seats.length === 0 && <p class="hint">All are free.</p>}
      <ul class="seats">
        {seats.map((seat) => (
          <Seat key={`${seat.replica}/${seat.slot}`} seat={seat} />
        ))}
      </ul>
    </Card>
  );
}

function Seat({ seat }: { readonly seat: LiveSeat }): VNode {
  const { replica, slot, promptTokens, cachedTokens, computedTokens, outputTokens } = seat;
  const isPrefill = outputTokens === 0;
  const total = promptTokens + outputTokens;
  const part = (tokens: number) => ({ width: `${(100 * Math.max(0, tokens)) / Math.max(1, total)}%` });
  const computed = Math.max(0, Math.min(computedTokens, promptTokens) - cachedTokens);
  return (
    <li>
      <span class="seat-name">
        {replica}.{slot}
      </span>
      <span class="seat-bar" aria-hidden="true">
        <i class="cached" style={part(cachedTokens)} />
        <i class="computed" style={part(computed)} />
        <i class="drawn" style={part(outputTokens)} />
      </span>
      <span class={`tag ${isPrefill ? 'prefill' : 'decode'}`}>{isPrefill ? 'prefill' : 'decode'}</span>
      <span class="numbers">
        {count(Math.min(computedTokens, promptTokens))}/{count(promptTokens)} + {count(outputTokens)}
      </span>
    </li>
  );
}

export function PromptList({
  prompts,
  nowMs,
}: {
  readonly prompts: readonly LivePrompt[];
  readonly nowMs: number;
}): VNode {
  return (
    <Card title="Latest prompts" hint="what was cached, and why the rest was computed">
      {prompts.length === 0 && <p class="hint">Nobody has asked yet.</p>}
      <Table heads={prompts.length === 0 ? [] : ['when', 'cached', 'queued', 'why']}>
        {prompts.slice(0, 10).map(({ atMs, promptTokens, cachedTokens, why, queueMs }, index) => (
          <tr key={index}>
            <td>{age(nowMs - atMs)}</td>
            <td>
              {count(cachedTokens)} of {count(promptTokens)}
            </td>
            <td>{milliseconds(queueMs)}</td>
            <td class={`why ${why}`}>{MISS_WORDS[why]}</td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

export function SessionList({ sessions }: { readonly sessions: LiveReport['sessions'] }): VNode {
  return (
    <Card title="Sessions" hint={`${sessions.count} native`}>
      {sessions.count === 0 && <p class="hint">Nobody keeps a conversation here.</p>}
      <Table heads={sessions.count === 0 ? [] : ['session', 'owner', 'cursor', 'age', 'idle', '']}>
        {sessions.list.map(({ id, owner, tokens, attached, running, ageMs, idleMs }) => (
          <tr key={id}>
            <td>
              <code>{id}</code>
            </td>
            <td>{owner === '' ? 'nobody' : owner}</td>
            <td>{count(tokens)}</td>
            <td>{age(ageMs)}</td>
            <td>{age(idleMs)}</td>
            <td>
              <span class={`tag ${running ? 'decode' : ''}`}>
                {running ? 'answering' : attached ? 'open' : 'away'}
              </span>
            </td>
          </tr>
        ))}
      </Table>
    </Card>
  );
}

export function LaneList({ lanes }: { readonly lanes: LiveLanes }): VNode {
  const { budget, currency, spent } = lanes;
  return (
    <Card title="Lanes" hint="who answers, within which limits">
      <Table heads={['lane', 'running', 'queue', 'a minute', 'circuit']}>
        {lanes.lanes.map((lane) => (
          <tr key={lane.name}>
            <td>
              <strong>{lane.name}</strong>
            </td>
            <td>
              {lane.running} of {count(lane.concurrency)}
            </td>
            <td>
              {lane.waiting} of {count(lane.queueLengthMax)}
            </td>
            <td>{rateWords(lane.requestsPerMinute, lane.tokensPerMinute)}</td>
            <td>
              <span class={`tag ${lane.circuit === 'open' ? 'bad' : ''}`}>{lane.circuit || 'local'}</span>
            </td>
          </tr>
        ))}
      </Table>
      <p class="hint">
        {budget === null
          ? 'No budget.'
          : spent
              .map(
                ({ owner, amount }) =>
                  `${owner === '' ? 'everybody' : owner}: ${amount.toFixed(4)} of ${budget} ${currency} today (${percent(amount / Math.max(1e-9, budget))})`,
              )
              .join('; ')}
      </p>
    </Card>
  );
}

function rateWords(requests: number | null, tokens: number | null): string {
  const words = [
    requests === null ? null : `${count(requests)} requests`,
    tokens === null ? null : `${count(tokens)} tokens`,
  ];
  return words.filter((word) => word !== null).join(', ') || 'no limit';
}
