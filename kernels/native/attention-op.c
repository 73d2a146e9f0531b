// The operators over attention.h: Attention with keys and values kept at fp32, Int8Attention as int8 by a scale for each channel.
//   inputs   query [B, n, heads · size], or with the keys and values behind it as one; past_key, past_value [B, kvHeads,
//            capacity, size]; seqlens_k int32 [B], length of each sequence after the step − 1; with int8 key_scale, value_scale
//            [1, kvHeads, 1, size], value_shift [as what holds the values], answer_shift [heads · size], which are added; then,
//            each of which may be left out, key, value [B, n, kvHeads · size], cos, sin [places, half], sinks [heads]
//   outputs  attended [B, n, heads · size]; present_key, present_value as the past, in place where they are bound to its memory
// Attributes: heads, kvHeads, window (0: none), softcap (0: none). Scores are products as they are. Before it: ONNX Runtime;
// after it: attention.c.
#include "attention.h"
#include "ort.h"
#include <stdlib.h>
#include <string.h>

typedef struct Kernel {
  int64_t heads, kvHeads, window;
  float softcap;
  int isInt8;
  OrtAllocator *memory;
} Kernel;

enum { QUERY, PAST_KEY, PAST_VALUE, LASTS, KEY_SCALE, VALUE_SCALE, VALUE_SHIFT, ANSWER_SHIFT, REQUIRED };
enum { KEY, VALUE, COSINES, SINES, SINKS, OPTIONAL }; // behind the required ones

static size_t requiredCount(int isInt8) { return isInt8 ? REQUIRED : KEY_SCALE; }

static OrtStatus *createKernel(const OrtCustomOp *op, OrtApi api, const OrtKernelInfo *info, void **kernel) {
  (void)api;
  Kernel read = {.isInt8 = op == &int8AttentionOp};
  TRY(ortIntAttribute(info, "heads", &read.heads));
  TRY(ortIntAttribute(info, "kvHeads", &read.kvHeads));
  TRY(ortIntAttribute(info, "window", &read.window));
  TRY(ortFloatAttribute(info, "softcap", &read.softcap));
  if (read.heads < 1 || read.kvHeads < 1 || read.heads % read.kvHeads != 0 || read.window < 0 || !(read.softcap >= 0))
    return ortCreateStatus(ORT_INVALID_ARGUMENT, "no such attention");
  return keepKernel(info, &read, sizeof read, &read.memory, kernel);
}

static void destroyKernel(void *kernel) {
  ortReleaseAllocator(((Kernel *)kernel)->memory);
  free(kernel);
}

/** The inputs of a call; those left out have no data. */
typedef struct Inputs {
  Tensor required[REQUIRED], optional[OPTIONAL];
} Inputs;

static int64_t countOf(const Tensor *tensor) { return (int64_t)sizeOf(tensor); }

static OrtStatus *readInputs(const Kernel *kernel, const OrtKernelContext *context, Inputs *inputs) {
  const size_t count = requiredCount(kernel->isInt8);
  memset(inputs, 0, sizeof *inputs);
  for (size_t at = 0; at < count; at++) TRY(readInput(context, at, &inputs->required[at]));
  for (size_t at = 0; at < OPTIONAL; at++) TRY(readInput(context, count + at, &inputs->optional[at]));
  return NULL;
}

static OrtStatus *wrong(const char *message) { return ortCreateStatus(ORT_INVALID_ARGUMENT, message); }

/** Sizes, and that every tensor has what they say. */
static OrtStatus *readSizes(const Kernel *kernel, const Inputs *inputs, Attention *a) {
  const Tensor *query = &inputs->required[QUERY], *past = &inputs->required[PAST_KEY], *cosines = &inputs->optional[COSINES];
  if (query->rank != 3 || past->rank != 4) return wrong("attention has other dimensions");
  a->heads = kernel->heads, a->kvHeads = kernel->kvHeads, a->window = kernel->window, a->softcap = kernel->softcap;
  a->batch = query->shape[0], a->tokens = query->shape[1];
  a->capacity = past->shape[2], a->headSize = past->shape[3];
  a->rotaryHalf = cosines->data == NULL ? 0 : cosines->shape[1];
  if (!attentionFits(a)) return wrong("no attention of such heads");
  const int isPacked = inputs->optional[KEY].data == NULL;
  const int64_t kvSize = a->kvHeads * a->headSize, size = a->heads * a->headSize;
  a->queryStride = isPacked ? size + 2 * kvSize : size;
  a->keyStride = a->valueStride = isPacked ? a->queryStride : kvSize;
  const int64_t rows = a->batch * a->tokens, kept = a->batch * kvSize * a->capacity;
  if (query->shape[2] != a->queryStride) return wrong("queries have another size");
  for (int at = KEY; !isPacked && at <= VALUE; at++)
    if (countOf(&inputs->optional[at]) != rows * kvSize) return wrong("keys or values have another size");
  if (countOf(past) != kept || countOf(&inputs->required[PAST_VALUE]) != kept) return wrong("the past has another size");
  if (countOf(&inputs->required[LASTS]) != a->batch) return wrong("there is not a length for each sequence");
  const Tensor *sinks = &inputs->optional[SINKS];
  if (sinks->data != NULL && countOf(sinks) != a->heads) return wrong("there is not a sink for each head");
  if (!kernel->isInt8) return NULL;
  const int64_t sizes[] = {kvSize, kvSize, a->valueStride, size};
  for (int at = 0; at < 4; at++)
    if (countOf(&inputs->required[KEY_SCALE + at]) != sizes[at]) return wrong("scales or shifts have another size");
  return NULL;
}

/** What lies beyond the memory or the tables must not be touched. */
static OrtStatus *checkPlaces(const Inputs *inputs, const Attention *a) {
  int64_t places = a->capacity;
  for (int at = COSINES; a->rotaryHalf > 0 && at <= SINES; at++) {
    const Tensor *table = &inputs->optional[at];
    if (table->data == NULL || table->rank != 2 || table->shape[1] != a->rotaryHalf)
      return wrong("a table has another size");
    if (table->shape[0] < places) places = table->shape[0];
  }
  for (int64_t b = 0; b < a->batch; b++)
    if (a->lasts[b] + 1 < a->tokens || a->lasts[b] >= places) return wrong("a sequence is longer than its memory");
  return NULL;
}

static void readData(const Kernel *kernel, const Inputs *inputs, Attention *a) {
  const int isPacked = inputs->optional[KEY].data == NULL;
  const int64_t keysAt = a->heads * a->headSize, valuesAt = keysAt + a->kvHeads * a->headSize;
  a->query = inputs->required[QUERY].data;
  a->key = isPacked ? a->query + keysAt : inputs->optional[KEY].data;
  a->value = isPacked ? a->query + valuesAt : inputs->optional[VALUE].data;
  a->lasts = inputs->required[LASTS].data;
  a->cosines = inputs->optional[COSINES].data;
  a->sines = inputs->optional[SINES].data;
  a->sinks = inputs->optional[SINKS].data;
  if (!kernel->isInt8) return;
  a->keyScales = inputs->required[KEY_SCALE].data;
  a->valueScales = inputs->required[VALUE_SCALE].data;
  a->valueShift = (const float *)inputs->required[VALUE_SHIFT].data + (isPacked ? valuesAt : 0);
  a->answerShift = inputs->required[ANSWER_SHIFT].data;
}

/** The past as the present; copied where that is bound to other memory. */
static OrtStatus *present(OrtKernelContext *context, size_t index, const Tensor *past, int isInt8, void **memory) {
  Tensor output = *past;
  TRY(writeOutput(context, index, &output));
  if (output.data != past->data) memcpy(output.data, past->data, sizeOf(past) * (isInt8 ? 1 : sizeof(float)));
  *memory = output.data;
  return NULL;
}

static void write(void *a, size_t task) { writeTask(a, (int64_t)task); }
static void compute(void *a, size_t task) { computeTask(a, (int64_t)task); }
static void combine(void *a, size_t task) { combineTask(a, (int64_t)task); }

static OrtStatus *runStage(const OrtKernelContext *context, void (*task)(void *, size_t), int64_t count, Attention *a) {
  if (count > 1 && !a->isSmall) return ortParallelFor(context, task, (size_t)count, 0, a);
  for (int64_t at = 0; at < count; at++) task(a, (size_t)at);
  return NULL;
}

static OrtStatus *computeAttention(void *data, OrtKernelContext *context) {
  const Kernel *kernel = data;
  Inputs inputs;
  Attention a;
  memset(&a, 0, sizeof a);
  TRY(readInputs(kernel, context, &inputs));
  TRY(readSizes(kernel, &inputs, &a));
  readData(kernel, &inputs, &a);
  TRY(checkPlaces(&inputs, &a));
  Tensor attended = inputs.required[QUERY];
  attended.shape[2] = a.heads * a.headSize;
  TRY(writeOutput(context, 0, &attended));
  TRY(present(context, 1, &inputs.required[PAST_KEY], kernel->isInt8, &a.keys));
  TRY(present(context, 2, &inputs.required[PAST_VALUE], kernel->isInt8, &a.values));
  a.output = attended.data;
  if (a.batch * a.tokens == 0) return NULL;
  planAttention(&a);
  void *const scratch = kernel->memory->Alloc(kernel->memory, (size_t)a.scratch * sizeof(float));
  if (scratch == NULL) return ortCreateStatus(ORT_FAIL, "out of memory");
  placeAttention(&a, scratch);
  OrtStatus *status = runStage(context, write, writeCount(&a), &a);
  if (status == NULL) status = runStage(context, compute, computeCount(&a), &a);
  if (status == NULL) status = runStage(context, combine, combineCount(&a), &a);
  kernel->memory->Free(kernel->memory, scratch);
  return status;
}

static int isInt8(const OrtCustomOp *op) { return op == &int8AttentionOp; }
static const char *name(const OrtCustomOp *op) { return isInt8(op) ? "Int8Attention" : "Attention"; }
static size_t inputCount(const OrtCustomOp *op) { return requiredCount(isInt8(op)) + OPTIONAL; }
static int keptType(const OrtCustomOp *op) { return isInt8(op) ? TYPE_INT8 : TYPE_FLOAT; }
static int inputType(const OrtCustomOp *op, size_t index) {
  return index == LASTS ? TYPE_INT32 : index == PAST_KEY || index == PAST_VALUE ? keptType(op) : TYPE_FLOAT;
}
static int inputKind(const OrtCustomOp *op, size_t index) {
  return index < requiredCount(isInt8(op)) ? INPUT_REQUIRED : INPUT_OPTIONAL;
}
static size_t outputCount(const OrtCustomOp *op) { return (void)op, 3; }
static int outputType(const OrtCustomOp *op, size_t index) { return index == 0 ? TYPE_FLOAT : keptType(op); }

#define ATTENTION_OPERATOR                                                                                     \
  {OPERATOR_COMMON, .GetName = name, .GetInputType = inputType, .GetInputTypeCount = inputCount,               \
   .GetOutputType = outputType, .GetOutputTypeCount = outputCount, .KernelDestroy = destroyKernel,             \
   .GetInputCharacteristic = inputKind, .CreateKernelV2 = createKernel, .KernelComputeV2 = computeAttention}

const OrtCustomOp attentionOp = ATTENTION_OPERATOR;
const OrtCustomOp int8AttentionOp = ATTENTION_OPERATOR;
