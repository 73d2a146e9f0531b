// What a cluster promises its clients, held against what they heard. Used by main.ts.
import type { Walk } from './walker.ts';

export const COUNTS = { sessions: 4, sockets: 2, background: 2, chats: 6 };
export const RESUME_MS_MAX = 2000;
const CACHED_SHARE_MIN = 0.95; // of a single node's
const PLACES_TOLD = 8;
const GOODPUT_MIN = 2.7; // of three nodes, times one's

/** A promise as it is told, and whether it was held. */
export type Promised = readonly [string, boolean];

interface Seen {
  readonly walks: readonly Walk[]; // [sessions + sockets + background + chats]
  readonly expected: readonly Walk[]; // of a node that nothing happens to
  readonly lost: readonly string[]; // walks that came to no end
}

export function judgeWalks(
  { killed, resumeMsMax }: { readonly killed: readonly string[]; readonly resumeMsMax: number },
  { walks, expected, lost }: Seen,
): readonly Promised[] {
  const { sessions, sockets, background, chats } = COUNTS;
  const isAltered = ({ heard }: Walk, index: number) =>
    JSON.stringify(heard) !== JSON.stringify(expected[index]!.heard);
  const altered = walks.filter(isAltered).length;
  const resumed = walks.flatMap(({ resumedMs }) => resumedMs);
  const slowest = Math.max(0, ...resumed);
  const slow = walks.findIndex(({ resumedMs }) => resumedMs.includes(slowest));
  const cutBy = walks.flatMap((walk) => walk.cutBy);
  const cutElsewhere = cutBy.filter((node) => !killed.includes(node)).length;
  const refusals = walks.flatMap((walk) => walk.refusals);
  const [share, shareAlone] = [cachedShare(walks), cachedShare(expected)];
  const isShared = share >= CACHED_SHARE_MIN * shareAlone;
  return [
    [
      `${sessions} sessions, ${sockets} sockets, ${background} in the background, ${chats} chats: ${altered} lost or altered a token${
        lost[0] === undefined ? '' : ` (${lost[0]})`
      }`,
      altered === 0,
    ],
    [
      `${resumed.length} resumed, the slowest after ${Math.round(slowest)} ms${slow < 0 ? '' : ` (${kindOf(slow)})`}`,
      slowest <= resumeMsMax,
    ],
    [`${cutBy.length} plain streams cut, ${cutElsewhere} by nodes that were not killed`, cutElsewhere === 0],
    [
      `${refusals.length} requests refused${refusals[0] === undefined ? '' : `: ${refusals[0]}`}`,
      refusals.length === 0,
    ],
    [
      `${percent(share)} of prompts cached, ${percent(share / shareAlone)} of what one node has (${percent(shareAlone)})${
        isShared ? '' : `: ${computedMore(walks, expected)}`
      }`,
      isShared,
    ],
  ];
}

export function judgeGoodput(ratio: number): readonly Promised[] {
  return [[`goodput ${ratio.toFixed(2)} times one node's`, ratio >= GOODPUT_MIN]];
}

function kindOf(index: number): string {
  const { sessions, sockets, background } = COUNTS;
  if (index < sessions) return 'a session';
  if (index < sessions + sockets) return 'a socket';
  return index < sessions + sockets + background ? 'in the background' : 'a chat';
}

function cachedShare(walks: readonly Walk[]): number {
  const prompts = walks.flatMap((walk) => walk.prompts);
  const cached = prompts.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0);
  return cached / prompts.reduce((sum, { tokens }) => sum + tokens, 0);
}

/** Whose prompts were computed where one node finds them. */
function computedMore(walks: readonly Walk[], expected: readonly Walk[]): string {
  const places = walks.flatMap(({ prompts }, index) =>
    prompts.map(({ tokens, cachedTokens }, turn) => {
      const more = (expected[index]!.prompts[turn]?.cachedTokens ?? 0) - cachedTokens;
      return { more, text: `${kindOf(index)} ${index}, turn ${turn + 1}: ${more} of ${tokens} more` };
    }),
  );
  const most = places.sort((a, b) => b.more - a.more).filter(({ more }) => more > 0);
  return most
    .slice(0, PLACES_TOLD)
    .map(({ text }) => text)
    .join('; ');
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
