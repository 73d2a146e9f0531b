// What lies where on a device, for people to look at: regions of cores on wafers, or pages in the memory of GPUs. Bytes and
// places only; what moves comes with the engine's counts. Told by devices that know it (backend.ts), drawn by the page.

export type DevicePlan = RegionsPlan | PagesPlan;

interface PlanFacts {
  readonly chip: string;
  readonly chipCount: number;
  readonly model: string;
  readonly precision: string;
  readonly powerW: number; // all chips
}

export interface RegionsPlan extends PlanFacts {
  readonly kind: 'regions';
  readonly columns: number; // cores of a chip
  readonly rows: number;
  readonly coreBytes: number;
  readonly kvBlocks: number; // that fit on the chips; the store may have more
  readonly regions: readonly PlanRegion[]; // in the order of the pipeline
}

/** A rectangle of cores with consecutive layers, or the output projection. Bytes are those of one core. */
export interface PlanRegion {
  readonly chip: number;
  readonly x: number;
  readonly y: number;
  readonly columns: number;
  readonly rows: number;
  readonly firstLayer: number;
  readonly layerCount: number; // 0: the output projection
  readonly programBytes: number;
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly blockBytes: number; // of one block of KV, on each core of the row that holds it
}

export interface PagesPlan extends PlanFacts {
  readonly kind: 'pages';
  readonly memoryBytes: number; // all chips
  readonly weightBytes: number;
  readonly kvBytes: number; // for KV, all of it
}
