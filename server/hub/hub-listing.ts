// What the hub says of a model: the commit that a revision is now, its files, and of a file its length, the name of
// its blob and its checksum. Owns the shapes of those answers and distrusts them. After it: hub-client.ts.
import { z } from 'zod';
import { parsedJson } from '../base/json-text.ts';
import type { HubAnswer, HubClient } from './hub-client.ts';
import { HubError } from './hub-error.ts';
import { referenceText } from './reference.ts';

export interface HubListing {
  readonly commit: string;
  readonly files: ReadonlyMap<string, ListedFile>; // by path
  readonly architecture: string | null; // of its GGUF files, as their metadata say; null: the hub does not know
}

/** Null: the listing does not say. */
interface ListedFile {
  readonly size: number | null; // bytes
  readonly sha256: string | null; // large files have it
  readonly gitSha1: string | null;
}

export interface Digest {
  readonly kind: 'sha256' | 'git-sha1';
  readonly hex: string;
}

export interface HubFile {
  readonly path: string; // in the repository
  readonly etag: string; // name of its blob
  readonly size: number; // bytes
  readonly digest: Digest | null; // null: the hub gives none
}

const JSON_SIZE_MAX = 64 * 2 ** 20; // bytes; a listing of 100,000 files has some 30 MB
const LISTED_WHOLE_MAX = 1000; // files, from which on the short listing may be cut; source: huggingface_hub
const PAGES_MAX = 1000;
const NO_HEAD = [405, 501]; // a mirror that knows GET only

const size = z.int().min(0).nullish();
const text = z.string().nullish();
const infoSchema = z.looseObject({
  sha: z.string().regex(/^[A-Za-z0-9][\w.-]{0,127}$/, 'is not a commit'),
  gguf: z.looseObject({ architecture: text }).nullish(),
  siblings: z
    .array(
      z.looseObject({
        rfilename: z.string(),
        size,
        blobId: text,
        lfs: z.looseObject({ sha256: text, size }).nullish(),
      }),
    )
    .nullish(),
});
const treeSchema = z.array(
  z.looseObject({
    type: z.string(),
    path: z.string(),
    size,
    oid: text,
    lfs: z.looseObject({ oid: text, size }).nullish(),
  }),
);

/** Rejects with HubError. */
export async function listModel(client: HubClient): Promise<HubListing> {
  const { id, revision } = client.reference;
  const api = `${client.parts.settings.endpoint}/api/models/${id}`;
  const url = `${api}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const { value } = await askJson(client, url, infoSchema);
  const { sha: commit, siblings } = value;
  const architecture = value.gguf?.architecture ?? null;
  if (siblings == null || siblings.length >= LISTED_WHOLE_MAX) {
    return { commit, architecture, files: await listTree(client, `${api}/tree/${commit}?recursive=true`) };
  }
  const files = siblings.map(
    ({ rfilename, size, blobId, lfs }) =>
      [
        rfilename,
        { size: lfs?.size ?? size ?? null, sha256: lfs?.sha256 ?? null, gitSha1: blobId ?? null },
      ] as const,
  );
  return { commit, architecture, files: new Map(files) };
}

/** Rejects with HubError. */
export function describeFile(client: HubClient, path: string, listing: HubListing): Promise<HubFile> {
  checkPath(path);
  const what = `${path} of ${client.reference.id}`;
  const ask = (method: 'HEAD' | 'GET', welcome: readonly number[]) =>
    client.ask({
      ...{ method, what, welcome, headOnly: true },
      url: fileUrl(client, path, listing.commit),
      headers: { 'accept-encoding': 'identity' },
    });
  return client.persist(async () => {
    let answer = await ask('HEAD', NO_HEAD);
    answer.discard();
    if (NO_HEAD.includes(answer.status)) {
      answer = await ask('GET', []);
      answer.discard();
    }
    return hubFile(path, answer, listing.files.get(path)!);
  });
}

/** Its bytes from `offset` on: status 200, 206 or 416. Rejects with HubError. */
export function openFile(
  client: HubClient,
  path: string,
  at: { commit: string; offset: number },
): Promise<HubAnswer> {
  return client.ask({
    method: 'GET',
    url: fileUrl(client, path, at.commit),
    headers: { 'accept-encoding': 'identity', ...(at.offset > 0 && { range: `bytes=${at.offset}-` }) },
    what: `${path} of ${client.reference.id}`,
    welcome: [416],
    headOnly: false,
  });
}

async function listTree(client: HubClient, url: string): Promise<ReadonlyMap<string, ListedFile>> {
  const files = new Map<string, ListedFile>();
  let next: string | null = url;
  for (let page = 0; next !== null; page++) {
    if (page === PAGES_MAX) throw new HubError('answer', `the listing of ${client.reference.id} has no end`);
    const { value, link }: { value: z.output<typeof treeSchema>; link: string | null } = await askJson(
      client,
      next,
      treeSchema,
    );
    for (const { type, path, size, oid, lfs } of value) {
      if (type !== 'file') continue;
      files.set(path, { size: lfs?.size ?? size ?? null, sha256: lfs?.oid ?? null, gitSha1: oid ?? null });
    }
    next = nextPage(link, next);
  }
  return files;
}

/** RFC 8288: <url>; rel="next". Relative links are relative to the page. */
function nextPage(link: string | null, page: string): string | null {
  const target = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (target === undefined) return null;
  if (URL.canParse(target, page)) return new URL(target, page).href;
  throw new HubError('answer', `${new URL(page).host} gives ${target} as its next page`);
}

function askJson<T extends z.ZodType>(
  client: HubClient,
  url: string,
  schema: T,
): Promise<{ value: z.output<T>; link: string | null }> {
  const what = referenceText({ ...client.reference, file: null });
  return client.persist(async () => {
    const headers = { accept: 'application/json', 'accept-encoding': 'identity' };
    const answer = await client.ask({ method: 'GET', url, headers, what, welcome: [], headOnly: false });
    const parsed = schema.safeParse(jsonOf(await textOf(answer, url), url));
    if (parsed.success) return { value: parsed.data, link: answer.header('link') };
    const [issue] = parsed.error.issues;
    const problem = `${issue!.path.join('.')}: ${issue!.message}`;
    throw new HubError('answer', `${new URL(url).host} answers what the hub would not: ${problem}`);
  });
}

async function textOf(answer: HubAnswer, url: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of answer.body) {
    size += piece.length;
    if (size > JSON_SIZE_MAX) {
      answer.discard();
      throw new HubError('answer', `${new URL(url).host} answers more than ${JSON_SIZE_MAX} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function jsonOf(text: string, url: string): unknown {
  const problem = `${new URL(url).host} answers something other than JSON: is HF_ENDPOINT right?`;
  return parsedJson(text, (cause) => new HubError('answer', problem, { cause }));
}

/** The answer's headers go before the listing: they are of the file, and what Hugging Face's tools name blobs by. */
function hubFile(path: string, { header }: HubAnswer, listed: ListedFile): HubFile {
  const given = normalised(header('x-linked-etag') ?? header('etag'));
  const etag = given ?? listed.sha256 ?? listed.gitSha1;
  if (etag === null) throw new HubError('answer', `the hub gives no tag for ${path}`);
  // It becomes a file's name.
  if (!/^[A-Za-z0-9][\w.+=-]{0,199}$/.test(etag)) {
    throw new HubError(
      'unsafe',
      `the hub's tag of ${path} is ${JSON.stringify(etag)}: not a name for a file`,
    );
  }
  const isRedirect = header('location') !== null;
  const length = header('x-linked-size') ?? (isRedirect ? null : header('content-length'));
  const size = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : listed.size;
  if (size === null) throw new HubError('answer', `the hub does not say how long ${path} is`);
  return { path, etag, size, digest: digestOf(etag) ?? listedDigest(listed) };
}

/** Source: an etag of the hub is the sha256 of a large file, or git's sha1 of a small one. */
function digestOf(etag: string): Digest | null {
  if (/^[0-9a-f]{64}$/i.test(etag)) return { kind: 'sha256', hex: etag.toLowerCase() };
  if (/^[0-9a-f]{40}$/i.test(etag)) return { kind: 'git-sha1', hex: etag.toLowerCase() };
  return null;
}

function listedDigest({ sha256, gitSha1 }: ListedFile): Digest | null {
  return (sha256 === null ? null : digestOf(sha256)) ?? (gitSha1 === null ? null : digestOf(gitSha1));
}

function normalised(etag: string | null): string | null {
  return etag === null || etag === '' ? null : etag.replace(/^W\//, '').replace(/^"|"$/g, '');
}

/** A path of the listing becomes one on this disk: it must stay below the snapshot, on every system. */
function checkPath(path: string): void {
  const isName = (name: string) => name !== '' && !/^\.+$|[\\:<>"|?*]|[. ]$|\p{Cc}/u.test(name);
  const isSafe = path.length <= 1024 && path.split('/').every(isName);
  if (!isSafe)
    throw new HubError('unsafe', `the hub lists ${JSON.stringify(path)}: not a name for a file here`);
}

function fileUrl({ parts, reference }: HubClient, path: string, commit: string): string {
  const name = path.split('/').map(encodeURIComponent).join('/');
  return `${parts.settings.endpoint}/${reference.id}/resolve/${commit}/${name}`;
}
