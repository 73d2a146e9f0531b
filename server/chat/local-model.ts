// LocalModel: this server's model with what makes prompts and forms for it, and the bounds of what may be asked. Types only.
// Used by local-answering.ts.
import type { Clock } from '../../kernels/clock.ts';
import type { DraftingBounds } from '../generation/drafting.ts';
import type { TextGenerator } from '../generation/generation.ts';
import type { GrammarCompiler } from '../grammar/compiler.ts';
import type { ServedModel } from '../text/served-model.ts';
import type { FormParts } from './form.ts';
import type { PromptEncoder } from './prompt-encoder.ts';
import type { PromptTrail } from './prompt-trail.ts';

export interface RequestBounds {
  readonly choiceCountMax: number; // n
  readonly promptCountMax: number; // prompts of one completions request
  readonly logprobsMax: number; // alternatives per token
  readonly tokenizeSizeMax: number; // characters of /tokenize, tokens of /detokenize
  readonly requestTimeoutMs: number;
  readonly draftTokensMax: number; // guessed per step; 0: never
  readonly draftsUnasked: DraftingBounds['draftsUnasked']; // where the request does not say
  readonly streamBufferSizeMax: number; // unread bytes of one answer at which its generation pauses
}

export interface LocalModel {
  readonly model: ServedModel;
  readonly forms: FormParts & { readonly compiler: Pick<GrammarCompiler, 'banned'> };
  readonly prompts: Pick<PromptEncoder, 'encode'>;
  readonly trail: Pick<PromptTrail, 'follow'>; // latest prompts of conversations
  readonly generator: Pick<TextGenerator, 'start' | 'contextTokensMax'>;
  readonly bounds: RequestBounds;
  readonly clock: Clock;
}
