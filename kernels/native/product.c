// See product.h. An integer sum within a block is exact, whatever its order; blocks are added one after another by fused
// multiply-adds. So a row has the same bits alone, among others and on any number of threads.
#include "product.h"
#include "vector-exp.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define LEVEL_MAX 32767.0f
#define WIDE_ROWS 18          // from so many on levels are unpacked once for all tiles
#define WIDE_INPUTS_MAX 4096 // 128 KB of stack
#define TILE 6 // rows that share a pass through the weights: 12 sums, 2 registers of weights and 1 of activations

// Weights come from memory in one stream: asked for this far ahead, a core has more misses under way than it starts by itself.
#define AHEAD 4096

/** Bytes in front of a block's levels: scales, at 4 bits offsets too. */
static inline size_t headingOf(size_t bits) { return (bits == 8 ? 2 : 4) * GROUP; }

Matrix matrixOf(const uint8_t *data, size_t inSize, size_t outSize, size_t blockSize, size_t bits) {
  Matrix matrix = {data, inSize, outSize, blockSize, bits, (inSize + blockSize - 1) / blockSize, 0};
  matrix.blockBytes = headingOf(bits) + blockSize * GROUP * bits / 8;
  return matrix;
}

size_t groupCount(const Matrix *matrix) { return (matrix->outSize + GROUP - 1) / GROUP; }

size_t groupBytes(const Matrix *matrix) { return matrix->blockCount * matrix->blockBytes; }

/** The largest magnitude; no number if there is one, or an infinity, among them. `count` is a multiple of 8. */
static float largest(const float *values, size_t count) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 peaks = _mm256_setzero_ps(), differences = peaks;
  for (size_t at = 0; at < count; at += 8) {
    const __m256 value = _mm256_loadu_ps(values + at);
    peaks = _mm256_max_ps(peaks, _mm256_andnot_ps(sign, value));
    differences = _mm256_or_ps(differences, _mm256_sub_ps(value, value)); // 0, but of infinities and what is no number
  }
  const __m256 strange = _mm256_cmp_ps(differences, differences, _CMP_UNORD_Q);
  if (_mm256_movemask_ps(strange) != 0) return __builtin_nanf("");
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(peaks), _mm256_extractf128_ps(peaks, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/** A whole block, a multiple of 8. */
static void roundBlock(const float *values, size_t size, int16_t *levels, float *step, float *total) {
  const float peak = largest(values, size);
  const __m256 factor = _mm256_set1_ps(peak > 0 ? LEVEL_MAX / peak : 0);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums = _mm256_setzero_si256();
  for (size_t at = 0; at < size; at += 16) {
    const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + at), factor));
    const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(values + at + 8), factor));
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(both, ones));
    _mm256_storeu_si256((__m256i *)(levels + at), both);
  }
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  *step = peak / LEVEL_MAX;
  *total = (float)_mm_cvtsi128_si32(sum) * *step;
}

/** What a row is multiplied by to have a mean square of 1. Eight sums, then their sum: one order, whoever asks. */
static float inverseScale(const float *values, size_t count, float epsilon) {
  __m256 squares = _mm256_setzero_ps();
  size_t at = 0;
  for (; at + 8 <= count; at += 8) {
    const __m256 value = _mm256_loadu_ps(values + at);
    squares = _mm256_fmadd_ps(value, value, squares);
  }
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(squares), _mm256_extractf128_ps(squares, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  float sum = _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  for (; at < count; at++) sum += values[at] * values[at];
  return 1 / sqrtf(sum / (float)count + epsilon);
}

/** Block of a row as it is multiplied: where it lies, or in `place`, normalised and filled up with zeros. */
static const float *blockOf(const Matrix *matrix, const Rows *rows, const float *row, size_t start, float scale, float *place) {
  const size_t size = matrix->blockSize, left = matrix->inSize - start, count = left < size ? left : size;
  if (rows->gains == NULL && count == size) return row + start;
  for (size_t at = 0; at < count; at++)
    place[at] = rows->gains == NULL ? row[start + at] : row[start + at] * scale * rows->gains[start + at];
  for (size_t at = count; at < size; at++) place[at] = 0;
  return place;
}

void roundRows(const Matrix *matrix, const Rows *rows, const Rounded *rounded, size_t from, size_t to) {
  const size_t blocks = matrix->blockCount, size = matrix->blockSize;
  float place[BLOCK_MAX];
  for (size_t index = from; index < to; index++) {
    const float *row = rows->values + index * matrix->inSize;
    const float scale = rows->gains == NULL ? 1 : inverseScale(row, matrix->inSize, rows->epsilon);
    for (size_t block = 0; block < blocks; block++) {
      const size_t at = index * blocks + block;
      const float *values = blockOf(matrix, rows, row, block * size, scale, place);
      roundBlock(values, size, rounded->levels + at * size, rounded->steps + at, rounded->totals + at);
    }
  }
}

/** A group of outputs for `rows` rows from `row` on. */
typedef struct Tile {
  const Matrix *matrix;
  const uint8_t *group;
  const int16_t *wide; // all levels of the group in 16 bits, or null
  const int16_t *levels; // of the tile's first row
  const float *steps, *totals;
  float *sums; // [rows, GROUP]
} Tile;

/** Levels of 16 outputs and two inputs, as pairs of 16 bits: outputs 0 … 7, 8 … 15. */
typedef struct Pairs {
  __m256i low, high;
} Pairs;

static inline Pairs pairsOfBytes(const uint8_t *at) {
  return (Pairs){_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)at)),
                 _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(at + GROUP)))};
}

/** Half 0 or 1 of the 64 nibbles at `at`: inputs 0 and 1, or 2 and 3. */
static inline Pairs pairsOfNibbles(const uint8_t *at, int half) {
  const __m256i mask = _mm256_set1_epi16(15), words = _mm256_loadu_si256((const __m256i *)at);
  return half == 0 ? (Pairs){_mm256_and_si256(words, mask), _mm256_and_si256(_mm256_srli_epi16(words, 4), mask)}
                   : (Pairs){_mm256_and_si256(_mm256_srli_epi16(words, 8), mask), _mm256_srli_epi16(words, 12)};
}

typedef __m256i Counts[TILE][2];
typedef __m256 Sums[TILE][2];

static inline __attribute__((always_inline)) void countPair(Counts counts, Pairs pairs, const int16_t *levels, size_t stride, size_t rows) {
  for (size_t row = 0; row < rows; row++) {
    int32_t both;
    memcpy(&both, levels + row * stride, sizeof both);
    const __m256i activation = _mm256_set1_epi32(both);
    counts[row][0] = _mm256_add_epi32(counts[row][0], _mm256_madd_epi16(pairs.low, activation));
    counts[row][1] = _mm256_add_epi32(counts[row][1], _mm256_madd_epi16(pairs.high, activation));
  }
}

static inline Pairs pairsOfWords(const int16_t *at) {
  return (Pairs){_mm256_loadu_si256((const __m256i *)at), _mm256_loadu_si256((const __m256i *)(at + GROUP))};
}

/** What a block's levels come to. Inputs are in pairs at 8 bits, in fours at 4. */
static inline __attribute__((always_inline)) void countBlock(Counts counts, const uint8_t *data, const int16_t *wide, const int16_t *levels,
                                                             size_t size, size_t stride, size_t rows, size_t bits) {
  for (size_t row = 0; row < rows; row++) counts[row][0] = counts[row][1] = _mm256_setzero_si256();
  if (wide != NULL) {
    for (size_t input = 0; input < size; input += 2) countPair(counts, pairsOfWords(wide + input * GROUP), levels + input, stride, rows);
    return;
  }
  for (size_t input = 0; input < size; input += 16 / bits, data += 2 * GROUP) {
    if (rows < 3) _mm_prefetch((const char *)data + AHEAD, _MM_HINT_T0); // the others compute longer than a line takes to come
    if (bits == 8) {
      countPair(counts, pairsOfBytes(data), levels + input, stride, rows);
    } else {
      countPair(counts, pairsOfNibbles(data, 0), levels + input, stride, rows);
      countPair(counts, pairsOfNibbles(data, 1), levels + input + 2, stride, rows);
    }
  }
}

static inline void widen(const uint8_t *halves, __m256 widened[2]) {
  widened[0] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)halves));
  widened[1] = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + GROUP)));
}

// Written once, compiled for each count of rows and both widths, so that sums stay in registers.
static inline __attribute__((always_inline)) void multiplyTile(const Tile *tile, const size_t rows, const size_t bits, const int isWide) {
  const size_t size = tile->matrix->blockSize, blocks = tile->matrix->blockCount, stride = blocks * size;
  const size_t heading = headingOf(bits);
  const uint8_t *block = tile->group;
  Sums sums;
  for (size_t row = 0; row < rows; row++) sums[row][0] = sums[row][1] = _mm256_setzero_ps();
  for (size_t at = 0; at < blocks; at++, block += tile->matrix->blockBytes) {
    Counts counts;
    const int16_t *wide = isWide ? tile->wide + at * size * GROUP : NULL;
    countBlock(counts, block + heading, wide, tile->levels + at * size, size, stride, rows, bits);
    __m256 scales[2], offsets[2];
    widen(block, scales);
    if (bits == 4) widen(block + 2 * GROUP, offsets);
    for (size_t row = 0; row < rows; row++) {
      const __m256 step = _mm256_set1_ps(tile->steps[row * blocks + at]);
      for (size_t half = 0; half < 2; half++) {
        sums[row][half] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(counts[row][half]), _mm256_mul_ps(scales[half], step), sums[row][half]);
        if (bits == 4) {
          const __m256 total = _mm256_set1_ps(tile->totals[row * blocks + at]);
          sums[row][half] = _mm256_fmadd_ps(total, offsets[half], sums[row][half]);
        }
      }
    }
  }
  for (size_t row = 0; row < rows; row++) {
    _mm256_storeu_ps(tile->sums + row * GROUP, sums[row][0]);
    _mm256_storeu_ps(tile->sums + row * GROUP + 8, sums[row][1]);
  }
}

#define ROWS_CASE(rows)                                                \
  case rows:                                                           \
    if (bits == 8 && tile->wide == NULL) multiplyTile(tile, rows, 8, 0); \
    else if (bits == 8) multiplyTile(tile, rows, 8, 1);                \
    else if (tile->wide == NULL) multiplyTile(tile, rows, 4, 0);       \
    else multiplyTile(tile, rows, 4, 1);                               \
    return

static void multiplyRows(const Tile *tile, size_t rows, size_t bits) {
  switch (rows) {
    ROWS_CASE(1);
    ROWS_CASE(2);
    ROWS_CASE(3);
    ROWS_CASE(4);
    ROWS_CASE(5);
    ROWS_CASE(TILE);
  }
}

/** A group's levels in 16 bits, a block's pairs of inputs after another. */
static void widenGroup(const Matrix *matrix, size_t group, int16_t *wide) {
  const size_t size = matrix->blockSize, heading = headingOf(matrix->bits);
  const uint8_t *block = matrix->data + group * groupBytes(matrix);
  for (size_t at = 0; at < matrix->blockCount; at++, block += matrix->blockBytes) {
    const uint8_t *data = block + heading;
    for (size_t input = 0; input < size; input += 2, wide += 2 * GROUP) {
      const Pairs pairs = matrix->bits == 8 ? pairsOfBytes(data + input * GROUP) : pairsOfNibbles(data + input / 4 * 2 * GROUP, input / 2 % 2);
      _mm256_storeu_si256((__m256i *)wide, pairs.low);
      _mm256_storeu_si256((__m256i *)(wide + GROUP), pairs.high);
    }
  }
}

/** Room for a group's levels in 16 bits, for as many rows as make it worth while to unpack them once. */
typedef int16_t Wide[WIDE_INPUTS_MAX * GROUP];

static const int16_t *widened(const Matrix *matrix, const Rounded *rounded, size_t group, int16_t *room) {
  if (rounded->rowCount < WIDE_ROWS || matrix->blockCount * matrix->blockSize > WIDE_INPUTS_MAX) return NULL;
  widenGroup(matrix, group, room);
  return room;
}

/** Products of a group of outputs for a tile of rows from `row` on: sums[rows, GROUP]. Answers how many rows. */
static size_t multiplyGroup(const Matrix *matrix, const Rounded *rounded, const int16_t *wide, size_t group, size_t row, float *sums) {
  const size_t left = rounded->rowCount - row, rows = left < TILE ? left : TILE, blocks = matrix->blockCount;
  const Tile tile = {matrix, matrix->data + group * groupBytes(matrix), wide, rounded->levels + row * blocks * matrix->blockSize,
                     rounded->steps + row * blocks, rounded->totals + row * blocks, sums};
  multiplyRows(&tile, rows, matrix->bits);
  return rows;
}

static size_t outputsOf(const Matrix *matrix, size_t group) {
  const size_t left = matrix->outSize - group * GROUP;
  return left < GROUP ? left : GROUP;
}

void multiplyGroups(const Matrix *matrix, const Rounded *rounded, const Result *result, size_t from, size_t to) {
  float sums[TILE * GROUP];
  Wide room;
  for (size_t group = from; group < to; group++) {
    const size_t first = group * GROUP, count = outputsOf(matrix, group);
    const int16_t *wide = widened(matrix, rounded, group, room);
    for (size_t row = 0; row < rounded->rowCount; row += TILE) {
      const size_t rows = multiplyGroup(matrix, rounded, wide, group, row, sums);
      for (size_t index = 0; index < rows; index++) {
        const size_t start = (row + index) * matrix->outSize + first;
        for (size_t at = 0; at < count; at++) {
          float sum = sums[index * GROUP + at];
          if (result->bias != NULL) sum += result->bias[first + at];
          if (result->residual != NULL) sum += result->residual[start + at];
          result->output[start + at] = sum;
        }
      }
    }
  }
}

/** Eight of silu(gate) · up: gate / (1 + exp(−gate)) · up. */
static __m256 gatedOf(const float *gate, const float *up) {
  const __m256 value = _mm256_loadu_ps(gate), most = _mm256_set1_ps(EXP_MAX);
  const __m256 negative = _mm256_min_ps(_mm256_xor_ps(value, _mm256_set1_ps(-0.0f)), most);
  const __m256 divisor = _mm256_add_ps(_mm256_set1_ps(1), expEight(negative));
  return _mm256_mul_ps(_mm256_div_ps(value, divisor), _mm256_loadu_ps(up));
}

static void addBias(float *sums, size_t rows, const float *bias, size_t count) {
  if (bias == NULL) return;
  for (size_t row = 0; row < rows; row++)
    for (size_t at = 0; at < count; at++) sums[row * GROUP + at] += bias[at];
}

void multiplyGatedGroups(const Gated *gated, const Rounded *rounded, size_t from, size_t to) {
  const Matrix *matrix = &gated->gate;
  float gates[TILE * GROUP], ups[TILE * GROUP], products[GROUP];
  Wide gateRoom, upRoom;
  for (size_t group = from; group < to; group++) {
    const size_t first = group * GROUP, count = outputsOf(matrix, group);
    const int16_t *gateWide = widened(matrix, rounded, group, gateRoom), *upWide = widened(&gated->up, rounded, group, upRoom);
    for (size_t row = 0; row < rounded->rowCount; row += TILE) {
      const size_t rows = multiplyGroup(matrix, rounded, gateWide, group, row, gates);
      multiplyGroup(&gated->up, rounded, upWide, group, row, ups);
      addBias(gates, rows, gated->gateBias == NULL ? NULL : gated->gateBias + first, count);
      addBias(ups, rows, gated->upBias == NULL ? NULL : gated->upBias + first, count);
      for (size_t index = 0; index < rows; index++) {
        for (size_t at = 0; at < GROUP; at += 8)
          _mm256_storeu_ps(products + at, gatedOf(gates + index * GROUP + at, ups + index * GROUP + at));
        memcpy(gated->output + (row + index) * matrix->outSize + first, products, count * sizeof *products);
      }
    }
  }
}

static float halfAt(const uint8_t *halves, size_t index) {
  uint16_t half;
  memcpy(&half, halves + 2 * index, sizeof half);
  return _cvtsh_ss(half);
}

void readRow(const Matrix *matrix, size_t index, float *row) {
  const uint8_t *block = matrix->data + index / GROUP * groupBytes(matrix);
  const size_t output = index % GROUP, heading = headingOf(matrix->bits);
  for (size_t input = 0; input < matrix->inSize; input++) {
    const size_t within = input % matrix->blockSize;
    if (input > 0 && within == 0) block += matrix->blockBytes;
    const uint8_t *data = block + heading;
    if (matrix->bits == 8) {
      row[input] = halfAt(block, output) * (int8_t)data[(within / 2 * GROUP + output) * 2 + within % 2];
    } else {
      uint16_t word;
      memcpy(&word, data + within / 4 * 2 * GROUP + (output % 8 * 2 + within % 2) * sizeof word, sizeof word);
      const int level = word >> (output / 8 * 4 + within / 2 % 2 * 8) & 15;
      row[input] = halfAt(block, output) * (float)level + halfAt(block + 2 * GROUP, output);
    }
  }
}
