/* Results on their way to memory, for bodies compiled through vec.h.
 *
 * A row of 5120 floats is read again by the second pass of a norm, and while that runs from the
 * caches memory is idle: so results are made in pieces, and with each piece a stretch of what comes
 * next is fetched. A store to a line that no cache holds reads the line first, a third of the
 * traffic of y = f(x): results too large to be still cached when they are used go past the caches
 * (no change of bits). */
#ifndef RS_KERNELS_VEC_STREAM_H
#define RS_KERNELS_VEC_STREAM_H

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "kernels/vec/vec.h"

/* Floats of a piece; a whole number of vectors and cache lines. */
enum { RS_PIECE = 256 };

/* Bytes of a result that, beside its input, has left an L3 of 32 MiB when it is read. */
enum { RS_STREAM_BYTES = 28 << 20 };

/* Whether y, written from inputs elsewhere, goes past the caches; from its size only. */
static inline bool rs_streams(rs_tensor y)
{
    return rs_tensor_bytes(y) >= RS_STREAM_BYTES;
}

/* Ask the second cache for n floats. */
RS_INLINE void rs_v_fetch(const float *p, int64_t n)
{
    enum { LINE = 16 };
    for (int64_t i = 0; i < n; i += LINE)
        __builtin_prefetch(p + i, 0, 2);
}

/* y = x past the caches. The body that does so ends with rs_v_stored. */
RS_INLINE void rs_v_store(float *y, const float *x, int64_t n)
{
#if defined(__x86_64__)
    enum { STEP = 4 };
    if ((uintptr_t)y % (STEP * sizeof(float)) == 0) {
        int64_t i = 0;
        for (; n - i >= STEP; i += STEP)
            _mm_stream_ps(y + i, _mm_loadu_ps(x + i));
        for (; i < n; i++)
            y[i] = x[i];
        return;
    }
#endif
    memcpy(y, x, (size_t)n * sizeof(float));
}

/* Other threads see what was stored so after the lock that ends the job. */
RS_INLINE void rs_v_stored(void)
{
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

#endif
