import { defineConfig } from 'vitest/config';

// Apart from the other tests: these need packages of their own (make test-clients installs them).
export default defineConfig({
  test: {
    dir: 'test/clients',
    maxWorkers: 1, // each test starts processes; two cores
    testTimeout: 60_000,
  },
});
