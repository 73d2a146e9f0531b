// The models beside the server's own: presets of the config file and what lies in --models-dir. Reads what each of them is at
// start, so that lists are whole and what cannot be served is known by name; opens none before it is asked for. Before it:
// local-server.ts; after it: catalogue/catalogue.ts and serving/served-decoder.ts.

import { adapterChoice } from '../../models/checkpoint/lora.ts';
import { loadEncoderModel } from '../../models/embedding-model.ts';
import { isEncoder, readEncoderSpec } from '../../models/encoder/encoder-config.ts';
import { encoderWeightCount } from '../../models/encoder/encoder-spec.ts';
import { modelsIn } from '../../models/files/models-directory.ts';
import { loadModel, type Model } from '../../models/model.ts';
import { weightCount } from '../../models/spec.ts';
import { weightSize } from '../../models/weights/weight-files.ts';
import type { OtherModels } from '../app.ts';
import { Catalogue, type CatalogueEntry, type UnreadableModel } from '../catalogue/catalogue.ts';
import type { CatalogueModel } from '../chat/catalogue-model.ts';
import { capabilitiesOf } from '../chat/model-facts.ts';
import { type Config, presetConfig } from '../config/config.ts';
import type { ModelPreset } from '../config/presets.ts';
import { DecoderDevice } from '../device/decoder-device.ts';
import { type DeviceParts, limitsFor, loadedSize, openDevice } from '../device/device.ts';
import { encoderDevice } from '../device/embedding-device.ts';
import { openEmbeddingDesk } from '../embeddings/embedding-desk.ts';
import { type DecoderEmbeddings, decoderEmbeddings } from '../embeddings/open-embeddings.ts';
import type { ServerMetrics } from '../metrics/metrics.ts';
import { encoderRoutes } from '../ollama/encoder-routes.ts';
import type { SharedParts } from '../serving/model-service.ts';
import { type DecoderParts, openDecoder, type ServedDecoder } from '../serving/served-decoder.ts';
import type { Resident, Shelf } from '../shelf/shelf.ts';
import { TextThread } from '../text/text-thread.ts';
import { toolSyntaxOf } from '../tools/dialect.ts';

export interface TableParts
  extends Pick<DecoderParts, 'version' | 'clock' | 'epochMs' | 'random' | 'freshId' | 'log'> {
  readonly shelf: Shelf;
  readonly metrics: ServerMetrics;
  readonly device: DeviceParts;
}

/** What the config asks for beside its own model; the first of a name counts, and the own one before all. */
export function presetsOf(config: Config, ownName: string): readonly ModelPreset[] {
  const found = config.modelsDirectory === null ? [] : modelsIn(config.modelsDirectory);
  const all = [...config.presets, ...found.map(({ name, path }) => ({ name, values: { model: path } }))];
  const names = new Set([ownName]);
  return all.filter(({ name }) => {
    const isNew = !names.has(name);
    names.add(name);
    return isNew;
  });
}

export class ModelTable {
  readonly #config: Config;
  readonly #parts: TableParts;
  readonly #entries: CatalogueEntry[] = [];
  readonly #unreadable: UnreadableModel[] = [];
  readonly #decoders: ServedDecoder[] = []; // that were ever asked
  readonly #open: { readonly close: () => Promise<void> }[] = [];
  #shared: SharedParts | null = null;

  constructor(config: Config, presets: readonly ModelPreset[], parts: TableParts) {
    this.#config = config;
    this.#parts = parts;
    for (const preset of presets) this.#add(preset);
  }

  /** For createApp, once. */
  open(shared: SharedParts): OtherModels {
    this.#shared = shared;
    return {
      catalogue: new Catalogue(this.#entries, { unreadable: this.#unreadable, shelf: this.#parts.shelf }),
      engines: () => this.#decoders.map(({ engine }) => engine),
      sessions: () => this.#decoders.map(({ service }) => service.sessions),
      close: async () => {
        await Promise.all(this.#open.map((one) => one.close()));
      },
    };
  }

  get names(): readonly string[] {
    return this.#entries.map(({ listed }) => listed.name);
  }

  #add(preset: ModelPreset): void {
    const config = presetConfig(this.#config, preset);
    const { name } = preset;
    try {
      this.#entries.push(isEncoder(config.model) ? this.#encoder(name, config) : this.#decoder(name, config));
    } catch (error) {
      const reason = (error as Error).message;
      this.#parts.log.warn('a model cannot be served', { model: name, reason });
      this.#unreadable.push({ name, reason });
    }
  }

  #encoder(name: string, config: Config): CatalogueEntry {
    const model = { ...loadEncoderModel(config.model), name };
    const device = encoderDevice(config, model);
    const { shelf, clock } = this.#parts;
    const spec = readEncoderSpec(config.model);
    const listed: CatalogueModel = {
      ...{
        name,
        aliases: config.aliases,
        kind: 'encoder',
        architecture: spec.architecture,
        format: 'safetensors',
      },
      ...{ contextTokens: model.tokensMax, trainedTokens: spec.contextLength },
      ...{
        vocabSize: model.vocabSize,
        hiddenSize: model.hiddenSize,
        parameterCount: encoderWeightCount(spec),
      },
      ...{ fileSize: weightSize(config.model), capabilities: ['embedding'] },
    };
    return {
      listed,
      resident: device.resident,
      open: () => {
        this.#open.push({ close: () => device.resident.unload() });
        const desk = openEmbeddingDesk(model, { shelf, device });
        return { routes: encoderRoutes({ listed, desk, bounds: config, clock }), sockets: [], texts: null };
      },
    };
  }

  #decoder(name: string, config: Config): CatalogueEntry {
    const { shelf, epochMs, device: parts } = this.#parts;
    const load = (): Model => ({
      ...loadModel(config.model, () => new Date(epochMs()), config.lora.map(adapterChoice)),
      name,
    });
    const read = load(); // looked at and let go: a vocabulary takes tens of MB
    const limits = limitsFor(config, read);
    let model: Model | null = null;
    const own = () => (model ??= load());
    const device = new DecoderDevice({
      ...{
        backendName: config.backend,
        name,
        limits,
        shelf,
        size: loadedSize(config, read),
        keepAliveMs: config.idleUnloadMs,
      },
      open: (onProgress) => openDevice(config, own(), { ...parts, onProgress }),
    });
    return {
      listed: listedDecoder(read, config, limits.slotTokensMax),
      resident: device.resident,
      open: () => this.#openDecoder(own(), config, device),
    };
  }

  #openDecoder(model: Model, config: Config, device: DecoderDevice) {
    const { shelf, log, metrics } = this.#parts;
    const contextTokens = device.backend.limits.slotTokensMax;
    const embeddings: DecoderEmbeddings | null = decoderEmbeddings(
      { config, model, contextTokens },
      { shelf, log },
    );
    const threads = new TextThread({ model: config.model }, this.#parts.epochMs);
    const decoder = openDecoder(
      {
        ...this.#parts,
        ...{ config, model, device, encodeElsewhere: threads, openEmbeddings: embeddings?.open ?? null },
        observer: metrics.observerOf(model.name),
        residence: () => shelf.stateOf(device.resident),
      },
      this.#shared!,
    );
    this.#decoders.push(decoder);
    this.#open.push(device, { close: () => closed(embeddings?.resident ?? null) });
    return decoder.service;
  }
}

function listedDecoder(model: Model, { aliases }: Config, contextTokens: number): CatalogueModel {
  const { name, spec, fileFormat: format, fileSize } = model;
  return {
    ...{ name, aliases, kind: 'decoder', architecture: spec.architecture, format, contextTokens, fileSize },
    ...{ trainedTokens: spec.contextLength, vocabSize: spec.vocabSize, hiddenSize: spec.hiddenSize },
    parameterCount: weightCount(spec),
    capabilities: capabilitiesOf(model, toolSyntaxOf(model)),
  };
}

async function closed(resident: Resident | null): Promise<void> {
  await resident?.unload();
}
