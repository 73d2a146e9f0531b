// Scores of a few queries over one piece of context: one kernel reads keys as they lie, which is least work for few queries; one
// has them turned round first, which many share. Both give the same numbers: channels c, c + 8, c + 16 … of a query and a
// key are one chain, eight of them a score; chains l and l + 4 are added first, then 0 + 1 and 2 + 3, then those two.
// Before it: attention-piece.c; after it: nothing.
#include "attention-piece.h"
#include "attention.h"
#include <immintrin.h>

#define WIDTH 8
#define ROWS_TO_TURN 16 // fewer would not pay for it

/** Rows of keys from token `first` on; tokens behind the last one that is there repeat it. */
INLINE void rowsAt(const float *keys, int64_t size, int tokens, int64_t first, int64_t end, const float **at) {
  for (int t = 0; t < tokens; t++) at[t] = keys + (first + t < end ? first + t : end - 1) * size;
}

/** Products of `rows` queries by `tokens` keys, still as vectors. */
INLINE void multiply(const float *query, const float **at, int64_t size, int rows, int tokens, __m256 *sums) {
  for (int i = 0; i < rows * tokens; i++) sums[i] = _mm256_setzero_ps();
  for (int64_t c = 0; c < size; c += WIDTH) {
    __m256 q[3];
    for (int r = 0; r < rows; r++) q[r] = _mm256_loadu_ps(query + r * size + c);
    for (int t = 0; t < tokens; t++) {
      const __m256 k = _mm256_loadu_ps(at[t] + c);
      for (int r = 0; r < rows; r++) sums[r * tokens + t] = _mm256_fmadd_ps(q[r], k, sums[r * tokens + t]);
    }
  }
}

/** Sums of lanes l and l + 4 of two vectors, side by side; the first step of every score's sum. */
INLINE __m256 halvesOf(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_blend_ps(a, b, 0xf0), _mm256_permute2f128_ps(a, b, 0x21));
}

/** Of four vectors, 0 1 | 2 3, the sums of lanes 0 + 1 and 2 + 3 then. */
INLINE __m256 pairsOf(const __m256 *v) {
  return _mm256_hadd_ps(halvesOf(v[0], v[2]), halvesOf(v[1], v[3]));
}

INLINE void scoreOne(const float *query, const float *keys, int64_t size, int64_t first, int64_t end, float *scores) {
  const float *at[8];
  __m256 sums[8];
  rowsAt(keys, size, 8, first, end, at);
  multiply(query, at, size, 1, 8, sums);
  const __m256 all = _mm256_hadd_ps(pairsOf(sums), pairsOf(sums + 4)); // 0 1 4 5 | 2 3 6 7
  _mm256_storeu_ps(scores + first, _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(all), 0xd8)));
}

/** Of four vectors a row each: two scores in each quarter, 0 1 of both rows, then 2 3. */
INLINE void storeRows(__m256 all, int rows, float *scores) {
  const __m128 low = _mm256_castps256_ps128(all), high = _mm256_extractf128_ps(all, 1);
  _mm_storel_pi((__m64 *)scores, low);
  _mm_storel_pi((__m64 *)(scores + 2), high);
  if (rows == 1) return;
  _mm_storeh_pi((__m64 *)(scores + PIECE_TOKENS), low);
  _mm_storeh_pi((__m64 *)(scores + PIECE_TOKENS + 2), high);
}

INLINE void scoreSome(const float *query, const float *keys, int64_t size, int rows, int64_t first, int64_t end,
                       float *scores) {
  const float *at[4];
  __m256 sums[12];
  rowsAt(keys, size, 4, first, end, at);
  multiply(query, at, size, rows, 4, sums);
  storeRows(_mm256_hadd_ps(pairsOf(sums), pairsOf(sums + 4)), 2, scores + first);
  if (rows == 2) return;
  const __m256 pairs = pairsOf(sums + 8);
  storeRows(_mm256_hadd_ps(pairs, pairs), 1, scores + 2 * PIECE_TOKENS + first);
}

INLINE void scoreTile(const Piece *p, const float *keys, int64_t size, int rows, int64_t row, float *scores) {
  const int step = rows == 1 ? 8 : 4;
  const int64_t end = p->to[row + rows - 1];
  const float *query = p->queries + row * size;
  scores += row * PIECE_TOKENS;
  for (int64_t t = p->from[row] / step * step; t < end; t += step) {
    if (row == 0) askForSome(p->values, p->narrowValues, t * size, step * size); // of the same tokens, read next
    if (rows == 1) scoreOne(query, keys, size, t, end, scores);
    else scoreSome(query, keys, size, rows, t, end, scores);
  }
}

INLINE void scoreAlone(const Piece *p, const float *keys, int64_t size, float *scores) {
  for (int64_t row = 0, rows; row < p->rows; row += rows) {
    rows = tileRows(p->rows - row);
    if (rows == 1) scoreTile(p, keys, size, 1, row, scores);
    else if (rows == 2) scoreTile(p, keys, size, 2, row, scores);
    else scoreTile(p, keys, size, 3, row, scores);
  }
}

/** Eight rows of eight channels, by channel. */
INLINE void turnEight(const float **rows, int64_t channel, float *to) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(rows[i] + channel);
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * PIECE_TOKENS, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * PIECE_TOKENS, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
}

/** [tokens, size] → [size, 64], of tokens from … to, in eights. */
INLINE void turnKeys(const float *keys, int64_t size, int64_t from, int64_t to, float *turned) {
  for (int64_t t = from / 8 * 8; t < to; t += 8) {
    const float *rows[8];
    rowsAt(keys, size, 8, t, to, rows);
    for (int64_t c = 0; c < size; c += WIDTH) turnEight(rows, c, turned + c * PIECE_TOKENS + t);
  }
}

/** Chains l and l + 4 of `rows` queries by 8 · `vectors` tokens, added. */
INLINE void twoChains(const float *query, const float *turned, int64_t size, int rows, int vectors, __m256 *sums) {
  __m256 first[6], second[6];
  for (int i = 0; i < rows * vectors; i++) first[i] = second[i] = _mm256_setzero_ps();
  for (int64_t c = 0; c < size; c += WIDTH) {
    for (int half = 0; half < 2; half++) {
      __m256 *chain = half == 0 ? first : second;
      __m256 k[2];
      for (int v = 0; v < vectors; v++)
        k[v] = _mm256_loadu_ps(turned + (c + 4 * half) * PIECE_TOKENS + v * WIDTH);
      for (int r = 0; r < rows; r++) {
        const __m256 q = _mm256_broadcast_ss(query + r * size + c + 4 * half);
        for (int v = 0; v < vectors; v++)
          chain[r * vectors + v] = _mm256_fmadd_ps(q, k[v], chain[r * vectors + v]);
      }
    }
  }
  for (int i = 0; i < rows * vectors; i++) sums[i] = _mm256_add_ps(first[i], second[i]);
}

INLINE void scoreBlock(const float *query, const float *turned, int64_t size, int rows, int vectors, float *scores) {
  __m256 sums[4][6];
  for (int l = 0; l < 4; l++) twoChains(query + l, turned + l * PIECE_TOKENS, size, rows, vectors, sums[l]);
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < vectors; v++) {
      const int i = r * vectors + v;
      const __m256 all = _mm256_add_ps(_mm256_add_ps(sums[0][i], sums[1][i]), _mm256_add_ps(sums[2][i], sums[3][i]));
      _mm256_storeu_ps(scores + r * PIECE_TOKENS + v * WIDTH, all);
    }
  }
}

INLINE void scoreTurned(const Piece *p, const float *keys, int64_t size, float *scores) {
  float turned[HEAD_SIZE_MAX * PIECE_TOKENS];
  turnKeys(keys, size, p->from[0], p->to[p->rows - 1], turned);
  for (int64_t row = 0, rows; row < p->rows; row += rows) {
    rows = tileRows(p->rows - row);
    const int64_t end = p->to[row + rows - 1];
    const float *query = p->queries + row * size;
    float *to = scores + row * PIECE_TOKENS;
    for (int64_t t = p->from[row] / 8 * 8; t < end;) {
      const int isWide = t + 8 < end;
      if (rows == 3 && isWide) scoreBlock(query, turned + t, size, 3, 2, to + t);
      else if (rows == 3) scoreBlock(query, turned + t, size, 3, 1, to + t);
      else
        for (int64_t r = 0; r < rows; r++)
          scoreBlock(query + r * size, turned + t, size, 1, 1, to + r * PIECE_TOKENS + t);
      t += rows == 3 && isWide ? 16 : 8;
    }
  }
}

// The size is known to the compiler where it is common, which keeps loops over channels out of the way.
static void scoreTurned64(const Piece *p, const float *k, float *scores) { scoreTurned(p, k, 64, scores); }
static void scoreTurned128(const Piece *p, const float *k, float *scores) { scoreTurned(p, k, 128, scores); }
static void scoreTurnedAny(const Piece *p, const float *k, float *scores) { scoreTurned(p, k, p->size, scores); }
static void scoreAlone64(const Piece *p, const float *k, float *scores) { scoreAlone(p, k, 64, scores); }
static void scoreAlone128(const Piece *p, const float *k, float *scores) { scoreAlone(p, k, 128, scores); }
static void scoreAloneAny(const Piece *p, const float *k, float *scores) { scoreAlone(p, k, p->size, scores); }

void pieceScores(const Piece *p, const float *keys, float *scores) {
  const int isTurned = p->rows >= ROWS_TO_TURN;
  if (p->size == 64) (isTurned ? scoreTurned64 : scoreAlone64)(p, keys, scores);
  else if (p->size == 128) (isTurned ? scoreTurned128 : scoreAlone128)(p, keys, scores);
  else (isTurned ? scoreTurnedAny : scoreAloneAny)(p, keys, scores);
}
