// Who may call: API keys and their owners, and which web pages. Owns the comparison in constant time and the rules
// for browsers; never sees a route's work. Used by door.ts for every request, by native/connection.ts for the hello.
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Fault, fault } from '../base/errors.ts';
import { NOBODY, ownerAt } from '../base/owner.ts';
import { isLoopback } from '../config/config.ts';
import type { HttpRequest } from '../listeners/transport.ts';
import type { TrustedProxies } from './forwarded.ts';

/** Owner of what the admin key asks for. */
const ADMIN = 'admin';

export interface GuardOptions {
  readonly apiKeys: readonly string[];
  readonly adminKey?: string | null;
  readonly corsOrigins: readonly string[]; // exact origins, or '*'
  readonly host: string; // what the server listens on
  readonly proxies: TrustedProxies;
}

export type Admission =
  | { readonly ok: true; readonly owner: string }
  | { readonly ok: false; readonly fault: Fault };

export class Guard {
  readonly #digests: readonly { readonly digest: Buffer; readonly owner: string }[];
  readonly #adminDigest: Buffer | null;
  readonly #corsOrigins: ReadonlySet<string>;
  readonly #host: string;
  readonly #proxies: TrustedProxies;

  constructor(options: GuardOptions) {
    // Digests have one length, so comparing them tells nothing about the key's. The owner names cached prefixes
    // and sessions and may show up in logs: it says which key it was, not what it is.
    this.#digests = options.apiKeys.map((key, index) => ({
      digest: digestOf(key),
      owner: ownerAt(index),
    }));
    this.#adminDigest = options.adminKey == null ? null : digestOf(options.adminKey);
    this.#corsOrigins = new Set(options.corsOrigins);
    this.#host = options.host;
    this.#proxies = options.proxies;
  }

  get keyNeeded(): boolean {
    return this.#digests.length > 0;
  }

  /** Null for a key that is not one of ours. Takes the same time wherever the difference lies. */
  ownerOf(presented: string): string | null {
    if (!this.keyNeeded) return NOBODY;
    const digest = digestOf(presented);
    let owner: string | null = null;
    for (const known of this.#digests) if (timingSafeEqual(known.digest, digest)) owner = known.owner;
    return owner;
  }

  /** Whose request this is, or why it goes no further. */
  admit(request: HttpRequest): Admission {
    const strange = this.strangerFault(request);
    if (strange !== null) return { ok: false, fault: strange };
    const key = presentedKey(request);
    const owner = key === null && this.keyNeeded ? null : this.ownerOf(key ?? '');
    if (owner !== null) return { ok: true, owner };
    const message =
      key === null
        ? 'an API key is needed: Authorization: Bearer <key>'
        : 'this API key is not one of the server’s';
    return { ok: false, fault: fault('invalid_api_key', message) };
  }

  /**
   * Who may change the server: whoever has the admin key. Without one nobody, as soon as there are keys, else anybody
   * on this machine.
   */
  admitAdmin(request: HttpRequest): Admission {
    const strange = this.strangerFault(request);
    if (strange !== null) return { ok: false, fault: strange };
    if (this.#adminDigest === null) {
      const admission = this.admit(request);
      if (!admission.ok || !this.keyNeeded) return admission;
      const message =
        'this server has API keys and no --admin-key (or --admin-key-file): nobody may change it';
      return { ok: false, fault: fault('admin_key_needed', message) };
    }
    const key = presentedKey(request);
    if (key !== null && timingSafeEqual(this.#adminDigest, digestOf(key))) return { ok: true, owner: ADMIN };
    const known = this.keyNeeded && key !== null && this.ownerOf(key) !== null;
    const message = 'this takes the admin key: Authorization: Bearer <key>';
    return { ok: false, fault: fault(known ? 'admin_key_needed' : 'invalid_api_key', message) };
  }

  /**
   * Without keys, anybody on this machine may call, and a browser runs pages of strangers on this machine. A page
   * cannot forge Origin (sent with every cross-site POST and WebSocket) nor, having made its own name resolve to
   * 127.0.0.1, Host. With keys, a stranger does not have one.
   */
  strangerFault(request: HttpRequest): Fault | null {
    if (this.keyNeeded) return null;
    const origin = request.header('origin');
    if (origin !== '' && !this.#isOwn(origin, request) && !this.#allowsOrigin(origin)) {
      return fault(
        'origin_not_allowed',
        `pages of ${origin} may not call; --cors-origin ${origin} lets them`,
      );
    }
    const name = hostName(request.header('host'));
    if (name === '' || name === this.#host || isLoopback(name)) return null;
    const message = `this server is called by its loopback address, not as ${name}, unless it has an --api-key`;
    return fault('origin_not_allowed', message);
  }

  /** Headers that let a page of an allowed origin read the answer. */
  corsHeaders(request: HttpRequest): Readonly<Record<string, string>> {
    const origin = request.header('origin');
    if (origin === '' || !this.#allowsOrigin(origin)) return {};
    return {
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'x-request-id, retry-after',
      vary: 'origin',
    };
  }

  /**
   * The page is this server's own: same address, same port, as its caller or a trusted proxy knows it. That a stranger's name
   * was made to resolve here is told by Host, which strangerFault looks at as well.
   */
  #isOwn(origin: string, request: HttpRequest): boolean {
    return origin.toLowerCase() === this.#proxies.originOf(request);
  }

  #allowsOrigin(origin: string): boolean {
    return this.#corsOrigins.has('*') || this.#corsOrigins.has(origin);
  }
}

/** The key of `Authorization: Bearer …`, or of `X-Api-Key`, which some editors send; null without either. */
export function presentedKey(request: HttpRequest): string | null {
  const bearer = /^bearer\s+(\S+)\s*$/i.exec(request.header('authorization'));
  if (bearer !== null) return bearer[1]!;
  return request.header('x-api-key') || null;
}

/** `localhost:8080` → localhost, `[::1]:8080` → ::1 */
function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header);
  return (bracketed === null ? header.replace(/:\d*$/, '') : bracketed[1]!).toLowerCase();
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
