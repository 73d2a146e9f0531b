// Patterns of paths: '/v1/models', '/v1/models/:' where one part may be anything (also in the middle, also twice),
// '/v1/models/:*' where all that follows may. Pure. Used by door.ts for every request.

export function matchesPath(pattern: string, path: string): boolean {
  const open = pattern.indexOf('/:');
  if (open < 0) return pattern === path;
  return path.startsWith(pattern.slice(0, open)) && partsOf(pattern, path) !== null;
}

/** What stands where the pattern has its ':', in order. Of a path that matches. */
export function pathParameters(pattern: string, path: string): readonly string[] {
  if (!pattern.includes('/:')) return [];
  return (partsOf(pattern, path) ?? []).map(decoded);
}

/** Null: it does not match. A part that is empty is none. */
function partsOf(pattern: string, path: string): string[] | null {
  const parts: string[] = [];
  let at = 0; // in the path
  for (const [index, piece] of pattern.split('/:').entries()) {
    const rest = index === 0 ? piece : piece.startsWith('*') ? '' : piece;
    if (index > 0) {
      const end = piece.startsWith('*') ? path.length : endOfPart(path, at + 1);
      if (path[at] !== '/' || end === at + 1) return null;
      parts.push(path.slice(at + 1, end));
      at = end;
    }
    if (!path.startsWith(rest, at)) return null;
    at += rest.length;
  }
  return at === path.length ? parts : null;
}

function endOfPart(path: string, start: number): number {
  const slash = path.indexOf('/', start);
  return slash < 0 ? path.length : slash;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray % is a name that nothing has
  }
}
