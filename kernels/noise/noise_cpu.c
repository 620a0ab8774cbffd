#include "kernels/cpu/cpu_ops.h"
#include "kernels/vec/vec.h"

enum { BLOCK = 512 }; /* about 15 microseconds */

static void fill(const void *args, int64_t lo, int64_t hi, int thread)
{
    (void)thread;
    const rs_noise_args *a = args;
    rs_rng_fill_normal(rs_f32(a->y) + lo, &a->stream, a->first + (uint64_t)lo, hi - lo);
}

void rs_cpu_noise(rs_kctx *k, const rs_noise_args *a)
{
    rs_for_range(k, rs_tensor_count(a->y), BLOCK, fill, a);
}
