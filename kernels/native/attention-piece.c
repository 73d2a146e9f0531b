// What a few queries get from one piece of context: scores, their exponentials, values weighed by them. Queries go in tiles
// that share what is loaded; a tile's form never shows in its numbers, as each score and each weighed channel is a chain
// of the same steps in every form. Before it: attention.c; after it: attention-scores.c.
#include "attention-piece.h"
#include "attention.h"
#include "vector-exp.h"
#include <immintrin.h>
#include <math.h>

#define WIDTH 8

float expOne(float x) { return _mm256_cvtss_f32(expEight(_mm256_set1_ps(x))); }

/** cap · tanh(score / cap), as cap · (1 − 2 / (exp(2 · score / cap) + 1)). */
static void capScores(float *scores, float cap) {
  const __m256 one = _mm256_set1_ps(1), two = _mm256_set1_ps(2), by = _mm256_set1_ps(2 / cap);
  const __m256 most = _mm256_set1_ps(80);
  for (int64_t t = 0; t < PIECE_TOKENS; t += WIDTH) {
    const __m256 x = _mm256_min_ps(_mm256_mul_ps(_mm256_loadu_ps(scores + t), by), most);
    const __m256 part = _mm256_div_ps(two, _mm256_add_ps(expEight(x), one));
    _mm256_storeu_ps(scores + t, _mm256_mul_ps(_mm256_sub_ps(one, part), _mm256_set1_ps(cap)));
  }
}

INLINE float largestOf(const float *scores) {
  __m256 most = _mm256_loadu_ps(scores);
  for (int64_t t = WIDTH; t < PIECE_TOKENS; t += WIDTH) most = _mm256_max_ps(most, _mm256_loadu_ps(scores + t));
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/** Scores of a row become exponentials; what it does not see becomes 0. All of a piece, so that the sum has one order. */
static void exponentials(float *scores, int64_t from, int64_t to, float softcap, float *most, float *sum) {
  for (int64_t t = 0; t < from; t++) scores[t] = 0; // numbers that softcap can take
  for (int64_t t = to; t < PIECE_TOKENS; t++) scores[t] = 0;
  if (softcap != 0) capScores(scores, softcap);
  for (int64_t t = 0; t < from; t++) scores[t] = -INFINITY;
  for (int64_t t = to; t < PIECE_TOKENS; t++) scores[t] = -INFINITY;
  *most = largestOf(scores);
  const __m256 largest = _mm256_set1_ps(*most);
  __m256 sums = _mm256_setzero_ps();
  for (int64_t t = 0; t < PIECE_TOKENS; t += WIDTH) {
    const __m256 e = expEight(_mm256_sub_ps(_mm256_loadu_ps(scores + t), largest));
    _mm256_storeu_ps(scores + t, e);
    sums = _mm256_add_ps(sums, e);
  }
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  *sum = _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/**
 * Adds to `vectors` vectors of `rows` rows what tokens from … to have of them; each channel's chain goes along the tokens.
 * `next`, where not null: what is wanted after the values, of the same shape.
 */
INLINE void weighBlock(const float *weights, const float *values, int64_t size, int rows, int vectors, int64_t from,
                        int64_t to, float *weighed, const float *next) {
  __m256 sums[12];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) sums[r * vectors + v] = _mm256_loadu_ps(weighed + r * size + v * WIDTH);
  for (int64_t t = from; t < to; t++) {
    __m256 w[3];
    if (next != 0) askFor(next + t * size, size * 4);
    for (int r = 0; r < rows; r++) w[r] = _mm256_broadcast_ss(weights + r * PIECE_TOKENS + t);
    for (int v = 0; v < vectors; v++) {
      const __m256 value = _mm256_loadu_ps(values + t * size + v * WIDTH);
      for (int r = 0; r < rows; r++) sums[r * vectors + v] = _mm256_fmadd_ps(w[r], value, sums[r * vectors + v]);
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) _mm256_storeu_ps(weighed + r * size + v * WIDTH, sums[r * vectors + v]);
}

INLINE void weighTokens(const float *weights, const float *values, int64_t size, int rows, int64_t from, int64_t to,
                         float *weighed, const float *next) {
  int64_t c = 0;
  if (from >= to) return;
  if (rows == 1) {
    for (; c + 8 * WIDTH <= size; c += 8 * WIDTH, next = 0)
      weighBlock(weights, values + c, size, 1, 8, from, to, weighed + c, next);
  }
  for (; c + 4 * WIDTH <= size; c += 4 * WIDTH, next = 0)
    weighBlock(weights, values + c, size, rows, 4, from, to, weighed + c, next);
  for (; c < size; c += WIDTH, next = 0) weighBlock(weights, values + c, size, rows, 1, from, to, weighed + c, next);
}

/** Rows of a tile see nearly the same tokens: those that all see are taken together, the others row by row around them. */
INLINE void weighTile(const Piece *p, const float *values, int64_t size, int rows, int64_t row,
                       const float *scores) {
  const float *weights = scores + row * PIECE_TOKENS;
  float *weighed = p->weighed + row * size;
  const int64_t begin = p->from[row + rows - 1], end = p->to[row];
  const int joint = begin < end;
  const float *next = row == 0 && p->narrowKeys == 0 ? p->keys + PIECE_TOKENS * size : 0;
  for (int r = 0; r < rows; r++)
    weighTokens(weights + r * PIECE_TOKENS, values, size, 1, p->from[row + r], joint ? begin : p->to[row + r],
                 weighed + r * size, 0);
  if (!joint) return;
  weighTokens(weights, values, size, rows, begin, end, weighed, next);
  for (int r = 0; r < rows; r++)
    weighTokens(weights + r * PIECE_TOKENS, values, size, 1, end, p->to[row + r], weighed + r * size, 0);
}

INLINE void weighRows(const Piece *p, const float *values, int64_t size, const float *scores) {
  for (int64_t i = 0; i < p->rows * size; i += WIDTH) _mm256_storeu_ps(p->weighed + i, _mm256_setzero_ps());
  for (int64_t row = 0, rows; row < p->rows; row += rows) {
    rows = tileRows(p->rows - row);
    if (rows == 1) weighTile(p, values, size, 1, row, scores);
    else if (rows == 2) weighTile(p, values, size, 2, row, scores);
    else weighTile(p, values, size, 3, row, scores);
  }
}

/**
 * What is kept as int8, as float, so that one kernel computes both; scales are the queries' and the answers'. `next`: int8 that
 * is wanted after it.
 */
static const float *widened(const int8_t *narrow, int64_t count, float *wide, const int8_t *next) {
  for (int64_t i = 0; i < count; i += WIDTH)
    _mm256_storeu_ps(wide + i, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(narrow + i)))));
  askFor(next, count);
  return wide;
}

static void weigh64(const Piece *p, const float *values, const float *w) { weighRows(p, values, 64, w); }
static void weigh128(const Piece *p, const float *values, const float *w) { weighRows(p, values, 128, w); }
static void weighAny(const Piece *p, const float *values, const float *w) { weighRows(p, values, p->size, w); }

void pieceCompute(const Piece *p) {
  float scores[ROWS_MAX * PIECE_TOKENS], wide[PIECE_TOKENS * HEAD_SIZE_MAX];
  const int64_t size = p->size, first = p->from[0] * size, count = p->to[p->rows - 1] * size - first;
  const int8_t *keys = p->narrowKeys, *values = p->narrowValues;
  if (keys == 0) pieceScores(p, p->keys, scores);
  else pieceScores(p, widened(keys + first, count, wide + first, values + first) - first, scores);
  for (int64_t row = 0; row < p->rows; row++)
    exponentials(scores + row * PIECE_TOKENS, p->from[row], p->to[row], p->softcap, p->most + row, p->sum + row);
  const int8_t *next = keys + PIECE_TOKENS * size;
  const float *weighed = keys == 0 ? p->values : widened(values + first, count, wide + first, next) - first;
  // The size is known to the compiler where it is common, which keeps loops over channels out of the way.
  (size == 64 ? weigh64 : size == 128 ? weigh128 : weighAny)(p, weighed, scores);
}

void rowMerge(float *most, float *sum, float *weighed, int64_t size, float nextMost, float nextSum,
               const float *nextWeighed) {
  const float largest = *most > nextMost ? *most : nextMost;
  const __m256 factors = expEight(_mm256_setr_ps(*most - largest, nextMost - largest, 0, 0, 0, 0, 0, 0));
  const __m256 old = _mm256_broadcastss_ps(_mm256_castps256_ps128(factors));
  const __m256 new = _mm256_broadcastss_ps(_mm_movehdup_ps(_mm256_castps256_ps128(factors)));
  *most = largest;
  *sum = _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(*sum), _mm256_castps256_ps128(old),
                                    _mm_mul_ss(_mm_set_ss(nextSum), _mm256_castps256_ps128(new))));
  for (int64_t c = 0; c < size; c += WIDTH) {
    const __m256 added = _mm256_mul_ps(_mm256_loadu_ps(nextWeighed + c), new);
    _mm256_storeu_ps(weighed + c, _mm256_fmadd_ps(_mm256_loadu_ps(weighed + c), old, added));
  }
}
