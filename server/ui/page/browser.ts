// What the page is given of its browser: time, storage, the network. Made once by main.tsx, so that everything else can be
// run without a browser, at any pace.

export interface Browser {
  readonly base: string; // address of the page; the server's routes are relative to it
  readonly fetch: typeof fetch;
  readonly nowMs: () => number; // origin arbitrary
  readonly later: (delayMs: number, fn: () => void) => () => void; // answers how to call it off
  readonly tabStore: TextStore; // ends with the tab
  readonly store: TextStore; // outlives it: taste only, never a key or a text
}

/** Of the browser's Storage, what the page uses. */
export interface TextStore {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
  removeItem(name: string): void;
}
