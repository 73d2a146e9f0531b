// The lanes file: which lanes there are, what answers in them, their limits, prices, styles and what happens when they are
// full. Owns its shape, bounds and defaults; reads nothing from disk. Before it: open-lanes.ts; after it: lanes.ts.
import { z } from 'zod';
import { checkJson } from '../base/json-body.ts';
import { STYLES } from './styles.ts';

const LANES_MAX = 8;
const HOUR_MS = 3_600_000;

export const AUTO = 'auto'; // the model that means: you choose

const laneName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'a name of a-z, 0-9 and -')
  .refine((name) => name !== AUTO, { message: 'auto is what clients ask for to let the policy choose' });

const rates = {
  requestsPerMinute: z.number().min(0.01).max(1e6).optional(),
  tokensPerMinute: z.number().min(1).max(1e12).optional(),
};

const limits = z
  .strictObject({
    ...rates,
    concurrency: z.int().min(1).max(4096).default(16), // answers being written
    queueLength: z.int().min(0).max(4096).default(64), // requests that wait for that
    queueWaitMs: z.int().min(1).max(HOUR_MS).default(60_000),
    perKey: z.strictObject(rates).optional(),
  })
  .prefault({});

const price = z
  .strictObject({
    inputPerMillion: z.number().min(0).max(1e6),
    cachedPerMillion: z.number().min(0).max(1e6).optional(), // prompt tokens that were cached; as input unless given
    outputPerMillion: z.number().min(0).max(1e6),
  })
  .default({ inputPerMillion: 0, outputPerMillion: 0 });

const upstream = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .refine((url) => !url.includes('@') && !url.includes('?'), { message: 'without credentials or a query' }),
  model: z.string().min(1).max(256), // as the upstream calls it
  dialect: z.enum(['openai', 'vllm', 'llama-server']).default('openai'), // whose extensions it understands
  keyFrom: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'the name of an environment variable')
    .optional(),
  headers: z.record(z.string().regex(/^[a-z0-9-]{1,64}$/), z.string().max(1024)).default({}),
  tls: z.strictObject({ caFile: z.string().optional(), serverName: z.string().optional() }).default({}),
  connections: z.int().min(1).max(1024).default(64),
  connectTimeoutMs: z.int().min(1).max(HOUR_MS).default(5000),
  headersTimeoutMs: z.int().min(1).max(HOUR_MS).default(120_000), // of one attempt, to the first byte of the answer
  idleTimeoutMs: z.int().min(1).max(HOUR_MS).default(120_000), // silence in an answer
  attempts: z.int().min(1).max(10).default(3),
  backoffMs: z.int().min(1).max(60_000).default(250), // before the second attempt; doubles, with jitter
  backoffMsMax: z.int().min(1).max(HOUR_MS).default(5000),
  circuit: z
    .strictObject({
      failures: z.int().min(1).max(1000).default(5), // in a row, then nobody is sent there
      cooldownMs: z.int().min(1).max(HOUR_MS).default(15_000), // then one request tries
    })
    .prefault({}),
});

const lane = z
  .strictObject({
    model: z.literal('local').optional(), // this server's own model
    upstream: upstream.optional(),
    style: z.string().max(16_384).optional(), // '' is none
    about: z.string().max(240).optional(),
    limits,
    price,
    overflow: z.union([z.enum(['queue', 'reject']), z.strictObject({ to: laneName })]).default('queue'),
    fallback: laneName.optional(), // answers `auto` instead while this lane's upstream is down or the key's money is spent
  })
  .refine(({ model, upstream: up }) => (model === undefined) !== (up === undefined), {
    message: 'exactly one of model ("local") and upstream is needed',
  });

const fileSchema = z
  .strictObject({
    policy: z.string().min(1).max(4096).optional(), // path, from this file's folder; the built-in one unless given
    default: z.string().default(AUTO), // for requests that name no model
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'three capitals, such as USD')
      .default('USD'),
    budgetPerKeyAndDay: z.number().min(0).max(1e9).optional(),
    outputTokensAssumed: z.int().min(1).max(1_000_000).default(1024), // of requests that set no limit, for rates and budgets
    sessionCountMax: z.int().min(1).max(65_536).default(1024), // conversations whose lane is remembered
    lanes: z.record(laneName, lane).refine(
      (lanes) => {
        const count = Object.keys(lanes).length;
        return count >= 1 && count <= LANES_MAX;
      },
      { message: `1 to ${LANES_MAX} lanes` },
    ),
  })
  .superRefine(({ lanes, default: standard }, context) => {
    if (standard !== AUTO && !(standard in lanes)) {
      context.addIssue({ code: 'custom', path: ['default'], message: `there is no lane ${standard}` });
    }
    for (const [name, { overflow, fallback }] of Object.entries(lanes)) {
      if (fallback !== undefined && (fallback === name || !(fallback in lanes))) {
        const message = fallback === name ? 'is the lane itself' : `there is no lane ${fallback}`;
        context.addIssue({ code: 'custom', path: ['lanes', name, 'fallback'], message });
      }
      if (typeof overflow === 'string') continue;
      const path = ['lanes', name, 'overflow', 'to'];
      if (overflow.to === name) context.addIssue({ code: 'custom', path, message: 'is the lane itself' });
      else if (!(overflow.to in lanes)) {
        context.addIssue({ code: 'custom', path, message: `there is no lane ${overflow.to}` });
      }
    }
  });

export type LanesFile = z.output<typeof fileSchema>;
export type LaneConfig = z.output<typeof lane>;
export type UpstreamConfig = z.output<typeof upstream>;
export type UpstreamDialect = UpstreamConfig['dialect'];
export type Price = z.output<typeof price>;

/** A lanes file that cannot be used: which place, what would be accepted. */
export class LanesError extends Error {
  override readonly name = 'LanesError';
}

/** Throws LanesError. */
export function parseLanes(value: unknown): LanesFile {
  const parsed = checkJson(value, fileSchema);
  if (parsed.ok) return parsed.value;
  throw new LanesError(parsed.fault.message);
}

export function styleOf(name: string, { style }: LaneConfig): string {
  return style ?? STYLES[name] ?? '';
}

/** In the file's currency. */
export function costOf(
  { inputPerMillion, cachedPerMillion = inputPerMillion, outputPerMillion }: Price,
  tokens: { readonly prompt: number; readonly cached: number; readonly output: number },
): number {
  const fresh = Math.max(0, tokens.prompt - tokens.cached);
  return (
    (fresh * inputPerMillion + tokens.cached * cachedPerMillion + tokens.output * outputPerMillion) / 1e6
  );
}
