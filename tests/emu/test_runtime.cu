/* The emulated runtime itself: built-ins, barriers, warp operations, atomics, streams, events,
 * errors. Plain CUDA: on a GPU (nvcc) the same program passes. */
#include "tests/emu/check.cuh"

static __global__ void index_kernel(int *out)
{
    int block = (int)(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
    int t = (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
    int per = (int)(blockDim.x * blockDim.y * blockDim.z);
    out[block * per + t] = block * 1000 + t;
}

static void t_indices()
{
    buffer<int> o(2 * 3 * 2 * 4 * 2 * 3);
    LAUNCH(index_kernel, dim3(2, 3, 2), dim3(4, 2, 3), 0, o.d);
    std::vector<int> got = o.get();
    for (size_t i = 0; i < got.size(); i++)
        CHECK(got[i] == (int)(i / 24 * 1000 + i % 24));
}

/* Block reduction by tree: many barriers, static shared memory, reuse. */
static __global__ void sum_kernel(float *out, const float *in, int rounds)
{
    __shared__ float s[256];
    int t = (int)threadIdx.x;
    float total = 0;
    for (int r = 0; r < rounds; r++) {
        s[t] = in[(int)blockIdx.x * 256 + t] + (float)r;
        __syncthreads();
        for (int n = 128; n > 0; n /= 2) {
            if (t < n)
                s[t] += s[t + n];
            __syncthreads();
        }
        total += s[0];
        __syncthreads();
    }
    if (t == 0)
        out[blockIdx.x] = total;
}

static void t_barriers()
{
    enum { BLOCKS = 5, ROUNDS = 3 };
    std::vector<float> in(BLOCKS * 256);
    for (size_t i = 0; i < in.size(); i++)
        in[i] = (float)(i % 7);
    buffer<float> d(in), o(BLOCKS);
    LAUNCH(sum_kernel, BLOCKS, 256, 0, o.d, d.d, ROUNDS);
    std::vector<float> got = o.get();
    for (size_t b = 0; b < BLOCKS; b++) {
        float want = 256 * (0 + 1 + 2);
        for (size_t t = 0; t < 256; t++)
            want += ROUNDS * in[b * 256 + t];
        CHECK(got[b] == want);
    }
}

static __global__ void count_kernel(int *out)
{
    int t = (int)threadIdx.x;
    int odd = __syncthreads_count(t % 2), all = __syncthreads_and(t < 96);
    int any = __syncthreads_or(t == 5), none = __syncthreads_or(t > 96);
    if (t == 0)
        out[0] = odd, out[1] = all != 0, out[2] = any != 0, out[3] = none != 0;
}

static void t_counting_barriers()
{
    buffer<int> o(4);
    LAUNCH(count_kernel, 1, 96, 0, o.d);
    std::vector<int> got = o.get();
    CHECK(got[0] == 48 && got[1] == 1 && got[2] == 1 && got[3] == 0);
}

static __global__ void warp_kernel(int *out)
{
    int l = (int)threadIdx.x;
    int *o = out + l * 16;
    const unsigned all = 0xffffffffu;
    o[0] = __shfl_sync(all, l * 10, 3);
    o[1] = __shfl_up_sync(all, l, 2);
    o[2] = __shfl_down_sync(all, l, 2);
    o[3] = __shfl_xor_sync(all, l, 5);
    o[4] = __shfl_sync(all, l, 1, 8);
    o[5] = __shfl_down_sync(all, l, 3, 8);
    o[6] = (int)__ballot_sync(all, l % 3 == 0);
    o[7] = __any_sync(all, l == 31);
    o[8] = __all_sync(all, l < 31);
    o[9] = (int)__reduce_add_sync(all, (unsigned)l);
    o[10] = (int)__reduce_max_sync(all, (unsigned)l);
    o[11] = (int)__match_any_sync(all, l / 8);
    o[12] = __float_as_int(__shfl_xor_sync(all, (float)l, 1));
    o[13] = 0;
    if (l < 16) /* half of a warp on its own */
        o[13] = __shfl_xor_sync(0xffffu, l, 15);
    __syncwarp();
    o[14] = (int)(__shfl_xor_sync(all, 1LL << 40 | l, 1) >> 40);
}

static void t_warp()
{
    buffer<int> o(32 * 16);
    LAUNCH(warp_kernel, 1, 32, 0, o.d);
    std::vector<int> got = o.get();
    for (int l = 0; l < 32; l++) {
        const int *g = &got[(size_t)l * 16];
        CHECK(g[0] == 30 && g[1] == (l < 2 ? l : l - 2) && g[2] == (l > 29 ? l : l + 2));
        CHECK(g[3] == (l ^ 5) && g[4] == l / 8 * 8 + 1 && g[5] == (l % 8 > 4 ? l : l + 3));
        CHECK((unsigned)g[6] == 0x49249249u && g[7] == 1 && g[8] == 0);
        CHECK(g[9] == 496 && g[10] == 31 && (unsigned)g[11] == 0xffu << (l / 8 * 8));
        float f;
        memcpy(&f, &g[12], sizeof f);
        CHECK(f == (float)(l ^ 1) && g[13] == (l < 16 ? 15 - l : 0) && g[14] == 1);
    }
}

static __global__ void atomic_kernel(int *count, float *sum, int *last)
{
    __shared__ int here;
    if (threadIdx.x == 0)
        here = 0;
    __syncthreads();
    atomicAdd(&here, 1);
    atomicAdd(sum, 0.5f);
    atomicMax(last, (int)(blockIdx.x * blockDim.x + threadIdx.x));
    __syncthreads();
    if (threadIdx.x == 0)
        atomicAdd(count, here);
}

static void t_atomics()
{
    buffer<int> count(1), last(1);
    buffer<float> sum(1);
    count.zero(), last.zero(), sum.zero();
    LAUNCH(atomic_kernel, 7, 64, 0, count.d, sum.d, last.d);
    CHECK(count.get()[0] == 448 && sum.get()[0] == 224.0f && last.get()[0] == 447);
}

/* The last block to finish adds up what the others left (a pattern of two-step reductions). */
static __global__ void last_block_kernel(float *out, float *part, unsigned *done)
{
    __shared__ bool last;
    if (threadIdx.x == 0) {
        part[blockIdx.x] = (float)(blockIdx.x + 1);
        __threadfence();
        last = atomicAdd(done, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last || threadIdx.x != 0)
        return;
    __threadfence();
    float sum = 0;
    for (unsigned i = 0; i < gridDim.x; i++)
        sum += part[i];
    *out = sum;
}

static void t_last_block()
{
    buffer<float> out(1), part(9);
    buffer<unsigned> done(1);
    done.zero();
    LAUNCH(last_block_kernel, 9, 32, 0, out.d, part.d, done.d);
    CHECK(out.get()[0] == 45);
}

static __global__ void smem_kernel(float *out)
{
    RS_DYN_SMEM(float, s);
    int n = 60 * 1024 / 4, t = (int)threadIdx.x;
    for (int i = t; i < n; i += 128)
        s[i] = (float)i;
    __syncthreads();
    if (t == 0)
        out[0] = s[n - 1];
}

static void t_dynamic_memory()
{
    buffer<float> o(1);
    LAUNCH(smem_kernel, 2, 128, 60 * 1024, o.d);
    CHECK(o.get()[0] == 60 * 1024 / 4 - 1);
    cudaLaunchConfig_t cfg = {};
    cfg.gridDim = dim3(1);
    cfg.blockDim = dim3(2048);
    cfg.stream = test_context()->compute;
    CHECK(cudaLaunchKernelEx(&cfg, smem_kernel, o.d) == cudaErrorInvalidConfiguration);
    CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration && cudaGetLastError() == cudaSuccess);
    cfg.blockDim = dim3(32);
    cfg.dynamicSmemBytes = 1 << 20;
    CHECK(cudaLaunchKernelEx(&cfg, smem_kernel, o.d) == cudaErrorInvalidValue);
    cudaGetLastError();
}

static __global__ void add_kernel(int *p, int n, int by)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        p[i] += by;
}

/* A ring of two buffers: copies on one stream, kernels on another, joined by events both ways. */
static void t_streams()
{
    enum { N = 1000, ROUNDS = 12 };
    rs_cuctx *c = test_context();
    buffer<int> ring[2] = {buffer<int>(N), buffer<int>(N)};
    buffer<int> sum(N);
    int *host;
    CUDA_OK(cudaMallocHost((void **)&host, ROUNDS * N * sizeof(int)));
    for (int i = 0; i < ROUNDS * N; i++)
        host[i] = i / N;
    cudaEvent_t full[2], empty[2];
    for (int i = 0; i < 2; i++) {
        CUDA_OK(cudaEventCreateWithFlags(&full[i], cudaEventDisableTiming));
        CUDA_OK(cudaEventCreateWithFlags(&empty[i], cudaEventDisableTiming));
    }
    std::vector<std::vector<int>> seen;
    for (int r = 0; r < ROUNDS; r++) {
        int k = r % 2;
        CUDA_OK(cudaStreamWaitEvent(c->copy, empty[k], 0));
        CUDA_OK(cudaMemcpyAsync(ring[k].d, host + r * N, N * sizeof(int), cudaMemcpyHostToDevice,
                                c->copy));
        CUDA_OK(cudaEventRecord(full[k], c->copy));
        CUDA_OK(cudaStreamWaitEvent(c->compute, full[k], 0));
        LAUNCH(add_kernel, 4, 256, 0, ring[k].d, (int)N, 100);
        if (r == ROUNDS - 1)
            seen.push_back(ring[k].get());
        CUDA_OK(cudaEventRecord(empty[k], c->compute));
    }
    CUDA_OK(cudaEventSynchronize(empty[(ROUNDS - 1) % 2]));
    for (int i = 0; i < N; i++)
        CHECK(seen[0][(size_t)i] == ROUNDS - 1 + 100);
    while (cudaStreamQuery(c->copy) == cudaErrorNotReady)
        ;
    for (int i = 0; i < 2; i++) {
        CUDA_OK(cudaEventDestroy(full[i]));
        CUDA_OK(cudaEventDestroy(empty[i]));
    }
    CUDA_OK(cudaDeviceSynchronize());
    CUDA_OK(cudaFreeHost(host));
}

int main()
{
    t_indices();
    t_barriers();
    t_counting_barriers();
    t_warp();
    t_atomics();
    t_last_block();
    t_dynamic_memory();
    t_streams();
    test_context_close();
    printf("runtime: ok\n");
    return 0;
}
