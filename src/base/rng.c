#include "base/rng.h"

#include <math.h>

#include "base/hash.h"

void rs_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

rs_rng rs_rng_stream(uint64_t seed, uint64_t job, rs_rng_use use, uint32_t step)
{
    uint64_t h = rs_hash64_mix(seed, job);
    return (rs_rng){{(uint32_t)h, (uint32_t)(h >> 32)}, step, (uint32_t)use};
}

static void four(uint32_t out[4], const rs_rng *r, uint64_t group)
{
    uint32_t counter[4] = {(uint32_t)group, (uint32_t)(group >> 32), r->step, r->use};
    rs_philox4x32(out, counter, r->key);
}

uint32_t rs_rng_bits(const rs_rng *r, uint64_t i)
{
    uint32_t w[4];
    four(w, r, i / 4);
    return w[i % 4];
}

static float unit24(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

float rs_rng_uniform(const rs_rng *r, uint64_t i)
{
    return unit24(rs_rng_bits(r, i));
}

/* Words (0,1) give elements 0 and 1 of the group, words (2,3) elements 2 and 3. */
static void normals(float out[4], const uint32_t w[4])
{
    for (int p = 0; p < 4; p += 2) {
        double u = ((double)w[p] + 1.0) * 0x1p-32; /* (0,1] */
        double v = (double)w[p + 1] * 0x1p-32;
        double radius = sqrt(-2.0 * log(u));
        double angle = 6.283185307179586476925 * v;
        out[p] = (float)(radius * cos(angle));
        out[p + 1] = (float)(radius * sin(angle));
    }
}

float rs_rng_normal(const rs_rng *r, uint64_t i)
{
    uint32_t w[4];
    float z[4];
    four(w, r, i / 4);
    normals(z, w);
    return z[i % 4];
}

void rs_rng_fill_uniform(float *dst, const rs_rng *r, uint64_t first, int64_t n, float lo, float hi)
{
    for (int64_t k = 0; k < n; k++)
        dst[k] = lo + (hi - lo) * rs_rng_uniform(r, first + (uint64_t)k);
}

void rs_rng_fill_normal(float *dst, const rs_rng *r, uint64_t first, int64_t n)
{
    int64_t k = 0;
    while (k < n) {
        uint64_t i = first + (uint64_t)k;
        uint32_t w[4];
        float z[4];
        four(w, r, i / 4);
        normals(z, w);
        for (uint64_t j = i % 4; j < 4 && k < n; j++)
            dst[k++] = z[j];
    }
}

void rs_rng_permute(int64_t *perm, const rs_rng *r, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        perm[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        uint64_t bits = ((uint64_t)rs_rng_bits(r, (uint64_t)(2 * i)) << 32) |
                        rs_rng_bits(r, (uint64_t)(2 * i + 1));
        int64_t j = (int64_t)(bits % (uint64_t)(i + 1));
        int64_t t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
}

/* x -> a*x + c applied k times, by squaring. */
static uint32_t lcg_jump(uint32_t x, uint64_t k)
{
    uint32_t a = 1664525u, c = 1013904223u;
    while (k) {
        if (k & 1)
            x = a * x + c;
        c = a * c + c;
        a = a * a;
        k >>= 1;
    }
    return x;
}

void rs_fill_rule(float *dst, const char *name, uint64_t first, int64_t n, double scale, double off)
{
    uint32_t x = 2166136261u;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        x = (x ^ *p) * 16777619u;
    x = lcg_jump(x, first);
    for (int64_t k = 0; k < n; k++) {
        x = x * 1664525u + 1013904223u;
        dst[k] = (float)(off + scale * (2.0 * (double)(x >> 8) / 16777216.0 - 1.0));
    }
}
