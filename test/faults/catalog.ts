// Every fault, by family: what faults.test.ts carries out one by one, mix.test.ts and soak.test.ts in one server's life, docs/faults.md promises.

import { bombs } from './bombs.ts';
import { device } from './device.ts';
import { disconnects } from './disconnects.ts';
import { exhausted } from './exhausted.ts';
import type { Family, Fault } from './fault.ts';
import { grammars } from './grammars.ts';
import { malformed } from './malformed.ts';
import { models } from './models.ts';
import { overflow } from './overflow.ts';
import { oversized } from './oversized.ts';
import { parameters } from './parameters.ts';
import { processes } from './processes.ts';
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
  processes,
  models,
  strangers,
  pages,
];

// Those that bring no options of their own; a keyless flood takes the very sockets that others of the mix open.
export const MIXED: readonly Fault[] = FAMILIES.filter(({ flags }) => flags === undefined).flatMap(
  ({ faults }) => faults.filter(({ id, pace }) => pace !== 'slow' && id !== 'slow/keyless-sockets'),
);
