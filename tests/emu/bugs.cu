/* Planted defects: `emu_bugs NAME` runs a small program with one, `emu_bugs NAME good` the same
 * without it. The right ones print "fine" and pass everywhere; test_bugs.sh says which build and
 * setting must catch each wrong one. */
#include "kernels/cuda/ptx.cuh"
#include "tests/emu/check.cuh"

namespace
{
bool g_wrong;

/* The results of a wrong kernel are looked at here: NaN, poison or another sum. */
void expect(bool right)
{
    if (!right)
        printf("wrong result\n");
    CHECK(right);
}

template <bool BUG> __global__ void no_barrier_kernel(int *out)
{
    __shared__ int s[64];
    int t = (int)threadIdx.x;
    s[t] = t;
    if (!BUG)
        __syncthreads();
    out[t] = s[63 - t];
}

template <bool BUG> void no_barrier()
{
    buffer<int> o(64);
    LAUNCH(no_barrier_kernel<BUG>, 1, 64, 0, o.d);
    std::vector<int> got = o.get();
    for (int i = 0; i < 64; i++)
        expect(got[(size_t)i] == 63 - i);
}

/* Two rounds through the same shared memory; the second must wait until the first has been read. */
template <bool BUG> __global__ void reuse_kernel(int *out)
{
    __shared__ int s[64];
    int t = (int)threadIdx.x, sum = 0;
    for (int round = 0; round < 2; round++) {
        s[t] = t + 100 * round;
        __syncthreads();
        sum += s[63 - t];
        if (!BUG)
            __syncthreads();
    }
    out[t] = sum;
}

template <bool BUG> void reuse()
{
    buffer<int> o(64);
    LAUNCH(reuse_kernel<BUG>, 1, 64, 0, o.d);
    std::vector<int> got = o.get();
    for (int i = 0; i < 64; i++)
        expect(got[(size_t)i] == 2 * (63 - i) + 100);
}

template <bool BUG> __global__ void no_syncwarp_kernel(int *out)
{
    __shared__ int s[32];
    int t = (int)threadIdx.x;
    for (int round = 0; round < 2; round++) {
        s[t] = t + round;
        __syncwarp();
        out[t] = s[t ^ 1];
        if (!BUG)
            __syncwarp();
    }
}

template <bool BUG> void no_syncwarp()
{
    buffer<int> o(32);
    LAUNCH(no_syncwarp_kernel<BUG>, 1, 32, 0, o.d);
    expect(o.get()[3] == 3);
}

template <bool BUG> __global__ void no_atomic_kernel(int *sum)
{
    if (threadIdx.x != 0)
        return;
    if (BUG)
        *sum += 1;
    else
        atomicAdd(sum, 1);
}

template <bool BUG> void no_atomic()
{
    buffer<int> sum(1);
    sum.zero();
    LAUNCH(no_atomic_kernel<BUG>, 8, 32, 0, sum.d);
    expect(sum.get()[0] == 8);
}

template <bool BUG> __global__ void no_async_wait_kernel(uint32_t *out, const uint32_t *in)
{
    __shared__ __align__(16) uint32_t s[32 * 4];
    int t = (int)threadIdx.x;
    rs_cp_async_16(s + 4 * t, in + 4 * t, true);
    rs_cp_async_commit();
    if (!BUG)
        rs_cp_async_wait<0>();
    else
        rs_cp_async_wait<1>(); /* leaves the only group in flight */
    __syncthreads();
    out[t] = s[4 * (31 - t)];
    rs_cp_async_wait<0>();
}

template <bool BUG> void no_async_wait()
{
    std::vector<uint32_t> in(128);
    for (size_t i = 0; i < in.size(); i++)
        in[i] = (uint32_t)i;
    buffer<uint32_t> d(in), o(32);
    LAUNCH(no_async_wait_kernel<BUG>, 1, 32, 0, o.d, d.d);
    std::vector<uint32_t> got = o.get();
    for (uint32_t i = 0; i < 32; i++)
        expect(got[i] == 4 * (31 - i));
}

/* The next tile is copied over one that other threads still read. */
template <bool BUG> __global__ void early_refill_kernel(uint32_t *out, const uint32_t *in)
{
    __shared__ __align__(16) uint32_t s[64 * 4];
    int t = (int)threadIdx.x;
    uint32_t sum = 0;
    for (int tile = 0; tile < 2; tile++) {
        rs_cp_async_16(s + 4 * t, in + tile * 256 + 4 * t, true);
        rs_cp_async_commit();
        rs_cp_async_wait<0>();
        __syncthreads();
        sum += s[4 * (63 - t)];
        if (!BUG)
            __syncthreads();
    }
    out[t] = sum;
}

template <bool BUG> void early_refill()
{
    std::vector<uint32_t> in(512);
    for (size_t i = 0; i < in.size(); i++)
        in[i] = (uint32_t)i;
    buffer<uint32_t> d(in), o(64);
    LAUNCH(early_refill_kernel<BUG>, 1, 64, 0, o.d, d.d);
    expect(o.get()[0] == 252 + 508);
}

template <bool BUG> __global__ void divergent_barrier_kernel(int *out)
{
    int t = (int)threadIdx.x;
    if (BUG && t < 32)
        __syncthreads();
    if (!(BUG && t < 32))
        __syncthreads();
    out[t] = t;
}

template <bool BUG> void divergent_barrier()
{
    buffer<int> o(64);
    LAUNCH(divergent_barrier_kernel<BUG>, 1, 64, 0, o.d);
    expect(o.get()[5] == 5);
}

template <bool BUG> __global__ void early_return_kernel(int *out, int n)
{
    int t = (int)threadIdx.x;
    if (BUG && t >= n)
        return;
    __syncthreads();
    if (t < n)
        out[t] = t;
}

template <bool BUG> void early_return()
{
    buffer<int> o(64);
    LAUNCH(early_return_kernel<BUG>, 1, 64, 0, o.d, 50);
    expect(o.get()[49] == 49);
}

template <bool BUG> __global__ void shuffle_outside_kernel(int *out)
{
    int t = (int)threadIdx.x;
    out[t] = 0;
    if (t < 16)
        out[t] = __shfl_down_sync(0xffffu, t, 8, BUG ? 32 : 16);
}

template <bool BUG> void shuffle_outside()
{
    buffer<int> o(32);
    LAUNCH(shuffle_outside_kernel<BUG>, 1, 32, 0, o.d);
    expect(o.get()[0] == 8);
}

template <bool BUG> __global__ void divergent_shuffle_kernel(int *out)
{
    int t = (int)threadIdx.x, v = t;
    if (!BUG || t < 20)
        v = __shfl_xor_sync(0xffffffffu, v, 1);
    out[t] = v;
}

template <bool BUG> void divergent_shuffle()
{
    buffer<int> o(32);
    LAUNCH(divergent_shuffle_kernel<BUG>, 1, 32, 0, o.d);
    expect(o.get()[0] == 1);
}

template <bool BUG> __global__ void partial_mma_kernel(float *out)
{
    uint32_t a[4] = {}, b[2] = {};
    float d[4] = {};
    if (!BUG || threadIdx.x < 16)
        rs_mma_16816(d, a, b);
    out[threadIdx.x] = d[0];
}

template <bool BUG> void partial_mma()
{
    buffer<float> o(32);
    LAUNCH(partial_mma_kernel<BUG>, 1, 32, 0, o.d);
    expect(o.get()[0] == 0);
}

template <bool BUG> __global__ void uninitialised_kernel(float *out)
{
    __shared__ float s[33];
    RS_DYN_SMEM(float, d);
    int t = (int)threadIdx.x;
    s[t] = d[t] = 1;
    if (t == 0 && !BUG)
        s[32] = d[32] = 1;
    __syncthreads();
    out[t] = s[t + 1] + d[t + 1];
}

template <bool BUG> void uninitialised()
{
    buffer<float> o(32);
    LAUNCH(uninitialised_kernel<BUG>, 1, 32, 33 * 4, o.d);
    expect(o.get()[31] == 2);
}

__global__ void copy_kernel(int *out, const int *in, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        out[i] = in[i];
}

template <bool BUG> void read_past_end()
{
    buffer<int> in(100), o(200);
    in.zero();
    LAUNCH(copy_kernel, 1, 128, 0, o.d, in.d, BUG ? 101 : 100);
    expect(o.get()[99] == 0);
}

template <bool BUG> void write_past_end()
{
    buffer<int> in(200), o(100);
    in.zero();
    LAUNCH(copy_kernel, 1, 128, 0, o.d, in.d, BUG ? 101 : 100);
    expect(o.get()[99] == 0);
}

/* Memory that no thread wrote. */
template <bool BUG> void uninitialised_global()
{
    buffer<float> in(32), o(32);
    if (!BUG)
        in.zero();
    LAUNCH(copy_kernel, 1, 32, 0, (int *)o.d, (const int *)in.d, 32);
    expect(o.get()[7] == 0);
}

template <bool BUG> __global__ void static_overrun_kernel(int *out, int at)
{
    __shared__ int s[48];
    s[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x == 0)
        out[0] = s[at];
}

template <bool BUG> void static_overrun()
{
    buffer<int> o(1);
    LAUNCH(static_overrun_kernel<BUG>, 1, 48, 0, o.d, BUG ? 48 : 47);
    expect(o.get()[0] == 1);
}

__global__ void dynamic_overrun_kernel(int *out, int at)
{
    RS_DYN_SMEM(int, s);
    s[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x == 0)
        out[0] = s[at];
}

template <bool BUG> void dynamic_overrun()
{
    buffer<int> o(1);
    LAUNCH(dynamic_overrun_kernel, 1, 48, 48 * 4, o.d, BUG ? 48 : 47);
    expect(o.get()[0] == 1);
}

__global__ void misaligned_kernel(float4 *out, const float *in)
{
    out[threadIdx.x] = *reinterpret_cast<const float4 *>(in + threadIdx.x * 4);
}

template <bool BUG> void misaligned()
{
    buffer<float> in(33);
    buffer<float4> o(8);
    in.zero();
    LAUNCH(misaligned_kernel, 1, 8, 0, o.d, in.d + (BUG ? 1 : 0));
    expect(o.get()[0].x == 0);
}

template <bool BUG> void host_reads_device()
{
    buffer<int> d(4);
    d.zero();
    int v = BUG ? *(volatile int *)d.d : d.get()[0];
    expect(v == 0);
}

template <bool BUG> void host_pointer()
{
    buffer<int> in(32), o(32);
    in.zero();
    std::vector<int> host(32);
    LAUNCH(copy_kernel, 1, 32, 0, o.d, BUG ? host.data() : in.d, 32);
    expect(o.get()[0] == 0);
}

template <bool BUG> void wrong_direction()
{
    buffer<int> d(4);
    int host[4] = {1, 2, 3, 4};
    cudaStream_t s = test_context()->compute;
    CUDA_OK(cudaMemcpyAsync(d.d, host, sizeof host,
                            BUG ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice, s));
    expect(d.get()[3] == 4);
}

template <bool BUG> void copy_past_end()
{
    buffer<int> d(4);
    int host[8] = {1, 2, 3, 4};
    CUDA_OK(cudaMemcpyAsync(d.d, host, (BUG ? 5 : 4) * sizeof(int), cudaMemcpyHostToDevice,
                            test_context()->compute));
    expect(d.get()[3] == 4);
}

template <bool BUG> void use_after_free()
{
    buffer<int> o(32);
    int *d;
    CUDA_OK(cudaMalloc((void **)&d, 32 * sizeof(int)));
    CUDA_OK(cudaMemsetAsync(d, 0, 32 * sizeof(int), test_context()->compute));
    if (BUG)
        CUDA_OK(cudaFree(d));
    LAUNCH(copy_kernel, 1, 32, 0, o.d, d, 32);
    expect(o.get()[0] == 0);
    CUDA_OK(cudaFree(d));
}

/* The consumer's stream must wait for the producer's. */
template <bool BUG> void no_event()
{
    enum { N = 256 };
    rs_cuctx *c = test_context();
    buffer<int> d(N);
    d.zero();
    CUDA_OK(cudaStreamSynchronize(c->compute));
    int *host;
    CUDA_OK(cudaMallocHost((void **)&host, N * sizeof(int)));
    for (int i = 0; i < N; i++)
        host[i] = 7;
    cudaEvent_t ready;
    CUDA_OK(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming));
    CUDA_OK(cudaMemcpyAsync(d.d, host, N * sizeof(int), cudaMemcpyHostToDevice, c->copy));
    CUDA_OK(cudaEventRecord(ready, c->copy));
    if (!BUG)
        CUDA_OK(cudaStreamWaitEvent(c->compute, ready, 0));
    expect(d.get()[0] == 7);
    CUDA_OK(cudaDeviceSynchronize());
    CUDA_OK(cudaEventDestroy(ready));
    CUDA_OK(cudaFreeHost(host));
}

/* The host looks at pinned memory before the copy into it is known to be done. */
template <bool BUG> void no_synchronise()
{
    rs_cuctx *c = test_context();
    buffer<int> d(64);
    d.zero();
    int *host;
    CUDA_OK(cudaMallocHost((void **)&host, 64 * sizeof(int)));
    memset(host, 1, 64 * sizeof(int));
    CUDA_OK(cudaMemcpyAsync(host, d.d, 64 * sizeof(int), cudaMemcpyDeviceToHost, c->compute));
    if (!BUG)
        CUDA_OK(cudaStreamSynchronize(c->compute));
    int seen = host[63];
    CUDA_OK(cudaDeviceSynchronize());
    expect(seen == 0);
    CUDA_OK(cudaFreeHost(host));
}

struct defect {
    const char *name;
    void (*run[2])(); /* right, wrong */
};
#define DEFECT(name)                                                                               \
    {                                                                                              \
#name,                                                                                     \
        {                                                                                          \
            name<false>, name<true>                                                                \
        }                                                                                          \
    }
const defect DEFECTS[] = {
    DEFECT(no_barrier),        DEFECT(reuse),           DEFECT(no_syncwarp),
    DEFECT(no_atomic),         DEFECT(no_async_wait),   DEFECT(early_refill),
    DEFECT(divergent_barrier), DEFECT(early_return),    DEFECT(shuffle_outside),
    DEFECT(divergent_shuffle), DEFECT(partial_mma),     DEFECT(uninitialised),
    DEFECT(read_past_end),     DEFECT(write_past_end),  DEFECT(uninitialised_global),
    DEFECT(static_overrun),    DEFECT(dynamic_overrun), DEFECT(misaligned),
    DEFECT(host_reads_device), DEFECT(host_pointer),    DEFECT(wrong_direction),
    DEFECT(copy_past_end),     DEFECT(use_after_free),  DEFECT(no_event),
    DEFECT(no_synchronise),
};
} // namespace

int main(int argc, char **argv)
{
    for (const defect &d : DEFECTS) {
        if (argc < 2) {
            printf("%s\n", d.name);
            continue;
        }
        if (strcmp(d.name, argv[1]) != 0)
            continue;
        g_wrong = argc < 3;
        d.run[g_wrong]();
        test_context_close();
        printf("fine\n");
        return 0;
    }
    return argc < 2 ? 0 : 2;
}
