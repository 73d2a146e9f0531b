// A component's view of a store: drawn again whenever it changes, until it leaves the page.
import { useEffect, useState } from 'preact/hooks';
import type { Store } from './store.ts';

export function useStore<T extends object>(store: Store<T>): T {
  const [, redraw] = useState({});
  useEffect(() => store.subscribe(() => redraw({})), [store]);
  return store.state;
}
