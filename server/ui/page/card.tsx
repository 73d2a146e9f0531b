// A titled card, and a table that scrolls by itself where it is too wide. Used by every pane but the playground.
import type { ComponentChildren, VNode } from 'preact';

export function Card({
  title,
  hint,
  children,
}: {
  readonly title: string;
  readonly hint: string;
  readonly children: ComponentChildren;
}): VNode {
  return (
    <section class="card block" aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="hint">{hint}</span>
      </header>
      {children}
    </section>
  );
}

export function Table({
  heads,
  children,
}: {
  readonly heads: readonly string[];
  readonly children: ComponentChildren;
}): VNode | null {
  if (heads.length === 0) return null;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls
    <div class="scroll-x" tabIndex={0}>
      <table class="list">
        <thead>
          <tr>
            {heads.map((head, index) => (
              <th key={index} scope="col">
                {head === '' ? <span class="visually-hidden">state</span> : head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
