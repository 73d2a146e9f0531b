// The training recipe where PyTorch is there: learn one batch, resume, export, and compute the same with our loader.
// SPARKLANE_PYTHON names the interpreter; without torch the test says so and skips.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { loadCheckpoint } from '../../../models/checkpoint/checkpoint.ts';
import { loadModel } from '../../../models/model.ts';
import { argmax, createReferenceDecoder } from '../../reference-decoder.ts';
import { temporaryDirectory } from '../../temporary-directory.ts';

const recipe = resolve(import.meta.dirname, '../../../models/train');
const directory = temporaryDirectory();
const torch = hasTorch();
const saidSchema = z.object({
  first: z.number(), // nats a token, untrained
  last: z.number(),
  ids: z.array(z.int()), // the batch's first window
  next: z.int(), // what PyTorch says follows
});

test.skipIf(!torch)(
  'the recipe learns one batch, resumes in the middle, and exports what our loader computes alike',
  () => {
    const ran = python([resolve(recipe, 'overfit.py'), directory]);
    expect(ran.status, ran.stderr).toBe(0);
    const said = saidSchema.parse(JSON.parse(ran.stdout.trim().split('\n').at(-1)!));
    expect(said.first).toBeGreaterThan(8); // ln 8192 = 9.01
    expect(said.last).toBeLessThan(0.5);
    const exported = resolve(directory, 'tiny');
    expect(loadModel(exported).fim).not.toBeNull();
    const decoder = createReferenceDecoder(loadCheckpoint(exported));
    expect(argmax(decoder.logits(said.ids))).toBe(said.next);
  },
);

test.skipIf(!torch)('every edit of a function differs from it in what it says, and nothing else', () => {
  const ran = python([resolve(recipe, 'functions_check.py')]);
  expect(ran.status, ran.stderr).toBe(0);
});

function python(args: readonly string[]) {
  const command = process.env['SPARKLANE_PYTHON'] ?? 'python3';
  return spawnSync(command, ['-B', ...args], { cwd: recipe, encoding: 'utf8' });
}

function hasTorch(): boolean {
  const there = python(['-c', 'import torch, safetensors, numpy']).status === 0;
  if (!there) console.warn('skipped: python has no torch, safetensors and numpy (set SPARKLANE_PYTHON)');
  return there;
}
