// exp of eight floats at once.
#ifndef SPARKLANE_VECTOR_EXP_H
#define SPARKLANE_VECTOR_EXP_H
#include <immintrin.h>

#define EXP_MAX 88.0f // the largest argument

/** exp, for x ≤ 88: 2ⁿ · (1 + r + r² · p(r)) with p fitted to the least relative error, 3·10⁻⁹, for |r| ≤ ln 2 / 2. */
static inline __attribute__((always_inline)) __m256 expEight(__m256 x) {
  const __m256 seen = _mm256_cmp_ps(x, _mm256_set1_ps(-87.0f), _CMP_GE_OQ); // below, anything may come out first
  const __m256 shift = _mm256_set1_ps(0x1.8p+23f + 127); // rounds, and leaves n + 127 in the last bits
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(0x1.715476p+0f), shift);
  const __m256 n = _mm256_sub_ps(shifted, shift);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e4p-1f), x); // ln 2 in two parts, the first of few bits
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.7f7d1cp-20f), r);
  __m256 p = _mm256_set1_ps(0x1.6a2442p-10f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.1239e8p-7f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.5558f2p-5f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555492p-3f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffffcp-2f));
  p = _mm256_fmadd_ps(_mm256_mul_ps(p, r), r, r);
  const __m256 scaled = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
  return _mm256_and_ps(_mm256_fmadd_ps(p, scaled, scaled), seen);
}
#endif
