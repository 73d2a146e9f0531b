// The environment of servers that tests start over real sockets and real weights. Data only.
import { env } from 'node:process';

/**
 * One thread of the device each: files run two at a time, and on two cores four threads that meet after every operator wait for
 * each other for most of the time. What a thread more changes is for test/golden/row-invariance.test.ts and the law's first server.
 */
export const servedEnv: Readonly<Record<string, string>> = {
  SPARKLANE_THREADS: '1',
  ...(env['SPARKLANE_LISTENER'] === undefined ? {} : { SPARKLANE_LISTENER: env['SPARKLANE_LISTENER'] }),
};
