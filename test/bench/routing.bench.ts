// Cost of routing one request: the conversation seen, its session's key, its signals, the decision, and what travels with a
// promotion. The large one is as long as a coding agent's. Run: npx tsx test/bench/routing.bench.ts
import { readFileSync } from 'node:fs';
import { VirtualClock } from '../../kernels/clock.ts';
import { createLog } from '../../server/base/log.ts';
import { itemsConversation } from '../../server/lanes/conversation.ts';
import { PolicySource } from '../../server/lanes/policy-source.ts';
import { Router, sessionKeyOf } from '../../server/lanes/router.ts';
import type { Item } from '../../server/responses/items.ts';

export interface RoutingCost {
  readonly name: string;
  readonly items: number;
  readonly characters: number;
  readonly usP50: number;
  readonly usP99: number;
  readonly count: number;
}

const ROUNDS = 3000;
const WARM_UP = 500; // rounds

interface Case {
  readonly name: string;
  readonly instructions: string;
  readonly items: readonly Item[];
  readonly promoted: boolean; // every round anew, so that the hand-off is written every time
}

export function routingBench(): RoutingCost[] {
  const text = readFileSync('policies/default.json', 'utf8');
  const policies = new PolicySource({
    file: { stamp: () => '', read: () => text },
    lanes: ['spark', 'reliability'],
    clock: new VirtualClock(),
    log: createLog({ level: 'silent', write: () => {}, epochMs: () => 0 }),
    onRead: () => {},
  });
  return cases().map((given) => measured(given, policies));
}

function measured({ name, instructions, items, promoted }: Case, policies: PolicySource): RoutingCost {
  const router = new Router(policies, 1024);
  const small = itemsConversation({}, [said('user', 'Rename x in a.ts')]);
  const took: number[] = [];
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const named = promoted ? `session ${round}` : 'session';
    if (promoted) router.enter(router.route('auto', small, keyOf(named)), keyOf(named));
    const startMs = performance.now();
    const conversation = itemsConversation({ instructions, tools: new Array(12).fill({}) }, items);
    const key = sessionKeyOf('owner', named, conversation);
    router.enter(router.route('auto', conversation, key), key);
    if (round >= 0) took.push((performance.now() - startMs) * 1000);
  }
  took.sort((a, b) => a - b);
  const texts = instructions.length + JSON.stringify(items).length;
  return {
    name,
    items: items.length,
    characters: texts,
    usP50: took[ROUNDS >> 1]!,
    usP99: took[Math.floor(ROUNDS * 0.99)]!,
    count: ROUNDS,
  };

  function keyOf(given: string) {
    return sessionKeyOf('owner', given, small);
  }
}

function cases(): Case[] {
  const instructions = 'You are a coding agent. Keep to the conventions of the code around you. '.repeat(250);
  const agent = [said('user', 'Add a cache to src/load.ts and use it in the server')];
  while (agent.length < 100) {
    const turn = agent.length;
    if (turn % 10 === 0) agent.push(said('user', `Now the next place, src/part-${turn}.ts`));
    else if (turn % 10 === 9)
      agent.push(said('assistant', 'It reads the file once and keeps it. '.repeat(20)));
    else agent.push(...(turn % 2 === 1 ? tool(turn) : []));
  }
  return [
    { name: 'a first message', instructions: '', items: [said('user', 'Fix it in a.ts')], promoted: false },
    { name: "an agent's conversation", instructions, items: agent, promoted: false },
    { name: 'the same, promoted', instructions, items: agent, promoted: true },
  ];
}

function said(role: string, text: string): Item {
  return { type: 'message', role, content: [{ type: 'input_text', text }] } as Item;
}

/** A call with a patch of 40 lines, and 4,000 characters of output. */
function tool(turn: number): Item[] {
  const lines = Array.from(
    { length: 20 },
    (_, line) => `-  old line ${line} of it\n+  new line ${line} of it`,
  );
  const input = `*** Begin Patch\n*** Update File: src/part-${turn}.ts\n@@\n${lines.join('\n')}\n*** End Patch`;
  const output = `Exit code: 0\nWall time: 1.2 seconds\nOutput:\n${'  ✓ a test that passes (2 ms)\n'.repeat(140)}`;
  const call_id = `call_${turn}`;
  return [
    { type: 'function_call', call_id, name: 'apply_patch', arguments: JSON.stringify({ input }) } as Item,
    { type: 'function_call_output', call_id, output } as Item,
  ];
}

export function printRouting(costs: readonly RoutingCost[]): void {
  console.log('\nRouting one request (limit: 1000 µs)');
  console.table(
    Object.fromEntries(
      costs.map(({ name, items, characters, usP50, usP99, count }) => [
        name,
        { items, characters, 'p50 µs': Math.round(usP50), 'p99 µs': Math.round(usP99), count },
      ]),
    ),
  );
}

if (process.argv[1] === import.meta.filename) printRouting(routingBench());
