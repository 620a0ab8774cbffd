/* Copies, fills and launches: what is put into streams. Pageable memory behaves as in CUDA: to the
 * device it is staged at the call, from the device it is waited for. Pinned memory is truly late.
 */
#include <cstring>
#include <vector>

#include "tests/emu/emu.hh"
#include "tests/emu/emu_fiber.hh"

namespace emu
{
namespace
{
struct copy_item final : item {
    void *dst;
    const void *src;
    size_t dst_pitch, src_pitch, width, height;
    std::vector<char> staged;
    bool run() override
    {
        for (size_t r = 0; r < height; r++)
            memcpy((char *)dst + r * dst_pitch, (const char *)src + r * src_pitch, width);
        return true;
    }
};

struct fill_item final : item {
    void *dst;
    int value;
    size_t bytes;
    bool run() override
    {
        memset(dst, value, bytes);
        return true;
    }
};

struct host_item final : item {
    cudaHostFn_t fn;
    void *arg;
    bool run() override
    {
        arena_close();
        fn(arg);
        arena_open();
        return true;
    }
};

struct grid_item final : item {
    grid_job job;
    ~grid_item() override
    {
        delete job.kernel;
    }
    bool run() override
    {
        run_grid(&job);
        return true;
    }
};

size_t extent(size_t pitch, size_t width, size_t height)
{
    return height == 0 ? 0 : (height - 1) * pitch + width;
}

void check_side(const char *what, bool device, const void *p, size_t bytes)
{
    if (device)
        check_device_range(what, p, bytes);
    else if (where_is(p) == OF_DEVICE)
        fail("%s: the kind of copy says host memory, %p is device memory", what, p);
}

cudaError_t copy_2d(copy_item *c, cudaMemcpyKind kind, cudaStream_t s, bool wait)
{
    bool to = where_is(c->dst) == OF_DEVICE, from = where_is(c->src) == OF_DEVICE;
    if (kind != cudaMemcpyDefault) {
        to = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
        from = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    }
    size_t in = extent(c->src_pitch, c->width, c->height);
    check_side("copy to", to, c->dst, extent(c->dst_pitch, c->width, c->height));
    check_side("copy from", from, c->src, in);
    bool pageable_in = !from && where_is(c->src) == OF_HOST;
    bool pageable_out = !to && where_is(c->dst) == OF_HOST;
    if (pageable_in && to) {
        c->staged.assign((const char *)c->src, (const char *)c->src + in);
        c->src = c->staged.data();
    }
    g_counts.copies++;
    g_counts.waits += wait;
    enqueue(s, c);
    return wait || pageable_out ? synchronize(s) : cudaSuccess;
}

cudaError_t copy_1d(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind, cudaStream_t s,
                    bool wait)
{
    guard g(g_lock);
    if (bytes == 0)
        return cudaSuccess;
    copy_item *c = new copy_item;
    c->dst = dst;
    c->src = src;
    c->dst_pitch = c->src_pitch = c->width = bytes;
    c->height = 1;
    return copy_2d(c, kind, s, wait);
}
} // namespace

cudaError_t launch(const cudaLaunchConfig_t *cfg, const void *function, bound_kernel *kernel)
{
    guard g(g_lock);
    dim3 n = cfg->gridDim, b = cfg->blockDim;
    unsigned long long threads = (unsigned long long)b.x * b.y * b.z;
    cudaError_t e = cudaSuccess;
    if (n.x == 0 || n.y == 0 || n.z == 0 || n.x > 0x7fffffffu || n.y > 65535 || n.z > 65535 ||
        threads == 0 || threads > 1024 || b.z > 64)
        e = cudaErrorInvalidConfiguration;
    else if (cfg->dynamicSmemBytes > smem_limit(function) || cfg->numAttrs > 0)
        e = cudaErrorInvalidValue;
    if (e != cudaSuccess) {
        delete kernel;
        return set_error(e);
    }
    g_counts.launches++;
    grid_item *i = new grid_item;
    i->job = {function,
              kernel,
              n,
              b,
              cfg->dynamicSmemBytes,
              order_of_stream(cfg->stream),
              {seed_of_stream(cfg->stream)}};
    return enqueue(cfg->stream, i);
}
} // namespace emu

using namespace emu;

extern "C" {
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t s)
{
    return copy_1d(dst, src, bytes, kind, s, false);
}

cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, enum cudaMemcpyKind kind)
{
    return copy_1d(dst, src, bytes, kind, nullptr, true);
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dpitch, const void *src, size_t spitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind, cudaStream_t s)
{
    guard g(g_lock);
    if (width > dpitch || width > spitch)
        return set_error(cudaErrorInvalidPitchValue);
    if (width * height == 0)
        return cudaSuccess;
    copy_item *c = new copy_item;
    c->dst = dst;
    c->src = src;
    c->dst_pitch = dpitch;
    c->src_pitch = spitch;
    c->width = width;
    c->height = height;
    return copy_2d(c, kind, s, false);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    guard g(g_lock);
    if (bytes == 0)
        return cudaSuccess;
    check_device_range("cudaMemset", p, bytes);
    g_counts.copies++;
    fill_item *f = new fill_item;
    f->dst = p;
    f->value = value;
    f->bytes = bytes;
    return enqueue(s, f);
}

cudaError_t cudaMemset(void *p, int value, size_t bytes)
{
    return cudaMemsetAsync(p, value, bytes, nullptr);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t fn, void *arg)
{
    guard g(g_lock);
    host_item *h = new host_item;
    h->fn = fn;
    h->arg = arg;
    return enqueue(s, h);
}
}
