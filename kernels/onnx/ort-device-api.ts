// The part of ONNX Runtime's C API that computing elsewhere than on the cpu needs: execution providers, memory of their
// devices, and where a graph's nodes came to lie. Before it: ort-c-api.ts; after it: ort-library.ts.
import type { Address, Callers, Library } from './ort-library.ts';

/** As OrtApi's functions: what can fail throws OrtError. */
export interface DeviceApi {
  /** Throws OrtError('fail') where the library has no such provider. */
  appendProvider(options: Address, name: string): void;
  /** Of the default memory of a provider's device, by the name that its allocator has. */
  createDeviceMemoryInfo(name: string): Address;
  createAllocator(session: Address, memoryInfo: Address): Address;
  /** A tensor of f32 in that allocator's memory, not cleared; releaseValue() frees it. */
  createDeviceTensor(allocator: Address, shape: readonly number[]): Address;
  /** The address, or for WebGPU the buffer's handle, of a tensor's memory. */
  memoryOf(value: Address): Address;
  /** Between tensors of equal size, wherever they lie; done when it returns. */
  copyTensor(env: Address, from: Address, to: Address): void;
  /** How many nodes of which operator each provider has; of a session that was opened with `recordPlacement`. */
  placementOf(session: Address): readonly NodePlacement[];
  releaseAllocator(allocator: Address): void;
}

export interface NodePlacement {
  readonly provider: string; // 'CPUExecutionProvider', …
  readonly operators: ReadonlyMap<string, number>; // operator → nodes
}

/** The session option without which placementOf() throws. */
export const recordPlacement = { key: 'session.record_ep_graph_assignment_info', value: '1' } as const;

// Positions in `struct OrtApi`, as in ort-c-api.ts.
const positions = {
  CreateTensorAsOrtValue: 48,
  GetTensorMutableData: 51,
  CreateMemoryInfo: 68,
  CreateAllocator: 131,
  ReleaseAllocator: 132,
  SessionOptionsAppendExecutionProvider: 216,
  CopyTensors: 386,
  Session_GetEpGraphAssignmentInfo: 407,
  EpAssignedSubgraph_GetEpName: 408,
  EpAssignedSubgraph_GetNodes: 409,
  EpAssignedNode_GetOperatorType: 412,
} as const;

const deviceAllocator = 0; // enum OrtAllocatorType: OrtDeviceAllocator
const defaultMemory = 0; // enum OrtMemType: OrtMemTypeDefault
const float = 1; // enum ONNXTensorElementDataType

export function deviceTable(library: Library, callers: Callers): DeviceApi {
  const { checked, creator, releaser } = callers;
  const append = checked(positions.SessionOptionsAppendExecutionProvider, [
    'void *', // OrtSessionOptions
    'str',
    'void *', // const char* const* keys
    'void *', // const char* const* values
    'size_t',
  ]);
  const createMemoryInfo = creator(positions.CreateMemoryInfo, ['str', 'int32_t', 'int32_t', 'int32_t']);
  const createTensor = creator(positions.CreateTensorAsOrtValue, ['void *', 'void *', 'size_t', 'int32_t']);
  const copy = checked(positions.CopyTensors, ['void *', 'void *', 'void *', 'void *', 'size_t']);
  return {
    appendProvider: (options, name) => append(options, name, null, null, 0),
    createDeviceMemoryInfo: (name) => createMemoryInfo(name, deviceAllocator, 0, defaultMemory),
    createAllocator: creator(positions.CreateAllocator, ['void *', 'void *']),
    createDeviceTensor: (allocator, shape) =>
      createTensor(allocator, BigInt64Array.from(shape, BigInt), shape.length, float),
    memoryOf: creator(positions.GetTensorMutableData, ['void *']),
    copyTensor: (env, from, to) => copy(env, BigUint64Array.of(from), BigUint64Array.of(to), null, 1),
    placementOf: placementReader(library, callers),
    releaseAllocator: releaser(positions.ReleaseAllocator),
  };
}

function placementReader(library: Library, { checked, creator }: Callers): DeviceApi['placementOf'] {
  const list = (position: number) => {
    const call = checked(position, ['void *', 'void *', 'void *']);
    return (owner: Address): Address[] => {
      const start = new BigUint64Array(1);
      const count = new BigUint64Array(1);
      call(owner, start, count);
      return Array.from({ length: Number(count[0]!) }, (_, index) => library.pointerAt(start[0]!, index));
    };
  };
  const subgraphs = list(positions.Session_GetEpGraphAssignmentInfo);
  const nodes = list(positions.EpAssignedSubgraph_GetNodes);
  const providerOf = creator(positions.EpAssignedSubgraph_GetEpName, ['void *']);
  const operatorOf = creator(positions.EpAssignedNode_GetOperatorType, ['void *']);
  return (session) => {
    const placed = new Map<string, Map<string, number>>();
    for (const subgraph of subgraphs(session)) {
      const provider = library.textAt(providerOf(subgraph));
      const operators = placed.get(provider) ?? new Map<string, number>();
      placed.set(provider, operators);
      for (const node of nodes(subgraph)) {
        const operator = library.textAt(operatorOf(node));
        operators.set(operator, (operators.get(operator) ?? 0) + 1);
      }
    }
    return [...placed].map(([provider, operators]) => ({ provider, operators }));
  };
}
