// Address of a server as a person gives it: origin, the path under which the API lies, and a query that every request
// carries. Knows how routes are put under such a path. Pure.
import { FlagError } from '../../base/flag-error.ts';

export interface ServerAddress {
  readonly text: string; // for people, without secrets; made from nothing but the other fields
  readonly origin: string; // http(s)://host:port
  /** Where a route such as /v1/models is on this server. */
  pathOf(route: string): string;
}

const EXPECTED = 'something like http://127.0.0.1:8080 or https://host/openai/v1';
// A base that names a version (/openai/v1, /v1beta/openai, /api/paas/v4) or a deployment is the one that OpenAI's clients take
// as base_url: it stands for /v1. Any other path is a prefix before /v1.
const STANDS_FOR_V1 = /(^|\/)(v\d\w*|deployments\/[^/]+)(\/|$)/;

/** http, https, ws and wss; the last two mean the first two. Throws FlagError. */
export function parseAddress(flag: string, text: string): ServerAddress {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !['http:', 'https:', 'ws:', 'wss:'].includes(url.protocol)) {
    throw new FlagError(flag, text, EXPECTED);
  }
  if (url.username !== '' || url.password !== '') {
    throw new FlagError(flag, `${url.protocol}//…@${url.host}`, 'no user in it: give --header or --api-key');
  }
  if (url.hash !== '') throw new FlagError(flag, text, 'no # in it');
  const origin = `${url.protocol.replace(/^ws/, 'http')}//${url.host}`;
  const base = url.pathname.replace(/\/+$/, '');
  const { search } = url;
  const isVersioned = STANDS_FOR_V1.test(base);
  return {
    text: `${origin}${base}${search}`,
    origin,
    pathOf: (route) => {
      const [path = '', query] = route.split('?');
      const inVersion = /^\/v1(?=\/|$)/.test(path);
      // What lies beside /v1 (health, metrics) lies beside the base's version, too.
      const before = isVersioned && !inVersion ? base.replace(STANDS_FOR_V1, '/').replace(/\/+$/, '') : base;
      const rest = isVersioned && inVersion ? path.slice('/v1'.length) : path;
      const asked = query === undefined ? search : `${search === '' ? '?' : `${search}&`}${query}`;
      return `${before}${rest}${asked}`;
    },
  };
}
