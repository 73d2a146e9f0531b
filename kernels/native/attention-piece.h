// What a few queries get from one piece of context. Before it: attention.c.
#ifndef SPARKLANE_ATTENTION_PIECE_H
#define SPARKLANE_ATTENTION_PIECE_H
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))

// Of a task: rows, and rows · head size.
#define ROWS_MAX 96
#define FLOATS_MAX (96 * 64)

typedef struct Piece {
  const float *queries; // [rows, size]
  const float *keys, *values; // [tokens, size]
  const int8_t *narrowKeys, *narrowValues; // instead, not null: widened first, as whole numbers
  int64_t rows, size;
  float softcap;
  const int16_t *from, *to; // [rows]: the tokens of the piece that a row sees, at least one; neither falls from row to row
  // Out, of the exponentials of scores: the largest score, their sum, values weighed by them.
  float *most, *sum; // [rows]
  float *weighed;    // [rows, size]
} Piece;

void pieceCompute(const Piece *p);

/** Asks for memory that is read soon. What lies behind the end of anything is asked for in vain, and harmless. */
INLINE void askFor(const void *from, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)from + i);
}

/** Keys or values from number `from` on, whichever of both forms is there. */
INLINE void askForSome(const float *wide, const int8_t *narrow, int64_t from, int64_t count) {
  if (narrow == 0) askFor(wide + from, count * (int64_t)sizeof(float));
  else askFor(narrow + from, count);
}

/** Rows of the next tile: three share what is loaded best, and one does worst. */
INLINE int tileRows(int64_t left) { return left == 1 ? 1 : left == 2 || left == 4 ? 2 : 3; }

/** [rows][PIECE_TOKENS]; numbers of tokens that a row does not see mean nothing. */
void pieceScores(const Piece *p, const float *keys, float *scores);

/** What there is of some rows: the largest score (−∞ at first), the sum, the weighed values. */
typedef struct Rows {
  float most[ROWS_MAX + 8], sum[ROWS_MAX + 8]; // eight can be read from any row on
  float weighed[FLOATS_MAX];
} Rows;

/** Puts a further piece to rows from `first` on. */
void mergePiece(Rows *rows, int64_t first, const Piece *p);

/** exp of x ≤ 88, within 2 units of the last place; 0 below −87. */
float expOne(float x);

#endif
