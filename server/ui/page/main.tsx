// The page's beginning: makes the world from the browser and draws. The only file of the page that touches clocks and timers.
import { render } from 'preact';
import { App } from './app.tsx';
import type { PageWorld } from './world.ts';

const world: PageWorld = {
  base: document.baseURI,
  fetch: (...args) => fetch(...args),
  nowMs: () => performance.now(),
  later: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
  tabStore: sessionStorage,
  store: localStorage,
};

render(<App world={world} />, document.getElementById('root')!);
