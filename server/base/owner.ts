// Owners: the names under which what an API key has asked for is kept and counted. They say which key it was, not what it
// is. Pure.

/** Owner of everything where no key is needed. */
export const NOBODY = '';

const PREFIX = 'key-';

/** Of the key at `index` in the list of keys. */
export function ownerAt(index: number): string {
  return `${PREFIX}${index + 1}`;
}

/** The API key of an owner, null for NOBODY: what is kept beyond a restart must follow the key, not its place in the list. */
export function ownedKey(apiKeys: readonly string[], owner: string): string | null {
  return apiKeys.find((_, index) => owner === ownerAt(index)) ?? null;
}

/** Everybody who may ask. */
export function ownersOf(apiKeys: readonly string[]): readonly string[] {
  return apiKeys.length === 0 ? [NOBODY] : apiKeys.map((_, index) => ownerAt(index));
}
