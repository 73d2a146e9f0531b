// Hugging Face config.json → EncoderSpec, by the description of its family. Refuses, with the field's name, what our graph
// does not compute. Absent fields mean what they mean to transformers. Before it: encoder-families.ts; after it:
// encoder-checkpoint.ts.
import { join } from 'node:path';
import { z } from 'zod';
import { activationNamed } from '../config/activation-name.ts';
import { CheckpointError, readJson, readOptionalJson } from '../files/model-file.ts';
import { modelName } from '../files/model-name.ts';
import { findGguf } from '../gguf/find-gguf.ts';
import { type EncoderFamily, encoderFamilies, encoderFields } from './encoder-families.ts';
import type { EncoderSpec } from './encoder-spec.ts';

const architectureSchema = z.looseObject({ architectures: z.array(z.string()).min(1) });

/** Whether a directory holds an encoder, going by the class that its config.json names. */
export function isEncoder(path: string): boolean {
  if (findGguf(path) !== null) return false;
  const named = readOptionalJson(join(path, 'config.json'), z.looseObject({ architectures: z.unknown() }));
  const first = Array.isArray(named?.architectures) ? named.architectures[0] : null;
  return typeof first === 'string' && encoderFamilyOf(first) !== null;
}

/** The family of a class, whatever stands on the encoder. */
function encoderFamilyOf(architecture: string): EncoderFamily | null {
  const stem = /^(\w+?)(?:Model|For\w+)$/.exec(architecture)?.[1];
  return (stem === undefined ? null : encoderFamilies.get(stem)) ?? null;
}

/** Throws CheckpointError. */
export function readEncoderSpec(directory: string): EncoderSpec {
  const file = join(directory, 'config.json');
  const refuse = (field: string, problem: string) => new CheckpointError(problem, { file, field });
  const [architecture] = readJson(file, architectureSchema).architectures;
  const family = encoderFamilyOf(architecture!);
  if (family === null) throw refuse('architectures', `${architecture} is no encoder that is known here`);
  if (/ForSequenceClassification$/.test(architecture!))
    throw refuse(
      'architectures',
      `${architecture} judges texts and does not embed them: take an embedding model`,
    );
  const fields = readJson(file, fieldsOf(family));
  if (fields['quantization_config'] != null)
    throw refuse('quantization_config', 'quantised weights are not supported (only F32, F16, BF16)');
  const problem = family.refuse(fields);
  if (problem !== null) throw refuse(...problem);
  const { activation, layer, ...plan } = family.plan(fields);
  const { hidden_size: hiddenSize, num_attention_heads: headCount } = fields;
  if (hiddenSize % (2 * headCount) !== 0)
    throw refuse('num_attention_heads', `${headCount} heads of even size do not make ${hiddenSize}`);
  return {
    ...plan,
    name: modelName(directory),
    architecture: family.name,
    vocabSize: fields.vocab_size,
    hiddenSize,
    headCount,
    ffnSize: fields.intermediate_size ?? 4 * hiddenSize,
    layers: Array.from({ length: fields.num_hidden_layers }, (_, index) => layer(index)),
    activation: activationNamed(activation, { file, field: 'hidden_act' }),
    segmentCount: fields.type_vocab_size,
  };
}

function fieldsOf({ absent, renamed }: EncoderFamily) {
  return z.preprocess((given) => {
    const all = { ...absent, ...(given as object) };
    const own = Object.entries(all).map(([name, value]) => [renamed[name] ?? name, value]);
    return Object.fromEntries(own);
  }, encoderFields);
}
