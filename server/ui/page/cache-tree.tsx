// The prefix cache as a tree: runs of blocks that are walked together, how long each is, and how many hold it now. A bar is as
// long as what hangs below it. Before it: live-pane.tsx.
import type { VNode } from 'preact';
import type { LiveBranch } from './live-report.ts';
import { count } from './numbers.ts';

const DEPTH_MAX = 6;

export function CacheTree({ trees, cut }: Readonly<{ trees: readonly LiveBranch[]; cut: boolean }>): VNode {
  const largest = Math.max(1, ...trees.map(({ below }) => below));
  return (
    <section class="card block tree" aria-label="Prefix tree">
      <header>
        <h2>Prefix tree</h2>
        <span class="hint">what prompts share, in tokens</span>
      </header>
      {trees.length === 0 && <p class="hint">Nothing is cached yet.</p>}
      {trees.map((tree) => (
        <div key={tree.salt} class="root">
          <p class="hint">
            {tree.salt === '' ? 'everybody' : tree.salt} · {count(tree.below)} tokens
          </p>
          <Branches branches={tree.branches} largest={largest} depth={0} />
        </div>
      ))}
      {cut && <p class="hint">There is more than is shown.</p>}
    </section>
  );
}

function Branches({
  branches,
  largest,
  depth,
}: {
  readonly branches: readonly LiveBranch[];
  readonly largest: number;
  readonly depth: number;
}): VNode | null {
  if (branches.length === 0 || depth >= DEPTH_MAX) return null;
  return (
    <ul>
      {branches.map((branch, index) => (
        <li key={index}>
          <div class={`branch${branch.holders > 0 ? ' held' : ''}`}>
            <span class="bar" style={{ width: `${Math.max(2, (60 * branch.below) / largest)}%` }} />
            <span>
              {count(branch.tokens)}
              {branch.holders > 0 && <em> in {branch.holders === 1 ? 'use' : `use by ${branch.holders}`}</em>}
            </span>
          </div>
          <Branches branches={branch.branches} largest={largest} depth={depth + 1} />
        </li>
      ))}
    </ul>
  );
}
