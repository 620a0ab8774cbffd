/* What the programs of this folder share: device buffers, launches, checks. Plain CUDA: the same
 * files compile with nvcc and run on a GPU. */
#ifndef RS_TESTS_EMU_CHECK_CUH
#define RS_TESTS_EMU_CHECK_CUH

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/cuda/launch.cuh"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #cond);                                      \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define CUDA_OK(call) check_cuda((call), #call, __FILE__, __LINE__)

static inline void check_cuda(cudaError_t e, const char *call, const char *file, int line)
{
    if (e == cudaSuccess)
        return;
    printf("%s:%d: %s: %s\n", file, line, call, cudaGetErrorString(e));
    exit(1);
}

static inline void launch_failed(void *, const char *what, const char *why)
{
    printf("launch of %s: %s\n", what, why);
    exit(1);
}

static inline rs_cuctx *test_context()
{
    static rs_cuctx c = {};
    if (!c.compute) {
        CUDA_OK(cudaStreamCreateWithFlags(&c.compute, cudaStreamNonBlocking));
        CUDA_OK(cudaStreamCreateWithFlags(&c.copy, cudaStreamNonBlocking));
        CUDA_OK(cudaStreamCreateWithFlags(&c.gather, cudaStreamNonBlocking));
        c.failed = launch_failed;
    }
    return &c;
}

static inline void test_context_close()
{
    rs_cuctx *c = test_context();
    CUDA_OK(cudaStreamDestroy(c->compute));
    CUDA_OK(cudaStreamDestroy(c->copy));
    CUDA_OK(cudaStreamDestroy(c->gather));
}

template <typename T> struct buffer {
    T *d = nullptr;
    size_t n;
    explicit buffer(size_t count) : n(count)
    {
        CUDA_OK(cudaMalloc((void **)&d, n * sizeof(T)));
    }
    explicit buffer(const std::vector<T> &h) : buffer(h.size())
    {
        put(h);
    }
    buffer(const buffer &) = delete;
    ~buffer()
    {
        cudaFree(d);
    }
    void put(const std::vector<T> &h)
    {
        cudaStream_t s = test_context()->compute;
        CUDA_OK(cudaMemcpyAsync(d, h.data(), n * sizeof(T), cudaMemcpyHostToDevice, s));
    }
    std::vector<T> get() const
    {
        std::vector<T> h(n);
        cudaStream_t s = test_context()->compute;
        CUDA_OK(cudaMemcpyAsync(h.data(), d, n * sizeof(T), cudaMemcpyDeviceToHost, s));
        CUDA_OK(cudaStreamSynchronize(s));
        return h;
    }
    void zero()
    {
        CUDA_OK(cudaMemsetAsync(d, 0, n * sizeof(T), test_context()->compute));
    }
};

#define LAUNCH(kernel, grid, block, smem, ...)                                                     \
    rs_launch(test_context(), #kernel, kernel, dim3(grid), dim3(block), smem, __VA_ARGS__)

#endif
