// What a directory that is no model of ours holds instead, and what to do about it: the wrong directory is the commonest
// mistake. Looks at names only. Used by checkpoint/checkpoint-config.ts and weights/weight-files.ts for their messages.
import { readdirSync, statSync } from 'node:fs';

const kinds: readonly { readonly pattern: RegExp; readonly says: string }[] = [
  {
    pattern: /^adapter_(config\.json|model\.)/,
    says: 'adapters (LoRA), which are no model of their own: merge them into their base model first',
  },
  { pattern: /\.gguf$/i, says: 'GGUF files: name one of them' },
  {
    pattern: /^model-\d+-of-\d+\.safetensors$/,
    says: 'shards of weights without model.safetensors.index.json: fetch that file too',
  },
  { pattern: /\.safetensors$/, says: 'safetensors files of other names: model.safetensors is read' },
  {
    pattern: /^pytorch_model.*\.bin$|\.(pth|pt|ckpt)$/,
    says: 'PyTorch files, which can run code and are not read: save the model as safetensors (save_pretrained)',
  },
  {
    pattern: /\.onnx$/,
    says: 'an ONNX model of another name: model.onnx and onnx/model*.onnx beside config.json, or genai_config.json, are known',
  },
  { pattern: /\.(h5|msgpack|ot)$/, says: 'weights of TensorFlow, Flax or Rust: safetensors are needed' },
];

/** `; there are …`, or nothing where nothing tells. */
export function contents(directory: string): string {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) return `; there is no ${directory}`;
  if (stat.isFile()) {
    return `; ${directory} is a file: name its directory, or a file that ends in .gguf`;
  }
  const names = namesIn(directory);
  const found = kinds.find(({ pattern }) => names.some((name) => pattern.test(name)));
  if (found) return `; there are ${found.says}`;
  if (names.includes('onnx')) return '; there is a folder of ONNX graphs, none of them of a known name';
  return '';
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // no directory: the caller says so
  }
}
