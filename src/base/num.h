/* Checked integer arithmetic and small numeric helpers. */
#ifndef RS_BASE_NUM_H
#define RS_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define RS_COUNT_OF(table) ((int)(sizeof(table) / sizeof((table)[0])))

static inline int64_t rs_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t rs_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t rs_max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Narrow to int; asserts that the value fits (sizes that come from files are checked before). */
static inline int rs_i32(int64_t v)
{
    RS_ASSERTF(v >= INT32_MIN && v <= INT32_MAX, "value %lld does not fit an int", (long long)v);
    return (int)v;
}

/* a*b into *out; false on overflow or a negative operand. For sizes read from files and configs. */
static inline bool rs_mul_i64(int64_t *out, int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

static inline bool rs_mul_size(size_t *out, size_t a, size_t b)
{
    return !__builtin_mul_overflow(a, b, out);
}

#endif
