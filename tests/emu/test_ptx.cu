/* Every function of kernels/cuda/ptx.cuh on known data. On the emulated runtime this shows that the
 * kernels' use of fragments is consistent with the PTX ISA as written down in emu_ptx.cc; on a GPU
 * (nvcc, the same file) it shows that emu_ptx.cc is right. */
#include "kernels/cuda/ptx.cuh"

#include "tests/emu/check.cuh"

typedef __nv_bfloat16 bf16;

/* a (16,16), b (16,8) row-major, d (16,8), straight from the fragment table in ptx.cuh. */
static __global__ void mma_kernel(float *d, const bf16 *a, const bf16 *b)
{
    int g = threadIdx.x / 4, t = threadIdx.x % 4;
    uint32_t fa[4], fb[2];
    for (int i = 0; i < 4; i++) {
        const bf16 *at = a + (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
        fa[i] = rs_pack_bf16(__bfloat162float(at[0]), __bfloat162float(at[1]));
    }
    for (int i = 0; i < 2; i++) {
        const bf16 *at = b + (2 * t + i * 8) * 8 + g;
        fb[i] = rs_pack_bf16(__bfloat162float(at[0]), __bfloat162float(at[8]));
    }
    float sum[4];
    for (int i = 0; i < 4; i++)
        sum[i] = d[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
    rs_mma_16816(sum, fa, fb);
    for (int i = 0; i < 4; i++)
        d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];
}

/* Small whole numbers: exact in bf16 and in any order of sums. */
static std::vector<bf16> whole_numbers(int n, int seed)
{
    std::vector<bf16> v((size_t)n);
    for (int i = 0; i < n; i++)
        v[(size_t)i] = __float2bfloat16((float)((i * 37 + seed * 11) % 17 - 8));
    return v;
}

static void t_mma()
{
    std::vector<bf16> a = whole_numbers(256, 1), b = whole_numbers(128, 2);
    std::vector<float> d(128);
    for (int i = 0; i < 128; i++)
        d[(size_t)i] = (float)(i % 5);
    buffer<bf16> da(a), db(b);
    buffer<float> dd(d);
    LAUNCH(mma_kernel, 1, 32, 0, dd.d, da.d, db.d);
    std::vector<float> got = dd.get();
    for (int r = 0; r < 16; r++)
        for (int c = 0; c < 8; c++) {
            float want = d[(size_t)(r * 8 + c)];
            for (int k = 0; k < 16; k++)
                want += __bfloat162float(a[(size_t)(r * 16 + k)]) *
                        __bfloat162float(b[(size_t)(k * 8 + c)]);
            CHECK(got[(size_t)(r * 8 + c)] == want);
        }
}

/* Four matrices in shared memory, rows 16 bytes apart; out[lane][i] as loaded. */
template <bool TRANS> static __global__ void ldmatrix_kernel(uint32_t *out, const uint16_t *in)
{
    __shared__ __align__(16) uint16_t s[4 * 64];
    for (int i = (int)threadIdx.x; i < 4 * 64; i += 32)
        s[i] = in[i];
    __syncthreads();
    uint32_t r[4];
    const void *row = s + threadIdx.x * 8;
    if (TRANS)
        rs_ldmatrix_x4_trans(r, row);
    else
        rs_ldmatrix_x4(r, row);
    for (int i = 0; i < 4; i++)
        out[threadIdx.x * 4 + i] = r[i];
}

template <bool TRANS> static void check_ldmatrix()
{
    std::vector<uint16_t> in(4 * 64);
    for (size_t i = 0; i < in.size(); i++)
        in[i] = (uint16_t)(1000 + i);
    buffer<uint16_t> d(in);
    buffer<uint32_t> o(32 * 4);
    LAUNCH(ldmatrix_kernel<TRANS>, 1, 32, 0, o.d, d.d);
    std::vector<uint32_t> got = o.get();
    for (size_t l = 0; l < 32; l++)
        for (size_t i = 0; i < 4; i++) {
            size_t g = l / 4, t = l % 4;
            size_t lo = TRANS ? 2 * t * 8 + g : g * 8 + 2 * t, hi = lo + (TRANS ? 8 : 1);
            uint32_t want = (uint32_t)in[i * 64 + hi] << 16 | in[i * 64 + lo];
            CHECK(got[l * 4 + i] == want);
        }
}

static void t_ldmatrix()
{
    check_ldmatrix<false>();
    check_ldmatrix<true>();
}

/* Two groups in flight; the odd 16-byte words are not valid and read as zero. */
static __global__ void async_kernel(uint32_t *out, const uint32_t *in)
{
    RS_DYN_SMEM(uint32_t, s);
    int t = (int)threadIdx.x;
    rs_cp_async_16(s + t * 4, in + t * 4, t % 2 == 0);
    rs_cp_async_commit();
    rs_cp_async_16(s + (64 + t) * 4, in + (64 + t) * 4, true);
    rs_cp_async_commit();
    rs_cp_async_wait<1>();
    __syncthreads();
    for (int i = t; i < 64 * 4; i += 64)
        out[i] = s[i];
    rs_cp_async_wait<0>();
    __syncthreads();
    for (int i = t; i < 64 * 4; i += 64)
        out[64 * 4 + i] = s[64 * 4 + i];
}

static void t_cp_async()
{
    std::vector<uint32_t> in(2 * 64 * 4);
    for (size_t i = 0; i < in.size(); i++)
        in[i] = (uint32_t)i + 1;
    buffer<uint32_t> d(in), o(in.size());
    LAUNCH(async_kernel, 1, 64, 2 * 64 * 16, o.d, d.d);
    std::vector<uint32_t> got = o.get();
    for (size_t i = 0; i < in.size(); i++)
        CHECK(got[i] == (i < 256 && i / 4 % 2 ? 0 : in[i]));
}

static __global__ void pack_kernel(uint32_t *out, float a, float b)
{
    out[0] = rs_pack_bf16(a, b);
}

static void t_pack()
{
    buffer<uint32_t> o(1);
    LAUNCH(pack_kernel, 1, 1, 0, o.d, 1.0f, -2.0f);
    CHECK(o.get()[0] == 0xc0003f80u);
    LAUNCH(pack_kernel, 1, 1, 0, o.d, 1.00390625f, 1.01171875f); /* ties go to even */
    CHECK(o.get()[0] == 0x3f823f80u);
}

int main()
{
    t_mma();
    t_ldmatrix();
    t_cp_async();
    t_pack();
    test_context_close();
    printf("ptx: mma, ldmatrix, ldmatrix.trans, cp.async, pack: ok\n");
    return 0;
}
