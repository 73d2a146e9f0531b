import { defineConfig } from 'vitest/config';

// Small and pure: their files share a process, which reads our modules once and not again for each of them. What loads native
// code, starts processes or serves on sockets has a process of its own.
const together = [
  ...['unit/!(kernels)/**/*.test.ts', 'unit/kernels/{reference,sim}/**/*.test.ts', 'unit/kernels/*.test.ts'],
  ...['property/*.test.ts', 'property/!(kernels)/**/*.test.ts', 'property/kernels/{,sim/}*.test.ts'],
  'openai/*.test.ts',
];
const exclude = ['**/node_modules/**', 'clients/**']; // paths as seen from dir

export default defineConfig({
  test: {
    dir: 'test',
    globalSetup: 'test/run-folders.ts',
    // Two cores: end-to-end files start servers with a device thread each, so files run two at a time.
    maxWorkers: 2,
    // A bound on what hangs, never a measure: on a machine that others use, too, everything takes ten times as long.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    projects: [
      { extends: true, test: { name: 'alone', exclude: [...exclude, ...together], isolate: true } },
      { extends: true, test: { name: 'together', include: together, exclude, isolate: false } },
    ],
  },
});
