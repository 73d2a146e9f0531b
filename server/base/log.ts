// One JSON line per event, through pino. Owns the shape of a line; never decides what is worth one, never sees
// prompts, answers or keys. The destination and the time of day are given by main.ts.
import { pino } from 'pino';

export type LogLevel = 'silent' | 'error' | 'warn' | 'info' | 'debug';

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Numbers and names beside the message; an Error under `err` is written with its stack. */
type LogFields = Readonly<Record<string, unknown>> & { readonly message?: never }; // the line has one

export interface LogParts {
  readonly level: LogLevel;
  readonly write: (line: string) => void; // one line, with its line end
  readonly epochMs: () => number; // time of day
}

export function createLog({ level, write, epochMs }: LogParts): Log {
  const logger = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date(epochMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }), log: withoutReserved },
    },
    { write },
  );
  return {
    debug: (message, fields = {}) => logger.debug(fields, message),
    info: (message, fields = {}) => logger.info(fields, message),
    warn: (message, fields = {}) => logger.warn(fields, message),
    error: (message, fields = {}) => logger.error(fields, message),
  };
}

const reserved = ['message', 'level', 'time'];

/** A name that is there twice hides one of the two from whoever parses the line. */
function withoutReserved(fields: Record<string, unknown>): Record<string, unknown> {
  if (!reserved.some((name) => name in fields)) return fields;
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [reserved.includes(name) ? `${name}_` : name, value]),
  );
}
