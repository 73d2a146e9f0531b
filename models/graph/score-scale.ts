// Scores are scaled by 1 / √headSize, or what a model says instead. ONNX Runtime's kernel for a single query takes that
// factor only as 1, and halves the time then, so the queries' weights carry it: exactly where it is a power of two, as it is
// for heads of 64. Before it: decoder.ts; after it: the arithmetic reads the weights.
import type { ModelSpec } from '../spec.ts';
import type { WeightSource } from '../weights/weights.ts';

/** The same decoder, whose scores need no factor any more. Changes in place what `source` reads, which is a fresh array. */
export function scoresScaled(spec: ModelSpec, source: WeightSource): WeightSource {
  const factor = spec.attentionMultiplier;
  const scale = (name: string, values: Float32Array) => {
    if (isQuery(spec, name)) for (let at = 0; at < values.length; at++) values[at]! *= factor;
    return values;
  };
  const { readRows, storedLayout, readBlocks } = source;
  return {
    ...(readRows !== undefined && { readRows }), // of tables, which are as they were
    ...(storedLayout !== undefined && { storedLayout }),
    read: (name) => scale(name, source.read(name)),
    ...(readBlocks !== undefined && {
      readBlocks(name) {
        const blocks = readBlocks(name);
        const { scales, offsets } = blocks;
        const scaled = { ...blocks, scales: scale(name, scales) };
        return offsets === undefined ? scaled : { ...scaled, offsets: scale(name, offsets) };
      },
    }),
  };
}

/** What queries are proportional to: the gain of their norm where they have one, else their projection. */
function isQuery({ queryKeyNorm }: ModelSpec, name: string): boolean {
  return queryKeyNorm === 'none'
    ? /\.self_attn\.q_proj\.(weight|bias)$/.test(name)
    : /\.self_attn\.q_norm\.weight$/.test(name);
}
