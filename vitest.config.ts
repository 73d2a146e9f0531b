import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    dir: 'test',
    exclude: ['**/node_modules/**', 'clients/**'], // paths as seen from dir
    // Two cores: end-to-end files start servers with a device thread each, so files run two at a time.
    maxWorkers: 2,
    // A bound on what hangs, never a measure: on a machine that others use, too, everything takes ten times as long.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
