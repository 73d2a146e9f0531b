import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: 'test',
    exclude: ['**/node_modules/**', 'clients/**'], // paths as seen from dir
    // Two cores: end-to-end files start servers with a device thread each, so files run two at a time.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
