// The page's beginning: makes a Browser of the browser and draws. The only file of the page that touches clocks and timers.
import { render } from 'preact';
import type { Browser } from './browser.ts';
import { WholePage } from './whole-page.tsx';

const browser: Browser = {
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

render(<WholePage browser={browser} />, document.getElementById('root')!);
