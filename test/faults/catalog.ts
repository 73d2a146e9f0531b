// Every fault, by family: what faults.test.ts carries out one by one, mix.test.ts by chance, docs/faults.md promises.

import { bombs } from './bombs.ts';
import { device } from './device.ts';
import { disconnects } from './disconnects.ts';
import { exhausted } from './exhausted.ts';
import type { Family } from './fault.ts';
import { grammars } from './grammars.ts';
import { malformed } from './malformed.ts';
import { models } from './models.ts';
import { overflow } from './overflow.ts';
import { oversized } from './oversized.ts';
import { parameters } from './parameters.ts';
import { races } from './races.ts';
import { readers } from './readers.ts';
import { rfc6455 } from './rfc6455.ts';
import { slow } from './slow.ts';
import { pages, strangers } from './strangers.ts';

export const FAMILIES: readonly Family[] = [
  malformed,
  oversized,
  rfc6455,
  bombs,
  slow,
  readers,
  disconnects,
  races,
  parameters,
  overflow,
  grammars,
  exhausted,
  device,
  models,
  strangers,
  pages,
];
