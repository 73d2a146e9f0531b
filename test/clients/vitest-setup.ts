import { defineConfig } from 'vitest/config';

// Apart from the other tests: these need packages of their own (make test-clients installs them).
export default defineConfig({
  test: {
    dir: 'test/clients',
    maxWorkers: 1, // each test starts processes; two cores
    // A bound on what hangs, as in vitest.config.ts.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
