import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Random } from '../../../kernels/random.ts';
import { GrammarError } from '../../../server/grammar/grammar-error.ts';
import { drawText, openCompiler, refusalOf } from '../../grammar-rig.ts';
import { type JsonSchema, jsonSchemas, valueFor } from './random-schema.ts';

const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9, allErrors: false, validateFormats: true });
addFormats.default(ajv);
const schemaCount = Number(process.env['SCHEMAS'] ?? 400); // 1,000 for whoever changes the compiler
const seed = 20_261_120;

const schemas = fc.sample(jsonSchemas, { numRuns: schemaCount, seed });

/** null where no value can match, e.g. an integer between 0.2 and 0.8. */
async function compiled(compiler: ReturnType<typeof openCompiler>, schema: JsonSchema) {
  try {
    return await compiler.run(compiler.compile({ kind: 'json-schema', schema, strict: true }));
  } catch (error) {
    if (error instanceof GrammarError && error.code === 'unsatisfiable') return null;
    throw error;
  }
}

test(`${schemaCount} random schemas never yield an invalid document`, async () => {
  const compiler = openCompiler();
  let ended = 0;
  let unsatisfiable = 0;
  for (const [index, schema] of schemas.entries()) {
    const grammar = await compiled(compiler, schema);
    if (grammar === null) {
      unsatisfiable++;
      continue;
    }
    const validate = ajv.compile(schema);
    const draw = drawText(grammar.newConstraint(), {
      random: new Random(index),
      wildCount: 24,
      tokensMax: 300,
    });
    if (!draw.ended) continue; // cut off by its length, as any answer may be
    ended++;
    const value: unknown = JSON.parse(draw.text);
    if (!validate(value)) {
      expect.fail(
        `schema ${index} ${JSON.stringify(schema)}: ${draw.text}: ${ajv.errorsText(validate.errors)}`,
      );
    }
  }
  expect(ended + unsatisfiable).toBeGreaterThan(schemaCount * 0.95);
  expect(unsatisfiable).toBeLessThan(schemaCount * 0.05);
});

test('every valid document is allowed, compact, spaced and indented', async () => {
  const compiler = openCompiler();
  const random = new Random(seed);
  let fed = 0;
  for (const [index, schema] of schemas.slice(0, 300).entries()) {
    const grammar = await compiled(compiler, schema);
    if (grammar === null) continue;
    const validate = ajv.compile(schema);
    for (let attempt = 0; attempt < 3; attempt++) {
      const value = valueFor(schema, { root: schema, random });
      if (value === undefined || !validate(value)) continue;
      for (const indent of [undefined, 2, '\t']) {
        const text: string = JSON.stringify(value, null, hasConstantContainer(schema) ? undefined : indent);
        const refusal = refusalOf(grammar.newConstraint(), text);
        if (refusal !== null) {
          expect.fail(`schema ${index} ${JSON.stringify(schema)} refuses token ${refusal} of ${text}`);
        }
        fed++;
      }
    }
  }
  expect(fed).toBeGreaterThan(2000);
});

// Objects and arrays of `const` and `enum` have one spelling, without white space.
function hasConstantContainer(schema: JsonSchema): boolean {
  return /"const":[{[]|"enum":\[[^\]]*[{[]/.test(JSON.stringify(schema));
}
