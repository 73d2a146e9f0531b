// Matrix products of rounded weights and 16-bit activations, without ONNX Runtime: layouts and the functions that compute.
#ifndef SPARKLANE_PRODUCT_H
#define SPARKLANE_PRODUCT_H
#include <stddef.h>
#include <stdint.h>

#define GROUP 16 // outputs that lie together
#define BLOCK_MAX 128 // inputs: sums of so many 16-bit times 8-bit levels still have 32 bits

/**
 * Weights [outSize, inSize], rounded: groups of 16 outputs one after another, each in blocks of `blockSize` inputs. A block is 16
 * scales (f16), at 4 bits 16 offsets (f16), then the levels of two inputs at a time. 8 bits: of outputs 0 … 15 both inputs' levels (s8), 32 bytes.
 * 4 bits: the levels (0 … 15) of four inputs at a time, 32 bytes as 16 words. Word 2i + e has, from its lowest bits on, outputs i and
 * i + 8 at input e, then the same two at input 2 + e. A weight is scale · level, at 4 bits + offset.
 */
typedef struct Matrix {
  const uint8_t *data;
  size_t inSize, outSize, blockSize, bits;
  size_t blockCount; // along the input; the last one is filled up
  size_t blockBytes;
} Matrix;

/** Rows [rowCount, inSize] of float, rounded: levels [rowCount, blockCount · blockSize], for each block of a row a step and what its values come to. */
typedef struct Rounded {
  int16_t *levels;
  float *steps, *totals;
  size_t rowCount;
} Rounded;

Matrix matrixOf(const uint8_t *data, size_t inSize, size_t outSize, size_t blockSize, size_t bits);
size_t groupCount(const Matrix *matrix);
size_t groupBytes(const Matrix *matrix);

/** Rows as they are multiplied; `gains` null: as they come, else divided by their root mean square and times these. */
typedef struct Rows {
  const float *values; // [rowCount, inSize]
  const float *gains;  // [inSize]
  float epsilon;
} Rows;

/** Rounds rows [from, to). A row's levels depend on that row alone. */
void roundRows(const Matrix *matrix, const Rows *rows, const Rounded *rounded, size_t from, size_t to);

/** What becomes of products: plus bias[outSize], plus residual[rowCount, outSize], where there are such. */
typedef struct Result {
  const float *bias, *residual;
  float *output; // [rowCount, outSize]
} Result;

/** Outputs of groups [from, to) of all rows. */
void multiplyGroups(const Matrix *matrix, const Rounded *rounded, const Result *result, size_t from, size_t to);

/** Two matrices of one size that read the same rows: silu(gate · x + bias) · (up · x + bias). */
typedef struct Gated {
  Matrix gate, up;
  const float *gateBias, *upBias; // or null
  float *output;
} Gated;

void multiplyGatedGroups(const Gated *gated, const Rounded *rounded, size_t from, size_t to);

/** Row `index` of the matrix, as float. */
void readRow(const Matrix *matrix, size_t index, float *row);
#endif
