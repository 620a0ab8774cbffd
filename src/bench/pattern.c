#include "bench/pattern.h"

#include <string.h>

/* The finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
 */
static uint32_t mix(uint32_t x)
{
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

static uint32_t seed_of(rs_pattern p)
{
    return mix(mix(mix(p.call) + (uint32_t)p.from * 0x9e3779b9u) + (uint32_t)p.to);
}

static uint32_t word(uint32_t seed, int64_t i)
{
    return mix(seed + (uint32_t)i * 0x9e3779b9u + (uint32_t)(i >> 32));
}

static float as_float(uint32_t w)
{
    return (float)((int32_t)(w >> 8) - (1 << 23)) * 0x1p-23f;
}

uint32_t rs_pattern_word(rs_pattern p, int64_t i)
{
    return word(seed_of(p), i);
}

float rs_pattern_float(rs_pattern p, int64_t i)
{
    return as_float(rs_pattern_word(p, i));
}

void rs_pattern_words(uint32_t *dst, rs_pattern p, int64_t n)
{
    uint32_t seed = seed_of(p);
    for (int64_t i = 0; i < n; i++)
        dst[i] = word(seed, i);
}

void rs_pattern_floats(float *dst, rs_pattern p, int64_t n)
{
    uint32_t seed = seed_of(p);
    for (int64_t i = 0; i < n; i++)
        dst[i] = as_float(word(seed, i));
}

void rs_pattern_poison(void *dst, size_t bytes)
{
    memset(dst, 0xa5, bytes);
}

rs_status rs_pattern_check(const uint32_t *got, rs_pattern p, int64_t n, int64_t first)
{
    uint32_t seed = seed_of(p);
    for (int64_t i = 0; i < n; i++)
        if (got[i] != word(seed, i))
            return RS_FAIL(INTERNAL, "element %lld is 0x%08x, rank %d sent 0x%08x",
                           (long long)(first + i), got[i], p.from, word(seed, i));
    return RS_OK;
}

rs_status rs_pattern_check_sum(const float *got, int ranks, uint32_t call, int64_t n)
{
    uint32_t *seeds = rs_alloc((size_t)ranks, sizeof *seeds);
    int64_t wrong = -1;
    float want = 0;
    for (int r = 0; r < ranks; r++)
        seeds[r] = seed_of((rs_pattern){.from = r, .to = -1, .call = call});
    for (int64_t i = 0; i < n && wrong < 0; i++) {
        want = as_float(word(seeds[0], i));
        for (int r = 1; r < ranks; r++)
            want += as_float(word(seeds[r], i));
        if (memcmp(&got[i], &want, sizeof want) != 0)
            wrong = i;
    }
    rs_dealloc(seeds);
    if (wrong >= 0)
        return RS_FAIL(INTERNAL, "element %lld is %.9g, the sum in rank order is %.9g",
                       (long long)wrong, (double)got[wrong], (double)want);
    return RS_OK;
}
