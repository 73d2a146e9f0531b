// What Ollama tells of a model: in its list, in detail, as running. Owns the spelling; pure. Before it: routes.ts; after it:
// chat/model-facts.ts.
import { createHash } from 'node:crypto';
import type { CatalogueModel } from '../chat/catalogue-model.ts';
import type { DescribedService } from '../chat/described-service.ts';
import { modelFacts } from '../chat/model-facts.ts';
import type { Residence } from '../shelf/shelf.ts';

// Ollama writes such a time for a model that stays until the server ends.
const NEVER = '2318-01-01T00:00:00Z';

/** GET /api/tags */
export function listed(name: string, service: DescribedService): object {
  return { ...identity(name, service), modified_at: availableAt(service) };
}

/** GET /api/tags, of the models beside the server's own. */
export function listedOthers(service: DescribedService): readonly object[] {
  return (service.others?.() ?? []).map(({ listed: other }) => ({
    ...otherIdentity(other, service),
    modified_at: availableAt(service),
  }));
}

/** GET /api/ps: what is in memory, and until when. */
export function running(service: DescribedService): readonly object[] {
  const { contextTokens } = modelFacts(service);
  const residence = service.residence?.() ?? { kind: 'loaded', idleMs: null, expiresMs: null };
  const entry = (known: object, size: number, state: Residence) =>
    state.kind === 'loaded'
      ? [{ ...known, expires_at: expiry(state.expiresMs, service), size_vram: 0, context_length: size }]
      : [];
  return [
    ...entry(identity(service.model.name, service), contextTokens, residence),
    ...(service.others?.() ?? []).flatMap(({ listed: other, residence: state }) =>
      entry(otherIdentity(other, service), other.contextTokens, state),
    ),
  ];
}

function expiry(expiresMs: number | null, { epochSeconds }: DescribedService): string {
  return expiresMs === null ? NEVER : new Date(epochSeconds() * 1000 + expiresMs).toISOString();
}

function otherIdentity(
  { name, fileSize, architecture, format, parameterCount }: CatalogueModel,
  { about }: DescribedService,
): object {
  const details = {
    ...{ parent_model: '', format, family: architecture, families: [architecture] },
    ...{ parameter_size: sizeText(parameterCount), quantization_level: about.precision },
  };
  const digest = createHash('sha256').update(`${name}\0${fileSize}`).digest('hex');
  return { name, model: name, size: fileSize, digest, details };
}

/** POST /api/show of a model that makes vectors. */
export function shownEncoder(model: CatalogueModel): object {
  const { name, architecture, contextTokens, hiddenSize, parameterCount, capabilities, format } = model;
  return {
    ...{ modelfile: `# an embedding model of this server\nFROM ${name}\n`, parameters: '', template: '' },
    details: {
      format,
      family: architecture,
      families: [architecture],
      parameter_size: sizeText(parameterCount),
    },
    model_info: {
      'general.architecture': architecture,
      'general.basename': name,
      'general.parameter_count': parameterCount,
      [`${architecture}.context_length`]: contextTokens,
      [`${architecture}.embedding_length`]: hiddenSize,
    },
    capabilities,
  };
}

/** POST /api/show. `context_length` is the served one: clients fill it. */
export function shown(service: DescribedService): object {
  const { model } = service;
  const { spec, defaults, chatTemplate } = model;
  const { architecture, contextTokens, parameterCount, capabilities } = modelFacts(service);
  const known = {
    'general.parameter_count': parameterCount,
    [`${architecture}.embedding_length`]: spec.hiddenSize,
    [`${architecture}.block_count`]: spec.layerCount,
    [`${architecture}.attention.head_count`]: spec.headCount,
    [`${architecture}.attention.head_count_kv`]: spec.kvHeadCount,
  };
  return {
    modelfile: `# the model that this server has\nFROM ${model.path ?? model.name}\n`,
    parameters: [
      `temperature ${defaults.temperature}`,
      `top_k ${defaults.topK}`,
      `top_p ${defaults.topP}`,
      `min_p ${defaults.minP}`,
      `repeat_penalty ${defaults.repetitionPenalty}`,
    ].join('\n'),
    template: chatTemplate?.source ?? '',
    details: detailsOf(service),
    model_info: {
      'general.architecture': architecture,
      'general.basename': model.name,
      [`${architecture}.context_length`]: contextTokens,
      [`${architecture}.vocab_size`]: spec.vocabSize,
      ...Object.fromEntries(Object.entries(known).filter(([, value]) => value != null)),
    },
    capabilities,
    modified_at: availableAt(service),
  };
}

function identity(name: string, service: DescribedService): object {
  const { fileSize } = modelFacts(service);
  return { name, model: name, size: fileSize, digest: digestOf(service), details: detailsOf(service) };
}

function detailsOf(service: DescribedService): object {
  const { architecture, format, parameterCount } = modelFacts(service);
  return {
    parent_model: '',
    format,
    family: architecture,
    families: [architecture],
    parameter_size: parameterCount === null ? '' : sizeText(parameterCount),
    quantization_level: service.about.precision,
  };
}

/** 134.52M, 7.6B */
function sizeText(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(1)}B` : `${(count / 1e6).toFixed(2)}M`;
}

/** Names what is served, not the bytes of its files. */
function digestOf({ model, about }: DescribedService): string {
  const parts = [model.name, model.path ?? '', String(model.fileSize ?? 0), about.precision];
  return createHash('sha256').update(parts.join('\0')).digest('hex');
}

function availableAt({ startedSeconds }: DescribedService): string {
  return new Date(startedSeconds * 1000).toISOString();
}
