// How real connections are made: straight or through a proxy, with which certificates trusted. Reads the certificates.
import { readFileSync } from 'node:fs';
import { FlagError } from '../../base/flag-error.ts';

/** null: the system's. */
export interface Connection {
  readonly proxy: string | null; // http(s)://host:port of an HTTP proxy
  readonly ca: string | null; // PEM, trusted instead of the system's
  readonly insecure: boolean; // certificates are not checked
}

export const DIRECT: Connection = { proxy: null, ca: null, insecure: false };

/** Throws FlagError. */
export function readCa(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new FlagError('ca', path, `a readable file (${(error as Error).message})`);
  }
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw new FlagError('ca', path, 'certificates in PEM');
  return text;
}

/** For node:tls, as undici and ws take it. */
export function tlsOptions({ ca, insecure }: Connection): { ca?: string; rejectUnauthorized?: boolean } {
  return { ...(ca !== null && { ca }), ...(insecure && { rejectUnauthorized: false }) };
}
