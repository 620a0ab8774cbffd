/* count * 4 bytes are written, nothing is read. A thread makes the four elements of one Philox
 * block, from the same bits as the CPU (base/rng.c) and in double up to the last rounding, so that
 * values differ from the CPU's only where the last bit of log, sin or cos in double decides how a
 * float is rounded. The floor is the double arithmetic, some hundred instructions an element, not
 * memory: about 15 us for the 2 million of 81 frames' latents on an H100, once a step. */
#include "kernels/cuda/pack.cuh"

static __device__ inline uint4 philox(uint4 c, uint2 k)
{
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c.x, p1 = (uint64_t)0xCD9E8D57u * c.z;
        c = make_uint4((uint32_t)(p1 >> 32) ^ c.y ^ k.x, (uint32_t)p1,
                       (uint32_t)(p0 >> 32) ^ c.w ^ k.y, (uint32_t)p0);
        k.x += 0x9E3779B9u;
        k.y += 0xBB67AE85u;
    }
    return c;
}

/* Box-Muller, as `normals` in base/rng.c. */
static __device__ inline void normal_pair(float *out, uint32_t a, uint32_t b)
{
    double u = ((double)a + 1.0) * 0x1p-32; /* (0,1] */
    double radius = sqrt(-2.0 * log(u));
    double angle = 6.283185307179586476925 * ((double)b * 0x1p-32);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

static __global__ void noise_kernel(float *y, rs_rng s, uint64_t first, int64_t n, bool wide)
{
    uint64_t group = first / 4 + (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
    int64_t at = (int64_t)(group * 4 - first); /* of the block's first element in y */
    if (at >= n)
        return;
    float z[4];
    uint4 w = philox(make_uint4((uint32_t)group, (uint32_t)(group >> 32), s.step, s.use),
                     make_uint2(s.key[0], s.key[1]));
    normal_pair(z, w.x, w.y);
    normal_pair(z + 2, w.z, w.w);
    if (wide && at + 4 <= n)
        *reinterpret_cast<float4 *>(y + at) = make_float4(z[0], z[1], z[2], z[3]);
    else
        for (int j = 0; j < 4; j++)
            if (at + j >= 0 && at + j < n)
                y[at + j] = z[j];
}

void rs_cuda_noise(rs_cuctx *c, const rs_noise_args *a)
{
    int64_t n = rs_tensor_count(a->y);
    if (n == 0)
        return;
    int64_t groups = (int64_t)((a->first + (uint64_t)n - 1) / 4 - a->first / 4 + 1);
    rs_launch(c, "noise", noise_kernel, dim3(rs_blocks(groups, 256)), dim3(256), 0,
              rs_at<float>(a->y), a->stream, a->first, n, a->first % 4 == 0 && rs_wide(a->y));
}
