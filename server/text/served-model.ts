// ServedModel: what the routes need of a model. A type only; models/model.ts makes one.

import type { SamplingDefaults } from '../../models/config/sampling-defaults.ts';
import type { FimTokens } from '../../models/model.ts';
import type { ModelSpec } from '../../models/spec.ts';
import type { ChatTemplate } from '../../models/template/chat-template.ts';
import type { Tokenizer } from '../../models/tokenizer/tokenizer.ts';

/** A Model (models/model.ts) is one; tests may bring smaller ones. */
export interface ServedModel {
  readonly name: string;
  readonly aliases?: readonly string[]; // other names that it answers to, and is listed under
  readonly aliasPrefixes?: readonly string[]; // it answers to whatever begins so
  readonly neighbours?: () => readonly string[]; // names of the other models of this server
  readonly path?: string; // where its files are; unknown of small models of tests, as is the rest of the spec
  readonly fileFormat?: 'gguf' | 'safetensors' | 'onnx';
  readonly fileSize?: number; // bytes
  readonly spec: Pick<ModelSpec, 'vocabSize' | 'eosTokenIds'> & Partial<ModelSpec>;
  readonly tokenizer: Pick<
    Tokenizer,
    'vocabSize' | 'startIds' | 'encode' | 'decode' | 'tokenBytes' | 'isSpecial' | 'specialTokenId'
  >;
  readonly chatTemplate:
    | (Pick<ChatTemplate, 'render'> & Partial<Pick<ChatTemplate, 'reads' | 'reasoning' | 'source'>>)
    | null; // the optional ones: unknown, nothing
  readonly defaults: SamplingDefaults;
  readonly fim: FimTokens | null;
}
