// A certificate for tests of TLS, made by openssl where there is one.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from './temporary-directory.ts';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
  readonly path: string; // of the certificate
}

/** Of a server called `name`, or of these addresses too; null, with a line that says so, where there is no openssl. */
export function newCertificate(name: string, addresses: readonly string[] = []): Certificate | null {
  const directory = temporaryDirectory();
  const [key, cert] = ['key.pem', 'certificate.pem'].map((file) => join(directory, file)) as [string, string];
  const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert];
  try {
    const names = [
      '-subj',
      `/CN=${name}`,
      '-addext',
      `subjectAltName=${[`DNS:${name}`, ...addresses.map((ip) => `IP:${ip}`)].join()}`,
    ];
    execFileSync('openssl', ['req', ...made, ...names], { stdio: 'ignore' });
  } catch {
    console.log('skipped: no openssl here to make a certificate with');
    return null;
  }
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8'), path: cert };
}
