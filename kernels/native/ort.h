// The part of ONNX Runtime's C API that an operator needs: types, and functions by their position in `struct OrtApi`. The table
// only ever grows at its end, so positions hold for every later 1.x; source: onnxruntime_c_api.h of 1.30.
#ifndef SPARKLANE_ORT_H
#define SPARKLANE_ORT_H
#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION 24 // as kernels/onnx/ort-library.ts asks for
#define CUSTOM_OP_VERSION 17 // of struct OrtCustomOp: statuses, no in-place hints

typedef struct OrtStatus OrtStatus;
typedef struct OrtValue OrtValue;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtCustomOpDomain OrtCustomOpDomain;
typedef struct OrtKernelInfo OrtKernelInfo;
typedef struct OrtKernelContext OrtKernelContext;
typedef struct OrtTensorTypeAndShapeInfo OrtShape;
typedef struct OrtShapeInferContext OrtShapeInferContext;
typedef const void *const *OrtApi;

typedef struct OrtApiBase {
  OrtApi (*GetApi)(uint32_t version);
  const char *(*GetVersionString)(void);
} OrtApiBase;

// enum ONNXTensorElementDataType
enum { TYPE_ANY = 0, TYPE_FLOAT = 1, TYPE_UINT8 = 2, TYPE_INT8 = 3, TYPE_INT32 = 6, TYPE_INT64 = 7 };
// enum OrtCustomOpInputOutputCharacteristic
enum { INPUT_REQUIRED = 0, INPUT_OPTIONAL = 1 };
// enum OrtErrorCode
enum { ORT_FAIL = 1, ORT_INVALID_ARGUMENT = 2 };

typedef struct OrtCustomOp OrtCustomOp;
struct OrtCustomOp {
  uint32_t version;
  void *(*CreateKernel)(const OrtCustomOp *, OrtApi, const OrtKernelInfo *);
  const char *(*GetName)(const OrtCustomOp *);
  const char *(*GetExecutionProviderType)(const OrtCustomOp *);
  int (*GetInputType)(const OrtCustomOp *, size_t);
  size_t (*GetInputTypeCount)(const OrtCustomOp *);
  int (*GetOutputType)(const OrtCustomOp *, size_t);
  size_t (*GetOutputTypeCount)(const OrtCustomOp *);
  void (*KernelCompute)(void *, OrtKernelContext *);
  void (*KernelDestroy)(void *);
  int (*GetInputCharacteristic)(const OrtCustomOp *, size_t);
  int (*GetOutputCharacteristic)(const OrtCustomOp *, size_t);
  int (*GetInputMemoryType)(const OrtCustomOp *, size_t);
  int (*GetVariadicInputMinArity)(const OrtCustomOp *);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp *);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp *);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp *);
  OrtStatus *(*CreateKernelV2)(const OrtCustomOp *, OrtApi, const OrtKernelInfo *, void **);
  OrtStatus *(*KernelComputeV2)(void *, OrtKernelContext *);
  OrtStatus *(*InferOutputShapeFn)(const OrtCustomOp *, OrtShapeInferContext *);
  int (*GetStartVersion)(const OrtCustomOp *);
  int (*GetEndVersion)(const OrtCustomOp *);
};

/** The arena of a session: what is freed is used again, without asking the system. Safe from several threads. */
typedef struct OrtAllocator OrtAllocator;
struct OrtAllocator {
  uint32_t version;
  void *(*Alloc)(OrtAllocator *, size_t);
  void (*Free)(OrtAllocator *, void *);
};

extern OrtApi ort; // set by RegisterCustomOps()

#define ORT_FUNCTION(position, result, ...) ((result(*)(__VA_ARGS__))(uintptr_t)ort[position])
#define ortCreateStatus ORT_FUNCTION(0, OrtStatus *, int, const char *)
#define ortCreateDomain ORT_FUNCTION(26, OrtStatus *, const char *, OrtCustomOpDomain **)
#define ortDomainAdd ORT_FUNCTION(27, OrtStatus *, OrtCustomOpDomain *, const OrtCustomOp *)
#define ortAddDomain ORT_FUNCTION(28, OrtStatus *, OrtSessionOptions *, OrtCustomOpDomain *)
#define ortTensorData ORT_FUNCTION(51, OrtStatus *, OrtValue *, void **)
#define ortDimensionsCount ORT_FUNCTION(61, OrtStatus *, const OrtShape *, size_t *)
#define ortDimensions ORT_FUNCTION(62, OrtStatus *, const OrtShape *, int64_t *, size_t)
#define ortShapeOf ORT_FUNCTION(65, OrtStatus *, const OrtValue *, OrtShape **)
#define ortFloatAttribute ORT_FUNCTION(85, OrtStatus *, const OrtKernelInfo *, const char *, float *)
#define ortIntAttribute ORT_FUNCTION(86, OrtStatus *, const OrtKernelInfo *, const char *, int64_t *)
#define ortInput ORT_FUNCTION(90, OrtStatus *, const OrtKernelContext *, size_t, const OrtValue **)
#define ortOutput ORT_FUNCTION(91, OrtStatus *, OrtKernelContext *, size_t, const int64_t *, size_t, OrtValue **)
#define ortReleaseShape ORT_FUNCTION(99, void, OrtShape *)
#define ortReleaseAllocator ORT_FUNCTION(132, void, OrtAllocator *)
#define ortParallelFor ORT_FUNCTION(274, OrtStatus *, const OrtKernelContext *, void (*)(void *, size_t), size_t, size_t, void *)
#define ortKernelAllocator ORT_FUNCTION(278, OrtStatus *, const OrtKernelInfo *, int, OrtAllocator **)

#define RANK_MAX 4

/** A tensor of a call; `data` null: an optional input that was left out. */
typedef struct Tensor {
  void *data;
  size_t rank;
  int64_t shape[RANK_MAX];
} Tensor;

/** Passes a status on. */
#define TRY(call)                      \
  do {                                 \
    OrtStatus *status_ = (call);       \
    if (status_ != NULL) return status_; \
  } while (0)

/** Input `index` with its shape. */
OrtStatus *readInput(const OrtKernelContext *context, size_t index, Tensor *tensor);

/** Output `index` of this shape: bound memory or fresh. */
OrtStatus *writeOutput(OrtKernelContext *context, size_t index, Tensor *tensor);

/** Elements of a tensor. */
size_t sizeOf(const Tensor *tensor);

/** `*kept`: a copy of `kernel`, which has `memory` among its fields, with the session's arena there. */
OrtStatus *keepKernel(const OrtKernelInfo *info, void *kernel, size_t size, OrtAllocator **memory, void **kept);

// What all operators answer alike.
const char *cpuProvider(const OrtCustomOp *op);
int requiredKind(const OrtCustomOp *op, size_t index);
int defaultMemory(const OrtCustomOp *op, size_t index);
int oneOf(const OrtCustomOp *op);
int lastVersion(const OrtCustomOp *op);

#define OPERATOR_COMMON                                                                                              \
  .version = CUSTOM_OP_VERSION, .GetExecutionProviderType = cpuProvider, .GetOutputCharacteristic = requiredKind,    \
  .GetInputMemoryType = defaultMemory, .GetVariadicInputMinArity = oneOf, .GetVariadicInputHomogeneity = oneOf,      \
  .GetVariadicOutputMinArity = oneOf, .GetVariadicOutputHomogeneity = oneOf, .GetStartVersion = oneOf,               \
  .GetEndVersion = lastVersion

// The operators of this library.
extern const OrtCustomOp productOp;
extern const OrtCustomOp gatedProductOp;
extern const OrtCustomOp rowsOp;
extern const OrtCustomOp attentionOp;
extern const OrtCustomOp int8AttentionOp;
#endif
