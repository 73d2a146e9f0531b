// Entry point of the library: ONNX Runtime calls RegisterCustomOps() when a session is opened with it. Compiled for any x86-64;
// the operators need what isSupported() asks for.
#include "ort.h"
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

OrtApi ort = NULL;
static OrtCustomOpDomain *domain = NULL; // lives as long as the library, which is never unloaded

#define EXPORT __attribute__((visibility("default")))

// Bits of CPUID; source: Intel's Software Developer's Manual, volume 2, CPUID.
#define HAS_FMA (1u << 12)
#define HAS_OSXSAVE (1u << 27)
#define HAS_F16C (1u << 29)
#define HAS_AVX2 (1u << 5)
#define WIDE_STATE 6u // of XCR0: the system keeps the registers that AVX has

static uint32_t savedState(void) {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/** Whether this processor has the instructions that the operators are compiled for: AVX2, FMA and F16C. */
EXPORT int32_t sparklane_supported(void) {
  const uint32_t needed = HAS_FMA | HAS_OSXSAVE | HAS_F16C;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & needed) != needed || (savedState() & WIDE_STATE) != WIDE_STATE) return 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & HAS_AVX2) != 0;
}

/** For every session, which several threads may open at once: two that are the first make a whole domain each, and one stays. */
EXPORT OrtStatus *RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
  if (ort == NULL) ort = base->GetApi(ORT_API_VERSION);
  if (domain == NULL) {
    OrtCustomOpDomain *fresh = NULL;
    TRY(ortCreateDomain("sparklane", &fresh));
    TRY(ortDomainAdd(fresh, &productOp));
    TRY(ortDomainAdd(fresh, &gatedProductOp));
    TRY(ortDomainAdd(fresh, &rowsOp));
    TRY(ortDomainAdd(fresh, &attentionOp));
    TRY(ortDomainAdd(fresh, &int8AttentionOp));
    domain = fresh;
  }
  return ortAddDomain(options, domain);
}

OrtStatus *readInput(const OrtKernelContext *context, size_t index, Tensor *tensor) {
  const OrtValue *value = NULL;
  OrtShape *shape = NULL;
  tensor->data = NULL;
  tensor->rank = 0;
  TRY(ortInput(context, index, &value));
  if (value == NULL) return NULL;
  TRY(ortShapeOf(value, &shape));
  OrtStatus *status = ortDimensionsCount(shape, &tensor->rank);
  if (status == NULL && tensor->rank > RANK_MAX) status = ortCreateStatus(ORT_INVALID_ARGUMENT, "an input has too many dimensions");
  if (status == NULL) status = ortDimensions(shape, tensor->shape, tensor->rank);
  ortReleaseShape(shape);
  return status != NULL ? status : ortTensorData((OrtValue *)value, &tensor->data);
}

OrtStatus *writeOutput(OrtKernelContext *context, size_t index, Tensor *tensor) {
  OrtValue *value = NULL;
  TRY(ortOutput(context, index, tensor->shape, tensor->rank, &value));
  return ortTensorData(value, &tensor->data);
}

size_t sizeOf(const Tensor *tensor) {
  size_t size = 1;
  for (size_t at = 0; at < tensor->rank; at++) size *= (size_t)tensor->shape[at];
  return size;
}

OrtStatus *keepKernel(const OrtKernelInfo *info, void *kernel, size_t size, OrtAllocator **memory, void **kept) {
  TRY(ortKernelAllocator(info, 0, memory)); // of default memory
  void *made = malloc(size);
  if (made == NULL) {
    ortReleaseAllocator(*memory);
    return ortCreateStatus(ORT_FAIL, "out of memory");
  }
  *kept = memcpy(made, kernel, size);
  return NULL;
}

const char *cpuProvider(const OrtCustomOp *op) { return (void)op, "CPUExecutionProvider"; }
int requiredKind(const OrtCustomOp *op, size_t index) { return (void)op, (void)index, INPUT_REQUIRED; }
int defaultMemory(const OrtCustomOp *op, size_t index) { return (void)op, (void)index, 0; }
int oneOf(const OrtCustomOp *op) { return (void)op, 1; }
int lastVersion(const OrtCustomOp *op) { return (void)op, INT32_MAX; }
