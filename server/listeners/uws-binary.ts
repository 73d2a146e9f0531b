// The native module uWebSockets.js: which of its binaries fits this Node and this system. Owns the two packages that bring
// them, each optional, and what has to be set before one is loaded. The only file that imports them.
export type * as uws from 'uWebSockets.js';

import type * as uws from 'uWebSockets.js';

type Module = typeof uws | { readonly default: typeof uws };

/** In the order in which they are tried. */
const PACKAGES: readonly { readonly name: string; load(): Promise<unknown> }[] = [
  { name: 'uws-pack', load: () => import('uWebSockets.js') }, // Node 18 to 22; package.json gives it that name
  { name: '@btc-vision/uwebsockets.js', load: () => import('@btc-vision/uwebsockets.js') }, // to 25; glibc 2.38 or later
];

export type UwsBinary =
  | { readonly native: typeof uws; readonly package: string }
  | { readonly native: null; readonly reasons: readonly string[] }; // one of each package

/** `headSizeMax`, in bytes, is read from the environment by the module when it is loaded: the first call counts. */
export async function loadUws(
  headSizeMax: number,
  env: Record<string, string | undefined>,
): Promise<UwsBinary> {
  env['UWS_HTTP_MAX_HEADERS_SIZE'] = `${headSizeMax}`;
  const reasons: string[] = [];
  for (const { name, load } of PACKAGES) {
    try {
      const module = (await load()) as Module;
      // A package of modules exports names, the original one exports one object.
      return { native: 'App' in module ? module : module.default, package: name };
    } catch (error) {
      reasons.push(`${name}: ${lastLine((error as Error).message)}`);
    }
  }
  return { native: null, reasons };
}

/** The packages say which Nodes they are for, then what the system said. */
function lastLine(message: string): string {
  const lines = message.split('\n').filter((line) => line.trim() !== '' && !/^Require stack|^- /.test(line));
  return lines.at(-1) ?? 'did not load';
}
