// ResultFile: whether a file can be written, asked before a study that takes minutes begins. For commands.ts, fleet/ and machine/.
import { closeSync, openSync } from 'node:fs';
import { FlagError } from '../base/flag-error.ts';

/** Throws FlagError naming the flag. Makes the file where there is none. */
export function refuseUnwritable(flag: string, file: string | undefined): void {
  if (file === undefined) return;
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw new FlagError(flag, file, `a file that can be written: ${(error as Error).message}`);
  }
}
