// What the device's steps cost, as they were measured lately. Before it: hardware-pane.tsx.
import type { VNode } from 'preact';
import { Card, Table } from './card.tsx';
import type { LiveCosts } from './live-report.ts';
import { count, digits, milliseconds } from './numbers.ts';

export function CostTables({ costs, hint }: Readonly<{ costs: LiveCosts | null; hint: string }>): VNode {
  const most = Math.max(1e-9, ...(costs?.byRows.map(({ stepMs }) => stepMs) ?? []));
  return (
    <Card title="Step costs" hint={hint}>
      {costs === null && <p class="hint">No step yet: ask something.</p>}
      {costs !== null && (
        <>
          <dl class="costs">
            <div>
              <dt>A prompt token</dt>
              <dd>{milliseconds(costs.prefillMsPerToken)}</dd>
            </div>
            <div>
              <dt>The engine’s own time per step</dt>
              <dd>{milliseconds(costs.planMs)}</dd>
            </div>
          </dl>
          <Table
            heads={costs.byRows.length === 0 ? [] : ['answers at once', 'a step', 'tokens a second', 'steps']}
          >
            {costs.byRows.map(({ rows, stepMs, count: steps }) => (
              <tr key={rows}>
                <td>{rows}</td>
                <td>
                  <span class="cost-bar" style={{ width: `${(70 * stepMs) / most}px` }} />
                  {milliseconds(stepMs)}
                </td>
                <td>{digits((1000 * rows) / stepMs)}</td>
                <td>{count(steps)}</td>
              </tr>
            ))}
          </Table>
        </>
      )}
    </Card>
  );
}
