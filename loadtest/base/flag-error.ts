// Refusals that a person reads: a flag that makes no sense, a trace that is broken. The command line prints the message and
// exits with 2; nothing else catches them.

/** A bad flag: its name, what was given, and what would have been accepted. */
export class FlagError extends Error {
  override readonly name = 'FlagError';

  constructor(flag: string, value: string, bound: string) {
    super(`--${flag} ${JSON.stringify(value)}: expected ${bound}`);
  }
}

/** A bad trace: the file, the line (from 1) and the reason. */
export class TraceError extends Error {
  override readonly name = 'TraceError';

  constructor(file: string, line: number, reason: string) {
    super(`${file}: line ${line}: ${reason}`);
  }
}
