// The operators over product.h. Attributes of all: inSize, outSize, blockSize, bits. Work is shared between ONNX Runtime's threads.
//   Product       input [..., inSize], matrix uint8; then, each of which may be left out: bias [outSize], gains [inSize] of a norm that
//                 the input has first (root mean square, attribute epsilon), residual [..., outSize] → [..., outSize]
//   GatedProduct  input, gate, up: matrices; gains, bias of gate, bias of up may be left out → silu(gate · x) · (up · x)
//   Rows          matrix, ids int32 [...] → [..., inSize]
#include "ort.h"
#include "product.h"
#include <stdlib.h>

#define TASK_BYTES 65536 // of weights times rows: less is not worth another thread's while
#define TASKS_MAX 16
#define ROUND_ROWS 8 // rows that a task rounds
#define ALIGNMENT 64

typedef struct Kernel {
  Matrix matrix; // without its data, which is an input
  float epsilon;
  OrtAllocator *memory;
} Kernel;

static OrtStatus *createKernel(const OrtCustomOp *op, OrtApi api, const OrtKernelInfo *info, void **kernel) {
  (void)api;
  int64_t inSize, outSize, blockSize, bits;
  float epsilon = 0;
  TRY(ortIntAttribute(info, "inSize", &inSize));
  TRY(ortIntAttribute(info, "outSize", &outSize));
  TRY(ortIntAttribute(info, "blockSize", &blockSize));
  TRY(ortIntAttribute(info, "bits", &bits));
  if (inSize < 1 || outSize < 1 || blockSize < 16 || blockSize > BLOCK_MAX || blockSize % 16 != 0 || (bits != 8 && bits != 4))
    return ortCreateStatus(ORT_INVALID_ARGUMENT, "no such matrix");
  if (op != &rowsOp) TRY(ortFloatAttribute(info, "epsilon", &epsilon));
  Kernel read = {.matrix = matrixOf(NULL, (size_t)inSize, (size_t)outSize, (size_t)blockSize, (size_t)bits), .epsilon = epsilon};
  return keepKernel(info, &read, sizeof read, &read.memory, kernel);
}

static void destroyKernel(void *kernel) {
  ortReleaseAllocator(((Kernel *)kernel)->memory);
  free(kernel);
}

/** An input as the kernel's matrix. */
static OrtStatus *readMatrix(const Kernel *kernel, const OrtKernelContext *context, size_t index, Matrix *matrix) {
  Tensor data;
  TRY(readInput(context, index, &data));
  *matrix = kernel->matrix;
  if (sizeOf(&data) != groupCount(matrix) * groupBytes(matrix)) return ortCreateStatus(ORT_INVALID_ARGUMENT, "a matrix has another size");
  matrix->data = data.data;
  return NULL;
}

/** An input of so many floats, or none. */
static OrtStatus *readFloats(const OrtKernelContext *context, size_t index, size_t size, const float **values) {
  Tensor tensor;
  TRY(readInput(context, index, &tensor));
  *values = tensor.data;
  return tensor.data == NULL || sizeOf(&tensor) == size ? NULL : ortCreateStatus(ORT_INVALID_ARGUMENT, "an input has another size");
}

typedef struct Work {
  Matrix matrix; // as all of an operator's are, but for their data
  Rows rows;
  Rounded rounded;
  Result result;
  Gated gated;
  size_t taskCount;
} Work;

static void roundTask(void *data, size_t task) {
  const Work *work = data;
  size_t from = task * ROUND_ROWS, to = from + ROUND_ROWS;
  if (to > work->rounded.rowCount) to = work->rounded.rowCount;
  roundRows(&work->matrix, &work->rows, &work->rounded, from, to);
}

static void multiplyTask(void *data, size_t task) {
  const Work *work = data;
  const size_t groups = groupCount(&work->matrix);
  multiplyGroups(&work->matrix, &work->rounded, &work->result, groups * task / work->taskCount,
                 groups * (task + 1) / work->taskCount);
}

static void gatedTask(void *data, size_t task) {
  const Work *work = data;
  const size_t groups = groupCount(&work->matrix);
  multiplyGatedGroups(&work->gated, &work->rounded, groups * task / work->taskCount, groups * (task + 1) / work->taskCount);
}

static OrtStatus *runTasks(const OrtKernelContext *context, void (*task)(void *, size_t), size_t count, void *work) {
  if (count > 1) return ortParallelFor(context, task, count, 0, work);
  task(work, 0);
  return NULL;
}

static size_t taskCountOf(const Matrix *matrix, size_t rowCount) {
  const size_t groups = groupCount(matrix);
  size_t count = groups * groupBytes(matrix) * rowCount / TASK_BYTES;
  if (count > TASKS_MAX) count = TASKS_MAX;
  if (count > groups) count = groups;
  return count < 1 ? 1 : count;
}

/** The output, its size a row `outSize`, and the rows to multiply, not rounded yet. */
static OrtStatus *prepare(const Kernel *kernel, OrtKernelContext *context, size_t gains, Work *work, float **output) {
  const Matrix *matrix = &work->matrix;
  Tensor input, result;
  TRY(readInput(context, 0, &input));
  if (input.rank < 1 || (size_t)input.shape[input.rank - 1] != matrix->inSize)
    return ortCreateStatus(ORT_INVALID_ARGUMENT, "activations have another size");
  result = input;
  result.shape[result.rank - 1] = (int64_t)matrix->outSize;
  TRY(writeOutput(context, 0, &result));
  *output = result.data;
  const size_t count = sizeOf(&input) / matrix->inSize;
  work->rounded.rowCount = count;
  work->rows = (Rows){input.data, NULL, kernel->epsilon};
  work->taskCount = taskCountOf(matrix, count);
  return readFloats(context, gains, matrix->inSize, &work->rows.gains);
}

/** Rounds the rows and runs `task` on them. */
static OrtStatus *multiply(const Kernel *kernel, const OrtKernelContext *context, void (*task)(void *, size_t), Work *work) {
  const size_t count = work->rounded.rowCount, blocks = count * work->matrix.blockCount;
  if (count == 0) return NULL;
  const size_t stepsAt = (blocks * work->matrix.blockSize * sizeof(int16_t) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  void *const scratch = kernel->memory->Alloc(kernel->memory, stepsAt + 2 * blocks * sizeof(float));
  if (scratch == NULL) return ortCreateStatus(ORT_FAIL, "out of memory");
  float *const steps = (float *)((char *)scratch + stepsAt);
  work->rounded = (Rounded){scratch, steps, steps + blocks, count};
  OrtStatus *status = runTasks(context, roundTask, (count + ROUND_ROWS - 1) / ROUND_ROWS, work);
  if (status == NULL) status = runTasks(context, task, work->taskCount, work);
  kernel->memory->Free(kernel->memory, scratch);
  return status;
}

enum { MATRIX = 1, BIAS, GAINS, RESIDUAL, PRODUCT_INPUTS };

static OrtStatus *computeProduct(void *data, OrtKernelContext *context) {
  const Kernel *kernel = data;
  Work work;
  TRY(readMatrix(kernel, context, MATRIX, &work.matrix));
  TRY(prepare(kernel, context, GAINS, &work, &work.result.output));
  const size_t outSize = work.matrix.outSize;
  TRY(readFloats(context, BIAS, outSize, &work.result.bias));
  TRY(readFloats(context, RESIDUAL, work.rounded.rowCount * outSize, &work.result.residual));
  return multiply(kernel, context, multiplyTask, &work);
}

enum { GATE = 1, UP, GATED_GAINS, GATE_BIAS, UP_BIAS, GATED_INPUTS };

static OrtStatus *computeGated(void *data, OrtKernelContext *context) {
  const Kernel *kernel = data;
  Work work;
  TRY(readMatrix(kernel, context, GATE, &work.gated.gate));
  TRY(readMatrix(kernel, context, UP, &work.gated.up));
  work.matrix = work.gated.gate;
  TRY(prepare(kernel, context, GATED_GAINS, &work, &work.gated.output));
  TRY(readFloats(context, GATE_BIAS, work.matrix.outSize, &work.gated.gateBias));
  TRY(readFloats(context, UP_BIAS, work.matrix.outSize, &work.gated.upBias));
  return multiply(kernel, context, gatedTask, &work);
}

static OrtStatus *computeRows(void *data, OrtKernelContext *context) {
  const Kernel *kernel = data;
  Matrix matrix;
  Tensor ids, output;
  TRY(readMatrix(kernel, context, 0, &matrix));
  TRY(readInput(context, 1, &ids));
  if (ids.rank >= RANK_MAX) return ortCreateStatus(ORT_INVALID_ARGUMENT, "indices have too many dimensions");
  output = ids;
  output.shape[output.rank++] = (int64_t)matrix.inSize;
  TRY(writeOutput(context, 0, &output));
  const size_t count = sizeOf(&ids);
  for (size_t at = 0; at < count; at++) {
    const int32_t id = ((const int32_t *)ids.data)[at];
    if (id < 0 || (size_t)id >= matrix.outSize) return ortCreateStatus(ORT_INVALID_ARGUMENT, "an index is beyond the matrix");
    readRow(&matrix, (size_t)id, (float *)output.data + at * matrix.inSize);
  }
  return NULL;
}

static const char *productName(const OrtCustomOp *op) { return (void)op, "Product"; }
static const char *rowsName(const OrtCustomOp *op) { return (void)op, "Rows"; }
static const char *gatedName(const OrtCustomOp *op) { return (void)op, "GatedProduct"; }
static size_t productInputs(const OrtCustomOp *op) { return (void)op, PRODUCT_INPUTS; }
static size_t gatedInputs(const OrtCustomOp *op) { return (void)op, GATED_INPUTS; }
static size_t rowsInputs(const OrtCustomOp *op) { return (void)op, 2; }
static size_t oneOutput(const OrtCustomOp *op) { return (void)op, 1; }
static int productInputType(const OrtCustomOp *op, size_t index) { return (void)op, index == MATRIX ? TYPE_UINT8 : TYPE_FLOAT; }
static int gatedInputType(const OrtCustomOp *op, size_t index) { return (void)op, index == GATE || index == UP ? TYPE_UINT8 : TYPE_FLOAT; }
static int rowsInputType(const OrtCustomOp *op, size_t index) { return (void)op, index == 0 ? TYPE_UINT8 : TYPE_INT32; }
static int floatOutput(const OrtCustomOp *op, size_t index) { return (void)op, (void)index, TYPE_FLOAT; }
static int productOptional(const OrtCustomOp *op, size_t index) { return (void)op, index > MATRIX ? INPUT_OPTIONAL : INPUT_REQUIRED; }
static int gatedOptional(const OrtCustomOp *op, size_t index) { return (void)op, index > UP ? INPUT_OPTIONAL : INPUT_REQUIRED; }

#define PRODUCT_COMMON                                                                      \
  OPERATOR_COMMON, .GetOutputType = floatOutput, .GetOutputTypeCount = oneOutput,           \
  .KernelDestroy = destroyKernel, .CreateKernelV2 = createKernel

const OrtCustomOp productOp = {PRODUCT_COMMON,
                               .GetName = productName,
                               .GetInputType = productInputType,
                               .GetInputTypeCount = productInputs,
                               .GetInputCharacteristic = productOptional,
                               .KernelComputeV2 = computeProduct};

const OrtCustomOp gatedProductOp = {PRODUCT_COMMON,
                                    .GetName = gatedName,
                                    .GetInputType = gatedInputType,
                                    .GetInputTypeCount = gatedInputs,
                                    .GetInputCharacteristic = gatedOptional,
                                    .KernelComputeV2 = computeGated};

const OrtCustomOp rowsOp = {PRODUCT_COMMON,
                            .GetName = rowsName,
                            .GetInputType = rowsInputType,
                            .GetInputTypeCount = rowsInputs,
                            .GetInputCharacteristic = requiredKind,
                            .KernelComputeV2 = computeRows};
