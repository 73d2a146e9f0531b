// Attention over keys and values that are kept in place, at fp32 or as int8 with a scale for each channel.
//
// What a token gets depends on its own query and on the keys and values up to it, to the last bit, and on nothing else: not
// on how many tokens come together, nor on sequences or threads beside it. So the context is cut into pieces at fixed
// positions, every sum has one order, and the pieces of a token are put together from the first to the last, whoever
// computed them.
#ifndef SPARKLANE_ATTENTION_H
#define SPARKLANE_ATTENTION_H
#include <stdint.h>

#define PIECE_TOKENS 64   // of context; its keys fit a first-level cache at heads of 64
#define HEAD_SIZE_MAX 256 // what a task has on its stack follows from it

typedef struct Attention {
  // What the operator was given.
  int64_t batch, tokens, heads, kvHeads, headSize, capacity;
  int64_t rotaryHalf; // channels that turn with as many behind them; 0: none
  int64_t window;     // tokens that a token sees, itself included; 0: all before it
  float softcap;      // of scores; 0: none
  const float *query, *key, *value;               // of the first token
  int64_t queryStride, keyStride, valueStride;    // floats from a token to the next; sequences follow each other
  const int32_t *lasts;                           // [batch]: the place of the last token
  const float *cosines, *sines;                   // [places, rotaryHalf]
  void *keys, *values;                            // [batch, kvHeads, capacity, headSize], float or int8_t
  const float *keyScales, *valueScales;           // [kvHeads, headSize]; null: fp32
  const float *sinks;                             // [heads], or null
  const float *valueShift, *answerShift;          // [kvHeads, headSize], [heads, headSize]: added; or null
  float *output;                                  // [batch, tokens, heads, headSize]
  // How it is cut into tasks: planAttention().
  int64_t tileTokens, tiles; // tokens of a task, tasks of a sequence and head of keys
  int64_t span, spans;       // pieces of a task, tasks of a tile; one span: a task finishes its tokens itself
  int64_t pieces;            // that any sequence has
  int isSmall;               // one thread does it sooner than several
  int64_t scratch;           // floats wanted
  float *queries;            // scratch: [batch, kvHeads, tokens, group, headSize], turned, with int8 in steps of the keys
  float *partials;           // scratch: [batch, kvHeads, tiles, pieces][rows][headSize + 2]
} Attention;

/** Whether it can be computed at all. */
int attentionFits(const Attention *a);

/** Cuts the work. Its owner then sets `queries` to `scratch` floats, and calls placeAttention(). */
void planAttention(Attention *a);
void placeAttention(Attention *a, float *scratch);

// Three stages, each with all of its tasks done before the next begins. Tasks of a stage may run at once.
int64_t writeCount(const Attention *a);
int64_t computeCount(const Attention *a);
int64_t combineCount(const Attention *a);
/** New keys and values to their places, queries to the scratch. */
void writeTask(const Attention *a, int64_t task);
void computeTask(const Attention *a, int64_t task);
void combineTask(const Attention *a, int64_t task);

#endif
