// Why an address cannot be listened on, in words. uWebSockets.js does not say; the system does, when it is asked for the
// same address in the way everybody else asks. Before it: listener.ts.
import { createServer } from 'node:net';

/** One line: the address, and what is in its way. */
export async function bindFault(host: string, port: number): Promise<string> {
  return `cannot listen on ${host}, port ${port}: ${reasonOf(await codeOf(host, port), port)}`;
}

function codeOf(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve('')));
  });
}

function reasonOf(code: string, port: number): string {
  switch (code) {
    case 'EADDRINUSE':
      return `another program listens there, maybe an earlier server; stop it or take another --port (ss -ltnp "sport = ${port}" says which)`;
    case 'EACCES':
      return 'not permitted; ports below 1024 need rights that this user lacks, take another --port';
    case 'EADDRNOTAVAIL':
      return 'this machine does not have that address; see --host';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'that name has no address; see --host';
    case 'EMFILE':
    case 'ENFILE':
      return 'no file descriptor is left; raise ulimit -n';
    case '':
      return 'it was in use a moment ago, or is not to be shared; try again';
    default:
      return `the system says ${code}`;
  }
}
