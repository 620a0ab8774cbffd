/* Data whose every element is known from who made it and where it lies, so that a result can be
 * checked element by element against the formula of its inputs. Private to src/bench. */
#ifndef RS_BENCH_PATTERN_H
#define RS_BENCH_PATTERN_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* Who made it, for whom (-1: for all), and for which call: data of an earlier call are wrong. */
typedef struct rs_pattern {
    int from, to;
    uint32_t call;
} rs_pattern;

/* Element i as 32 bits. As a float it is one of 2^24 values in [-1, 1). */
uint32_t rs_pattern_word(rs_pattern p, int64_t i);
float rs_pattern_float(rs_pattern p, int64_t i);

void rs_pattern_words(uint32_t *dst, rs_pattern p, int64_t n);
void rs_pattern_floats(float *dst, rs_pattern p, int64_t n);
/* Fill with what no pattern is likely to hold. */
void rs_pattern_poison(void *dst, size_t bytes);

/* RS_INTERNAL: the first wrong element: its index (first + i), and who made it. */
rs_status rs_pattern_check(const uint32_t *got, rs_pattern p, int64_t n,
                           int64_t first) RS_NODISCARD;
/* got[i] is the sum of the floats of ranks 0, 1, ... in that order, bit for bit. */
rs_status rs_pattern_check_sum(const float *got, int ranks, uint32_t call, int64_t n) RS_NODISCARD;

#endif
