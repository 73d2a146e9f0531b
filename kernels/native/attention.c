// Attention as tasks: what of the context and of the tokens each of them computes, where it finds it, and how partial answers
// become whole ones. Before it: the operator; after it: attention-piece.c.
#include "attention.h"
#include "attention-piece.h"
#include <immintrin.h>
#include <math.h>

#define WIDTH 8
#define WRITE_TOKENS 16  // of a writing task
#define TASKS_WANTED 16  // where a few queries have a long context: shared out evenly between a few threads
#define SPAN_MIN 2       // pieces; less is done sooner than handed to a thread
#define SMALL_WORK (1 << 18)  // products of queries by keys, channel by channel: 10 µs; no thread wakes for less
#define PARTIALS_MAX (1 << 22) // floats; more would be as much memory as the keys and values themselves

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t groupOf(const Attention *a) { return a->heads / a->kvHeads; }

static int64_t rowsMax(const Attention *a) {
  return least(ROWS_MAX, FLOATS_MAX / a->headSize);
}

int attentionFits(const Attention *a) {
  return a->headSize % WIDTH == 0 && a->headSize <= HEAD_SIZE_MAX && a->heads % a->kvHeads == 0 &&
         groupOf(a) <= rowsMax(a) && a->rotaryHalf * 2 <= a->headSize;
}

/** Place of the sequence's first new token. */
static int64_t startOf(const Attention *a, int64_t sequence) {
  return a->lasts[sequence] + 1 - a->tokens;
}

void planAttention(Attention *a) {
  const int64_t group = groupOf(a);
  a->tiles = ceiling(a->tokens, rowsMax(a) / group);
  a->tileTokens = ceiling(a->tokens, a->tiles);
  a->pieces = 0;
  for (int64_t b = 0; b < a->batch; b++)
    a->pieces = greatest(a->pieces, a->lasts[b] / PIECE_TOKENS + 1);
  const int64_t tasks = a->batch * a->kvHeads * a->tiles;
  const int64_t queries = a->batch * a->heads * a->tokens * a->headSize;
  const int64_t partials = tasks * a->pieces * a->tileTokens * group * (a->headSize + 2);
  a->isSmall = a->pieces * PIECE_TOKENS * queries < SMALL_WORK;
  const int isShared = !a->isSmall && tasks * 2 <= TASKS_WANTED && partials <= PARTIALS_MAX;
  a->span = isShared ? greatest(SPAN_MIN, ceiling(a->pieces * tasks, TASKS_WANTED)) : a->pieces;
  a->spans = ceiling(a->pieces, a->span);
  a->scratch = queries + (a->spans > 1 ? partials : 0);
}

void placeAttention(Attention *a, float *scratch) {
  a->queries = scratch;
  a->partials = scratch + a->batch * a->heads * a->tokens * a->headSize;
}

int64_t writeCount(const Attention *a) {
  return a->batch * a->kvHeads * ceiling(a->tokens, WRITE_TOKENS);
}

int64_t computeCount(const Attention *a) { return a->batch * a->kvHeads * a->tiles * a->spans; }

int64_t combineCount(const Attention *a) {
  return a->spans > 1 ? a->batch * a->kvHeads * a->tiles : 0;
}

/** Channels of a head, turned by the token's place: c and c + half together; the rest as it is. */
static void turn(const Attention *a, const float *from, int64_t place, float *to) {
  const int64_t half = a->rotaryHalf;
  const float *cosines = a->cosines + place * half, *sines = a->sines + place * half;
  int64_t c = 0;
  for (; c + WIDTH <= half; c += WIDTH) {
    const __m256 x = _mm256_loadu_ps(from + c), y = _mm256_loadu_ps(from + half + c);
    const __m256 cosine = _mm256_loadu_ps(cosines + c), sine = _mm256_loadu_ps(sines + c);
    _mm256_storeu_ps(to + c, _mm256_fmsub_ps(x, cosine, _mm256_mul_ps(y, sine)));
    _mm256_storeu_ps(to + half + c, _mm256_fmadd_ps(y, cosine, _mm256_mul_ps(x, sine)));
  }
  for (; c < half; c++) {
    const float x = from[c], y = from[half + c];
    to[c] = fmaf(x, cosines[c], -(y * sines[c]));
    to[half + c] = fmaf(y, cosines[c], x * sines[c]);
  }
  for (c = half * 2; c < a->headSize; c++) to[c] = from[c];
}

/** To the nearest step, ties to even, and no farther than int8 goes. */
static void roundRow(const float *from, const float *scales, int64_t size, int8_t *to) {
  for (int64_t c = 0; c < size; c += WIDTH) {
    const __m256 steps = _mm256_div_ps(_mm256_loadu_ps(from + c), _mm256_loadu_ps(scales + c));
    const __m256 most = _mm256_set1_ps(127), fewest = _mm256_set1_ps(-128);
    const __m256i all = _mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(steps, most), fewest));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    _mm_storel_epi64((void *)(to + c), _mm_packs_epi16(words, words));
  }
}

static void keep(const Attention *a, void *kept, const float *scales, int64_t head, int64_t row,
                 const float *from) {
  const int64_t size = a->headSize;
  if (scales != 0) {
    roundRow(from, scales + head * size, size, (int8_t *)kept + row * size);
    return;
  }
  float *to = (float *)kept + row * size;
  for (int64_t c = 0; c < size; c++) to[c] = from[c];
}

static void writeToken(const Attention *a, int64_t b, int64_t head, int64_t token) {
  const int64_t size = a->headSize, group = groupOf(a), place = startOf(a, b) + token;
  const int64_t row = (b * a->kvHeads + head) * a->capacity + place, at = b * a->tokens + token;
  float turned[HEAD_SIZE_MAX];
  turn(a, a->key + at * a->keyStride + head * size, place, turned);
  keep(a, a->keys, a->keyScales, head, row, turned);
  const float *value = a->value + at * a->valueStride + head * size;
  if (a->valueShift != 0) {
    for (int64_t c = 0; c < size; c++) turned[c] = value[c] + a->valueShift[head * size + c];
    value = turned;
  }
  keep(a, a->values, a->valueScales, head, row, value);
  float *queries = a->queries + ((b * a->kvHeads + head) * a->tokens + token) * group * size;
  for (int64_t g = 0; g < group; g++, queries += size) {
    turn(a, a->query + at * a->queryStride + (head * group + g) * size, place, queries);
    if (a->keyScales == 0) continue;
    for (int64_t c = 0; c < size; c++) queries[c] *= a->keyScales[head * size + c];
  }
}

void writeTask(const Attention *a, int64_t task) {
  const int64_t blocks = ceiling(a->tokens, WRITE_TOKENS), from = task % blocks * WRITE_TOKENS;
  const int64_t b = task / blocks / a->kvHeads, head = task / blocks % a->kvHeads;
  for (int64_t token = from; token < least(a->tokens, from + WRITE_TOKENS); token++)
    writeToken(a, b, head, token);
}

/** Some tokens of a sequence and their queries of one head of keys; rows are tokens by queries that share the head. */
typedef struct Tile {
  int64_t index, sequence, head; // index: of all tiles
  int64_t token, place;          // of the first one: in the step, in its sequence
  int64_t tokens, rows;
  int64_t first, last; // pieces
} Tile;

static Tile tileAt(const Attention *a, int64_t index) {
  const int64_t tile = a->tiles - 1 - index % a->tiles, pair = index / a->tiles; // the longest first
  Tile t = {.index = index, .sequence = pair / a->kvHeads, .head = pair % a->kvHeads};
  t.token = tile * a->tileTokens;
  t.tokens = greatest(0, least(a->tileTokens, a->tokens - t.token));
  t.rows = t.tokens * groupOf(a);
  t.place = startOf(a, t.sequence) + t.token;
  t.first = a->window > 0 ? greatest(0, t.place + 1 - a->window) / PIECE_TOKENS : 0;
  t.last = (t.place + t.tokens - 1) / PIECE_TOKENS;
  return t;
}

/** The tile's first row among the scratch's queries. */
static int64_t rowAt(const Attention *a, const Tile *t) {
  return (((t->sequence * a->kvHeads + t->head) * a->tokens) + t->token) * groupOf(a);
}

/** Which rows see any of a piece, and what of it; answers the first of them. */
static int64_t seenOf(const Attention *a, const Tile *t, int64_t index, int16_t *from, int16_t *to, int64_t *rows) {
  const int64_t group = groupOf(a), begin = index * PIECE_TOKENS, earliest = greatest(0, begin - t->place);
  *rows = 0;
  for (int64_t token = earliest; token < t->tokens; token++) {
    const int64_t place = t->place + token;
    const int64_t seen = a->window > 0 ? greatest(0, place + 1 - a->window - begin) : 0;
    if (seen >= PIECE_TOKENS) break;
    for (int64_t g = 0; g < group; g++, ++*rows) {
      from[*rows] = (int16_t)seen;
      to[*rows] = (int16_t)least(PIECE_TOKENS, place + 1 - begin);
    }
  }
  return earliest * group;
}

/** What `p` holds of a piece for rows from `first` on. */
static void computePiece(const Attention *a, const Tile *t, int64_t index, int64_t first, Piece *p) {
  const int64_t begin = index * PIECE_TOKENS;
  const int64_t at = ((t->sequence * a->kvHeads + t->head) * a->capacity + begin) * p->size;
  p->softcap = a->softcap;
  p->queries = a->queries + (rowAt(a, t) + first) * p->size;
  if (a->keyScales == 0) p->keys = (const float *)a->keys + at, p->values = (const float *)a->values + at;
  else p->narrowKeys = (const int8_t *)a->keys + at, p->narrowValues = (const int8_t *)a->values + at;
  pieceCompute(p);
}

/** Where tasks of several spans leave a piece: [rows] largest scores, [rows] sums, [rows, size]. */
static void placePartial(const Attention *a, const Tile *t, int64_t index, int64_t first, Piece *p) {
  const int64_t rows = a->tileTokens * groupOf(a);
  float *partial = a->partials + (t->index * a->pieces + index) * rows * (a->headSize + 2);
  p->most = partial + first, p->sum = partial + rows + first, p->weighed = partial + 2 * rows + first * a->headSize;
}

/** The answer of a row: divided by the sum, in which a sink has a part. */
static void finishRow(const Attention *a, const Tile *t, int64_t row, float most, float sum,
                       const float *weighed) {
  const int64_t group = groupOf(a), size = a->headSize, head = t->head * group + row % group;
  const int64_t token = t->sequence * a->tokens + t->token + row / group;
  float *to = a->output + (token * a->heads + head) * size, factor = 1;
  if (a->sinks != 0) {
    const float largest = most > a->sinks[head] ? most : a->sinks[head];
    factor = expOne(most - largest);
    sum = fmaf(sum, factor, expOne(a->sinks[head] - largest));
  }
  factor /= sum;
  const float *scales = a->valueScales != 0 ? a->valueScales + t->head * size : 0;
  for (int64_t c = 0; c < size; c++) {
    float answer = weighed[c] * factor;
    if (scales != 0) answer *= scales[c];
    // Also makes +0 of −0, which the order of zeros beside it could have left.
    to[c] = answer + (a->answerShift != 0 ? a->answerShift[head * size + c] : 0.0f);
  }
}

/** All pieces of a tile, from the first to the last: computed here, or by the tasks of its spans. */
static void finishTile(const Attention *a, const Tile *t) {
  int16_t from[ROWS_MAX], to[ROWS_MAX];
  float most[ROWS_MAX], sum[ROWS_MAX], weighed[FLOATS_MAX];
  Rows all;
  const int64_t size = a->headSize;
  for (int64_t row = 0; row < ROWS_MAX + 8; row++) all.most[row] = -INFINITY, all.sum[row] = 0;
  for (int64_t i = 0; i < t->rows * size; i++) all.weighed[i] = 0;
  for (int64_t index = t->first; index <= t->last; index++) {
    Piece p = {.from = from, .to = to, .size = size, .most = most, .sum = sum, .weighed = weighed};
    const int64_t first = seenOf(a, t, index, from, to, &p.rows);
    if (a->spans == 1) computePiece(a, t, index, first, &p);
    else placePartial(a, t, index, first, &p);
    mergePiece(&all, first, &p);
  }
  for (int64_t row = 0; row < t->rows; row++)
    finishRow(a, t, row, all.most[row], all.sum[row], all.weighed + row * size);
}

void computeTask(const Attention *a, int64_t task) {
  const Tile t = tileAt(a, task / a->spans);
  if (t.tokens == 0) return;
  if (a->spans == 1) {
    finishTile(a, &t);
    return;
  }
  const int64_t begin = task % a->spans * a->span;
  for (int64_t index = greatest(begin, t.first); index <= least(begin + a->span - 1, t.last); index++) {
    int16_t from[ROWS_MAX], to[ROWS_MAX];
    Piece p = {.from = from, .to = to, .size = a->headSize};
    const int64_t first = seenOf(a, &t, index, from, to, &p.rows);
    placePartial(a, &t, index, first, &p);
    computePiece(a, &t, index, first, &p);
  }
}

void combineTask(const Attention *a, int64_t task) {
  const Tile t = tileAt(a, task);
  if (t.tokens > 0) finishTile(a, &t);
}
