// Random JSON schemas of everything we enforce, and random values that match them.
import fc from 'fast-check';
import type { Random } from '../../../kernels/random.ts';

export type JsonSchema = { readonly [keyword: string]: unknown };

const names = fc.constantFrom(
  'a',
  'b',
  'name',
  'long name',
  'quo"te',
  'back\\slash',
  'ä',
  'ключ',
  '🙂',
  'line\nbreak',
  '',
);
const scalars = fc.oneof(
  fc.string({ maxLength: 8, unit: 'grapheme' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }),
  fc.boolean(),
  fc.constant(null),
);

const formats = ['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid'];
const patterns = [
  '^[a-z]{2,5}-\\d+$',
  'x',
  '^(?:foo|bar)+$',
  '"\\\\',
  '^\\w+@\\w+$',
  '^$|^[^"]{3}$',
  '^.{2}ä',
  '[^a]$',
];

const text: fc.Arbitrary<JsonSchema> = fc.oneof(
  fc.constant({ type: 'string' }),
  fc
    .tuple(fc.nat(4), fc.nat(6))
    .map(([min, extra]) => ({ type: 'string', minLength: min, maxLength: min + extra })),
  fc.constantFrom(...formats).map((format) => ({ type: 'string', format })),
  fc.constantFrom(...patterns).map((pattern) => ({ type: 'string', pattern })),
);

const bound = fc.oneof(
  fc.integer({ min: -200, max: 200 }),
  fc.integer({ min: -20_000, max: 20_000 }).map((n) => n / 100),
);
const range = fc.tuple(bound, bound).map(([a, b]) => [Math.min(a, b), Math.max(a, b) + 1] as const);

const numeric: fc.Arbitrary<JsonSchema> = fc.oneof(
  fc.constantFrom({ type: 'number' }, { type: 'integer' }),
  fc
    .tuple(range, fc.constantFrom('number', 'integer'))
    .map(([[minimum, maximum], type]) => ({ type, minimum, maximum })),
  range.map(([low, high]) => ({ type: 'number', exclusiveMinimum: low, exclusiveMaximum: high })),
  fc
    .tuple(bound, fc.constantFrom('minimum', 'exclusiveMaximum'))
    .map(([value, name]) => ({ type: 'number', [name]: value })),
  fc.constantFrom(1, 3, 7, 0.5, 0.25, 10).map((multipleOf) => ({ type: 'number', multipleOf })),
  fc.constantFrom(2, 5).map((multipleOf) => ({ type: 'integer', multipleOf, minimum: -30, maximum: 1000 })),
);

const constant: fc.Arbitrary<JsonSchema> = fc.oneof(
  scalars.map((value) => ({ const: value })),
  fc
    .uniqueArray(scalars, { minLength: 1, maxLength: 5, selector: (value) => JSON.stringify(value) })
    .map((values) => ({ enum: values })),
  fc.constant({ type: ['string', 'null'], enum: ['on', 'off', null] }),
  fc.constant({ const: { a: [1, 'two', null] } }),
);

const { schema } = fc.letrec<{ schema: JsonSchema; object: JsonSchema; array: JsonSchema }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { arbitrary: text, weight: 3 },
    { arbitrary: numeric, weight: 3 },
    { arbitrary: constant, weight: 2 },
    {
      arbitrary: fc.constantFrom({ type: 'boolean' }, { type: 'null' }, { type: ['integer', 'null'] }),
      weight: 1,
    },
    { arbitrary: tie('object'), weight: 5 },
    { arbitrary: tie('array'), weight: 3 },
    {
      arbitrary: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
      weight: 2,
    },
    { arbitrary: fc.constantFrom({ $ref: '#/$defs/node' }, { $ref: '#/$defs/tree' }), weight: 2 },
    { arbitrary: fc.constant({}), weight: 1 },
  ),
  object: fc
    .record({
      properties: fc.dictionary(names, tie('schema'), { maxKeys: 5 }),
      requiredShare: fc.constantFrom(0, 0.5, 1),
      additional: fc.oneof(
        { arbitrary: fc.constant(false), weight: 3 },
        { arbitrary: tie('schema'), weight: 1 },
      ),
      salt: fc.nat(),
    })
    .map(({ properties, requiredShare, additional, salt }) => ({
      type: 'object',
      properties,
      required: Object.keys(properties).filter((_, i) => ((salt >> i) % 10) / 10 < requiredShare),
      additionalProperties: additional,
    })),
  array: fc
    .record({
      items: tie('schema'),
      prefix: fc.array(tie('schema'), { minLength: 1, maxLength: 2 }),
      min: fc.nat(3),
      extra: fc.nat(3),
      shape: fc.nat(3),
    })
    .map(({ items, prefix, min, extra, shape }) => ({
      type: 'array',
      items,
      ...(shape === 1 && { prefixItems: prefix }),
      ...(shape >= 1 && { minItems: min, maxItems: min + extra }),
    })),
}));

/** With two recursive definitions, so that references always lead somewhere. */
export const jsonSchemas: fc.Arbitrary<JsonSchema> = fc.tuple(schema, schema).map(([root, leaf]) => ({
  ...('$ref' in root ? { anyOf: [root] } : root),
  $defs: {
    node: {
      type: 'object',
      properties: {
        value: { type: 'integer' },
        next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] },
      },
      required: ['value', 'next'],
      additionalProperties: false,
    },
    tree: {
      type: 'object',
      properties: { leaf, children: { type: 'array', items: { $ref: '#/$defs/tree' }, maxItems: 2 } },
      required: ['children'],
      additionalProperties: false,
    },
  },
}));

/**
 * A value that probably matches; the caller asks a validator. Properties come in the schema's order. undefined where
 * making one up is too hard.
 */
export function valueFor(
  schema: JsonSchema,
  world: { root: JsonSchema; random: Random },
  depth = 0,
): unknown {
  const { random } = world;
  const inner = (part: unknown) => valueFor(part as JsonSchema, world, depth + 1);
  if (typeof schema['$ref'] === 'string') {
    const definitions = world.root['$defs'] as Record<string, JsonSchema>;
    return inner(definitions[schema['$ref'].slice('#/$defs/'.length)]!);
  }
  if ('const' in schema) return schema['const'];
  const pick = <T>(list: readonly T[]): T => list[random.integer(0, list.length - 1)]!;
  if (Array.isArray(schema['enum'])) return pick(schema['enum']);
  if (Array.isArray(schema['anyOf']))
    return inner(depth > 4 ? schema['anyOf'].at(-1) : pick(schema['anyOf']));
  const type = Array.isArray(schema['type']) ? pick(schema['type'] as string[]) : schema['type'];
  switch (type) {
    case 'object':
      return objectFor(schema, { inner, random, depth });
    case 'array': {
      const min = (schema['minItems'] as number | undefined) ?? 0;
      const max = (schema['maxItems'] as number | undefined) ?? min + 2;
      const prefix = (schema['prefixItems'] as unknown[] | undefined) ?? [];
      const count = depth > 4 ? min : random.integer(min, max);
      return Array.from({ length: count }, (_, i) => inner(prefix[i] ?? schema['items']));
    }
    case 'string':
      return textFor(schema, random);
    case 'integer':
    case 'number':
      return numberFor(schema, random);
    case 'boolean':
      return random.next() < 0.5;
    case 'null':
      return null;
    default:
      return pick([1.5, 'free', null, [1, { x: true }], { y: 'z' }]);
  }
}

function objectFor(
  schema: JsonSchema,
  { inner, random, depth }: { inner: (part: unknown) => unknown; random: Random; depth: number },
): unknown {
  const properties = schema['properties'] as Record<string, unknown>;
  const required = schema['required'] as string[];
  const object: Record<string, unknown> = {};
  for (const [name, part] of Object.entries(properties)) {
    if (required.includes(name) || (depth < 4 && random.next() < 0.5)) object[name] = inner(part);
  }
  if (schema['additionalProperties'] !== false && random.next() < 0.5)
    object['further'] = inner(schema['additionalProperties']);
  return object;
}

const samples = [
  '',
  'x',
  'ab-12',
  'foobar',
  'a"\\b',
  'me@home',
  'äöü',
  '日本語',
  'tab\t\u0001',
  '🙂🙂',
  'abc/def',
  '-ab',
  '2024-02-29',
];
const formatSamples: Readonly<Record<string, readonly string[]>> = {
  date: ['2024-02-29', '1999-12-31'],
  time: ['10:20:30Z', '23:59:59.125+02:00'],
  'date-time': ['2024-02-29T10:20:30Z', '1985-04-12T23:20:50.52Z'],
  duration: ['P3Y6M4DT12H30M5S', 'P2W', 'PT1S'],
  email: ['joe.bloggs@example.com'],
  hostname: ['www.example.com', 'localhost'],
  ipv4: ['192.168.0.1', '0.0.0.255'],
  ipv6: ['::1', 'fe80::1:2', '2001:db8:0:0:0:0:2:1', '::'],
  uuid: ['123e4567-e89b-12d3-a456-426614174000'],
};

function textFor(schema: JsonSchema, random: Random): string {
  const all = formatSamples[schema['format'] as string] ?? samples;
  let text = all[random.integer(0, all.length - 1)]!;
  const min = (schema['minLength'] as number | undefined) ?? 0;
  while ([...text].length < min) text += 'q';
  return [...text].slice(0, (schema['maxLength'] as number | undefined) ?? 100).join('');
}

function numberFor(schema: JsonSchema, random: Random): number {
  const low = (schema['minimum'] ?? schema['exclusiveMinimum'] ?? -1000) as number;
  const high = (schema['maximum'] ?? schema['exclusiveMaximum'] ?? low + 2000) as number;
  const value = low + random.next() * (high - low);
  const step = (schema['multipleOf'] ?? (schema['type'] === 'integer' ? 1 : 0.001)) as number;
  const rounded = Math.round(value / step) * step;
  return schema['type'] === 'integer' ? Math.round(rounded) : Number(rounded.toFixed(6));
}
