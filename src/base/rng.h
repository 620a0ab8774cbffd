/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC11, "Parallel random numbers: as
 * easy as 1, 2, 3"). No generator state exists: every draw is a pure function of (seed, job, stage,
 * step, element), so results do not depend on ranks, threads, order or restarts. */
#ifndef RS_BASE_RNG_H
#define RS_BASE_RNG_H

#include <stdint.h>

/* What a stream of numbers is for; part of the key, so streams never overlap. Values are on disk:
 * never renumber. */
typedef enum rs_rng_use {
    RS_RNG_LORA_INIT = 1,
    RS_RNG_TRAIN_NOISE = 2,
    RS_RNG_TRAIN_TIME = 3,
    RS_RNG_SAMPLE_NOISE = 4,
    RS_RNG_ORDER = 5,
    RS_RNG_WEIGHTS = 6,
    RS_RNG_TEST = 7,
    RS_RNG_SIMULATION = 8
} rs_rng_use;

/* One stream: counter words are (element/4 low, element/4 high, step, use) and the key is derived
 * from (seed, job). */
typedef struct rs_rng {
    uint32_t key[2];
    uint32_t step;
    uint32_t use;
} rs_rng;

void rs_philox4x32(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* job: any 64-bit identity (content hash of the job's id, tensor name, ...). */
rs_rng rs_rng_stream(uint64_t seed, uint64_t job, rs_rng_use use, uint32_t step);

/* Element i of the stream: 32 random bits; uniform in [0,1) with 24 bits; standard normal
 * (Box-Muller over the element's pair, computed in double, rounded to float). */
uint32_t rs_rng_bits(const rs_rng *r, uint64_t i);
float rs_rng_uniform(const rs_rng *r, uint64_t i);
float rs_rng_normal(const rs_rng *r, uint64_t i);
/* dst[k] = element first+k, k in [0,n). */
void rs_rng_fill_uniform(float *dst, const rs_rng *r, uint64_t first, int64_t n, float lo,
                         float hi);
void rs_rng_fill_normal(float *dst, const rs_rng *r, uint64_t first, int64_t n);
/* A permutation of 0..n-1 (Fisher-Yates over the stream). */
void rs_rng_permute(int64_t *perm, const rs_rng *r, int64_t n);

/* The deterministic fill of golden tests and rule-filled weights: x0 = FNV-1a-32(name), then per
 * element x = x*1664525 + 1013904223 mod 2^32, value = off + scale*(2*(x>>8)/2^24 - 1), computed in
 * double. `first` allows a range to be made without the elements before it. */
void rs_fill_rule(float *dst, const char *name, uint64_t first, int64_t n, double scale,
                  double off);

#endif
