// PrefixChildren: what follows a block in the prefix cache. Nearly every block has one successor, which stands for itself; only
// forks have a map. Used by prefix-cache.ts.

/** None, the only one, or several by their keys. */
export type Children<Node> = Node | Map<string, Node> | null;

interface Keyed {
  readonly key: string;
}

export function childOf<Node extends Keyed>(children: Children<Node>, key: string): Node | undefined {
  if (children === null) return undefined;
  if (children instanceof Map) return children.get(key);
  return children.key === key ? children : undefined;
}

export function childCount<Node extends Keyed>(children: Children<Node>): number {
  if (children === null) return 0;
  return children instanceof Map ? children.size : 1;
}

/** The children with one more; none of its key was there. */
export function withChild<Node extends Keyed>(children: Children<Node>, child: Node): Children<Node> {
  if (children === null) return child;
  if (children instanceof Map) return children.set(child.key, child);
  return new Map([
    [children.key, children],
    [child.key, child],
  ]);
}

/** The children without the one of that key. */
export function withoutChild<Node extends Keyed>(children: Children<Node>, key: string): Children<Node> {
  if (!(children instanceof Map)) return children?.key === key ? null : children;
  children.delete(key);
  return children.size === 0 ? null : children;
}

export function everyChild<Node extends Keyed>(children: Children<Node>): Iterable<Node> {
  if (children === null) return [];
  return children instanceof Map ? children.values() : [children];
}
