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
 * `soon`, where not null: whose next piece is read after them.
 */
INLINE void weighBlock(const float *weights, const float *values, int64_t size, int rows, int vectors, int64_t from,
                        int64_t to, float *weighed, const Piece *soon) {
  __m256 sums[12];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) sums[r * vectors + v] = _mm256_loadu_ps(weighed + r * size + v * WIDTH);
  for (int64_t t = from; t < to; t++) {
    __m256 w[3];
    if (soon != 0) askForSome(soon->keys, soon->narrowKeys, (PIECE_TOKENS + t) * size, size);
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
                         float *weighed, const Piece *soon) {
  int64_t c = 0;
  if (from >= to) return;
  if (rows == 1) {
    for (; c + 8 * WIDTH <= size; c += 8 * WIDTH, soon = 0)
      weighBlock(weights, values + c, size, 1, 8, from, to, weighed + c, soon);
  }
  for (; c + 4 * WIDTH <= size; c += 4 * WIDTH, soon = 0)
    weighBlock(weights, values + c, size, rows, 4, from, to, weighed + c, soon);
  for (; c < size; c += WIDTH, soon = 0) weighBlock(weights, values + c, size, rows, 1, from, to, weighed + c, soon);
}

/** Rows of a tile see nearly the same tokens: those that all see are taken together, the others row by row around them. */
INLINE void weighTile(const Piece *p, const float *values, int64_t size, int rows, int64_t row,
                       const float *scores) {
  const float *weights = scores + row * PIECE_TOKENS;
  float *weighed = p->weighed + row * size;
  const int64_t begin = p->from[row + rows - 1], end = p->to[row];
  const int joint = begin < end;
  for (int r = 0; r < rows; r++)
    weighTokens(weights + r * PIECE_TOKENS, values, size, 1, p->from[row + r], joint ? begin : p->to[row + r],
                 weighed + r * size, 0);
  if (!joint) return;
  weighTokens(weights, values, size, rows, begin, end, weighed, row == 0 ? p : 0);
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

/** What is kept as int8, as float, so that one kernel computes both; scales are the queries' and the answers'. */
static const float *widened(const int8_t *narrow, int64_t count, float *wide) {
  for (int64_t i = 0; i < count; i += WIDTH)
    _mm256_storeu_ps(wide + i, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(narrow + i)))));
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
  else pieceScores(p, widened(keys + first, count, wide + first) - first, scores);
  for (int64_t row = 0; row < p->rows; row++)
    exponentials(scores + row * PIECE_TOKENS, p->from[row], p->to[row], p->softcap, p->most + row, p->sum + row);
  const float *weighed = keys == 0 ? p->values : widened(values + first, count, wide + first) - first;
  // The size is known to the compiler where it is common, which keeps loops over channels out of the way.
  (size == 64 ? weigh64 : size == 128 ? weigh128 : weighAny)(p, weighed, scores);
}

/** Which of eight rows are there. */
static __m256i rowMask(int64_t rows) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(rows < 8 ? (int)rows : 8), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static __m256 loadRows(const float *values, int64_t at, int64_t rows) {
  return _mm256_maskload_ps(values + at, rowMask(rows - at));
}

/** Eight factors by which what there is and what comes are brought to one largest score. */
static void mergeSums(Rows *rows, int64_t row, const Piece *p, int64_t at, float *old, float *fresh) {
  const __m256 most = _mm256_loadu_ps(rows->most + row), next = loadRows(p->most, at, p->rows);
  const __m256 largest = _mm256_max_ps(most, next);
  const __m256 o = expEight(_mm256_sub_ps(most, largest)), f = expEight(_mm256_sub_ps(next, largest));
  const __m256 added = _mm256_mul_ps(loadRows(p->sum, at, p->rows), f);
  const __m256i isRow = rowMask(p->rows - at);
  _mm256_maskstore_ps(rows->most + row, isRow, largest);
  _mm256_maskstore_ps(rows->sum + row, isRow, _mm256_fmadd_ps(_mm256_loadu_ps(rows->sum + row), o, added));
  _mm256_storeu_ps(old, o);
  _mm256_storeu_ps(fresh, f);
}

void mergePiece(Rows *rows, int64_t first, const Piece *p) {
  const int64_t size = p->size;
  for (int64_t at = 0; at < p->rows; at += 8) {
    float old[8], fresh[8];
    mergeSums(rows, first + at, p, at, old, fresh);
    for (int64_t r = at; r < p->rows && r < at + 8; r++) {
      const __m256 o = _mm256_set1_ps(old[r - at]), f = _mm256_set1_ps(fresh[r - at]);
      const float *next = p->weighed + r * size;
      float *to = rows->weighed + (first + r) * size;
      for (int64_t c = 0; c < size; c += WIDTH) {
        const __m256 added = _mm256_mul_ps(_mm256_loadu_ps(next + c), f);
        _mm256_storeu_ps(to + c, _mm256_fmadd_ps(_mm256_loadu_ps(to + c), o, added));
      }
    }
  }
}
