// Reports that can be opened from the page: self-contained HTML files in one folder, the latest first. Each has an address that
// cannot be guessed, because a frame cannot bring a key. Owns the folder's bounds. Before it: lab-routes.ts; after it: the disk.
import { createHmac, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';

export interface ListedReport {
  readonly name: string; // of the file
  readonly title: string;
  readonly atMs: number; // time of day
  readonly size: number; // bytes
  readonly path: string; // from the page
}

/** Where the program and its server keep reports. */
export function reportsDirectory(cacheDirectory: string): string {
  return join(cacheDirectory, 'reports');
}

const REPORTS_MAX = 50; // kept; older ones go when a new one comes
const SIZE_MAX = 16 * 2 ** 20; // bytes of one
const TITLE_SIZE = 4096; // bytes in which a title is looked for

export class ReportShelf {
  readonly #directory: string;
  readonly #secret = randomBytes(32); // of this process: addresses end with it

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The latest first. */
  list(): readonly ListedReport[] {
    return this.#names().map(({ name, atMs, size }) => {
      const path = `ui/report/${this.#ticket(name)}`;
      return { name, title: this.#titleOf(name), atMs, size, path };
    });
  }

  /** The file of an address; null for one that was not given out. */
  open(ticket: string): string | null {
    const found = this.#names().find(({ name }) => this.#ticket(name) === ticket);
    return found === undefined ? null : readFileSync(join(this.#directory, found.name), 'utf8');
  }

  /** Where a new report goes; makes room for it. */
  place(name: string): string {
    mkdirSync(this.#directory, { recursive: true });
    for (const { name: old } of this.#names().slice(REPORTS_MAX - 1)) unlinkSync(join(this.#directory, old));
    return join(this.#directory, name);
  }

  #names(): readonly { readonly name: string; readonly atMs: number; readonly size: number }[] {
    if (!existsSync(this.#directory)) return [];
    return readdirSync(this.#directory)
      .filter((name) => /^[\w.-]{1,100}\.html$/.test(name))
      .flatMap((name) => {
        const stat = statSync(join(this.#directory, name), { throwIfNoEntry: false });
        if (stat === undefined || !stat.isFile() || stat.size > SIZE_MAX) return [];
        return [{ name, atMs: stat.mtimeMs, size: stat.size }];
      })
      .sort((a, b) => b.atMs - a.atMs);
  }

  #titleOf(name: string): string {
    const file = openSync(join(this.#directory, name), 'r');
    try {
      const head = Buffer.alloc(TITLE_SIZE);
      const text = head.toString('utf8', 0, readSync(file, head, 0, TITLE_SIZE, 0));
      return plain(/<title>([^<]{1,200})<\/title>/.exec(text)?.[1] ?? name);
    } finally {
      closeSync(file);
    }
  }

  #ticket(name: string): string {
    return createHmac('sha256', this.#secret).update(name).digest('base64url');
  }
}

function plain(text: string): string {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
}
