// A small hub on loopback, real sockets: listings, metadata, files with ranges, redirects to a second port as the hub
// has its storage elsewhere. What goes wrong with a file's bytes is the test's to say, piece by piece.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface MirrorRequest {
  readonly host: 'hub' | 'storage';
  readonly method: string;
  readonly url: string;
  readonly authorization: string | null;
  readonly range: string | null;
}

/** What a test may do to an answer; undefined leaves it as it is. */
export interface MirrorFault {
  readonly status?: number; // answered instead
  readonly headers?: Readonly<Record<string, string>>; // with that status
  readonly bytes?: Buffer; // of the whole file, instead of its own
  readonly ignoreRange?: boolean;
  readonly cutAt?: number; // the connection is destroyed before this byte of the file
}

const LARGE_SIZE = 4096; // bytes, from which a file lies in storage
const PIECE_SIZE = 16 * 1024;

export class HubMirror {
  readonly requests: MirrorRequest[] = [];
  served = 0; // bytes of files that were given to sockets
  architecture: string | null = null; // of GGUF files, as the hub reads it off them
  token: string | null = null; // needed for everything, if set
  listedMax = 1000; // files in the short listing
  storageIsHub = false; // redirects go to the hub's own port
  pageSize = 1000; // files on a page of the long one
  /** Asked before an answer begins; `path` of the repository, '' for a listing. */
  fault: (request: MirrorRequest, path: string) => MirrorFault | undefined = () => undefined;
  /** Awaited before each piece of a file. */
  beforePiece: (path: string, offset: number) => Promise<void> | undefined = () => undefined;
  readonly #models = new Map<string, Map<string, Buffer>>();
  readonly #commits = new Map<string, string>();
  #hub!: Server;
  #storage!: Server;

  static async open(): Promise<HubMirror> {
    const mirror = new HubMirror();
    mirror.#hub = await listening((request, response) => mirror.#onHub(request, response));
    mirror.#storage = await listening((request, response) => mirror.#onStorage(request, response));
    return mirror;
  }

  get endpoint(): string {
    return urlOf(this.#hub);
  }

  get storage(): string {
    return urlOf(this.#storage);
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  /** Makes a new commit; resolves its name. */
  put(id: string, files: Readonly<Record<string, Buffer | string>>): string {
    const all = this.#models.get(id) ?? new Map<string, Buffer>();
    for (const [path, bytes] of Object.entries(files)) all.set(path, Buffer.from(bytes));
    this.#models.set(id, all);
    const hash = createHash('sha1');
    for (const [path, bytes] of all) hash.update(`${path}\0${gitSha1(bytes)}`);
    const commit = hash.digest('hex');
    this.#commits.set(id, commit);
    return commit;
  }

  async #onHub(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url!.startsWith('/stored/')) return this.#onStorage(request, response);
    const seen = this.#note('hub', request);
    const url = new URL(seen.url, this.endpoint);
    const resolved = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const path = resolved === null ? '' : decodeURIComponent(resolved[3]!);
    const fault = this.fault(seen, path);
    if (fault?.status !== undefined) return refuse(response, fault.status, fault.headers);
    if (this.token !== null && seen.authorization !== `Bearer ${this.token}`) {
      const code = seen.authorization === null ? { 'x-error-code': 'RepoNotFound' } : {};
      return refuse(response, 401, { 'x-error-message': 'Invalid username or password.', ...code });
    }
    if (resolved === null) return this.#answerApi(url, response);
    const [, id, revision] = resolved;
    const bytes = this.#models.get(id!)?.get(path);
    const commit = this.#commits.get(id!);
    if (bytes === undefined) return refuse(response, 404, { 'x-error-code': 'EntryNotFound' });
    if (revision !== 'main' && revision !== commit)
      return refuse(response, 404, { 'x-error-code': 'RevisionNotFound' });
    const headers = { 'x-repo-commit': commit!, 'accept-ranges': 'bytes' };
    if (bytes.length < LARGE_SIZE) {
      return this.#sendFile(seen, response, {
        path,
        bytes,
        headers: { ...headers, etag: `"${gitSha1(bytes)}"` },
        fault,
      });
    }
    response.writeHead(302, {
      ...headers,
      location: `${this.storageIsHub ? this.endpoint : this.storage}/stored/${id}/${encodeURIComponent(path)}`,
      'x-linked-etag': `"${sha256(bytes)}"`,
      'x-linked-size': String(bytes.length),
    });
    response.end();
  }

  async #onStorage(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const seen = this.#note('storage', request);
    const [, , owner, name, encoded] = new URL(seen.url, this.storage).pathname.split('/');
    const path = decodeURIComponent(encoded ?? '');
    const fault = this.fault(seen, path);
    if (fault?.status !== undefined) return refuse(response, fault.status, fault.headers);
    const bytes = this.#models.get(`${owner}/${name}`)?.get(path);
    if (bytes === undefined) return refuse(response, 403, {});
    // Storage has tags of its own, which mean nothing to the hub.
    return this.#sendFile(seen, response, { path, bytes, headers: { etag: '"storage-tag-1"' }, fault });
  }

  async #answerApi(url: URL, response: ServerResponse): Promise<void> {
    const [, id, kind = 'revision', revision = 'main'] =
      /^\/api\/models\/([^/]+\/[^/]+)(?:\/(revision|tree)\/([^/]+))?$/.exec(url.pathname) ?? [];
    const files = this.#models.get(id ?? '');
    if (files === undefined) return refuse(response, 404, { 'x-error-code': 'RepoNotFound' });
    const commit = this.#commits.get(id!)!;
    if (revision !== 'main' && revision !== commit) {
      return refuse(response, 404, { 'x-error-code': 'RevisionNotFound' });
    }
    const names = [...files];
    if (kind === 'revision') {
      const siblings = names.slice(0, this.listedMax).map(([rfilename, bytes]) => ({
        rfilename,
        size: bytes.length,
        blobId: gitSha1(bytes),
        ...(bytes.length >= LARGE_SIZE && {
          lfs: { sha256: sha256(bytes), size: bytes.length, pointerSize: 134 },
        }),
      }));
      return json(response, {
        _id: '0',
        id,
        modelId: id,
        sha: commit,
        private: false,
        gated: false,
        siblings,
        tags: [],
        ...(this.architecture !== null && { gguf: { architecture: this.architecture, total: 1 } }),
      });
    }
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const page = names.slice(from, from + this.pageSize).map(([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: gitSha1(bytes),
      ...(bytes.length >= LARGE_SIZE && {
        lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 },
      }),
    }));
    url.searchParams.set('cursor', String(from + this.pageSize));
    const link = from + this.pageSize < names.length ? { link: `<${url.href}>; rel="next"` } : {};
    json(response, page, link);
  }

  async #sendFile(
    { method, range }: MirrorRequest,
    response: ServerResponse,
    file: {
      readonly path: string;
      readonly bytes: Buffer;
      readonly headers: Readonly<Record<string, string>>;
      readonly fault: MirrorFault | undefined;
    },
  ): Promise<void> {
    const bytes = file.fault?.bytes ?? file.bytes;
    const from = file.fault?.ignoreRange ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    const isPart = from > 0;
    if (from > bytes.length || (isPart && from === bytes.length)) {
      return refuse(response, 416, { 'content-range': `bytes */${bytes.length}` });
    }
    response.writeHead(isPart ? 206 : 200, {
      ...file.headers,
      'content-length': String(bytes.length - from),
      ...(isPart && { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }),
    });
    if (method === 'HEAD') return void response.end();
    const end = Math.min(file.fault?.cutAt ?? bytes.length, bytes.length);
    for (let at = from; at < end && !response.destroyed; at += PIECE_SIZE) {
      await this.beforePiece(file.path, at);
      const piece = bytes.subarray(at, Math.min(at + PIECE_SIZE, end));
      await new Promise((resolve) => response.write(piece, resolve));
      this.served += piece.length;
    }
    if (end < bytes.length) response.destroy();
    else response.end();
  }

  #note(host: MirrorRequest['host'], { method, url, headers }: IncomingMessage): MirrorRequest {
    const { authorization = null, range = null } = headers;
    const seen = { host, method: method!, url: url!, authorization, range };
    this.requests.push(seen);
    return seen;
  }
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function gitSha1(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function refuse(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: headers['x-error-message'] ?? `status ${status}` }));
}

function json(
  response: ServerResponse,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(200, { ...headers, 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

async function listening(
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Server> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
