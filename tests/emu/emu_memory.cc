/* Device memory is one arena with red zones between allocations. Where EMU_PROTECT is not 0 the
 * host cannot touch it but while an operation runs. */
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/emu/emu.hh"

#ifdef EMU_ASAN
extern "C" {
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
}
#endif

namespace emu
{
void asan_poison(const void *p, size_t bytes)
{
#ifdef EMU_ASAN
    __asan_poison_memory_region(p, bytes);
#endif
    (void)p, (void)bytes;
}

void asan_unpoison(const void *p, size_t bytes)
{
#ifdef EMU_ASAN
    __asan_unpoison_memory_region(p, bytes);
#endif
    (void)p, (void)bytes;
}

namespace
{
enum { ALIGN = 512, ZONE = 512, ZONE_BYTE = 0xfd };

struct range {
    size_t bytes; /* asked for */
    size_t room;  /* rounded, with the zone behind it */
};

struct arena {
    char *base = nullptr;
    size_t size = 0, top = 0; /* nothing was ever handed out from top on */
    size_t held = 0, limit = 0;
    std::map<char *, range> live;
    std::map<char *, size_t> free; /* start: room */
    int opened = 0;
    bool protect = true;
} g_arena;
std::map<const char *, size_t> g_pinned; /* start: bytes */
std::map<const char *, bool> g_pinned_is_ours;

void arena_make()
{
    arena &a = g_arena;
    if (a.base)
        return;
    a.limit = (size_t)setting("EMU_MEM_MIB", 4096) << 20;
    a.size = a.limit * 2; /* fragments and zones are not the program's fault */
    a.protect = setting("EMU_PROTECT", 1) != 0;
    void *m = mmap(nullptr, a.size, a.protect ? PROT_NONE : PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (m == MAP_FAILED)
        fail("no %zu MiB of address space for device memory", a.size >> 20);
    madvise(m, a.size, MADV_HUGEPAGE);
    a.base = (char *)m;
    a.top = ZONE;
}

void protect(int prot)
{
    arena &a = g_arena;
    if (a.protect && a.base)
        mprotect(a.base, (a.top + 0x1fffff) & ~(size_t)0x1fffff, prot);
}

/* The allocation that p lies in or behind, live.end() where there is none. */
std::map<char *, range>::iterator find(const void *p)
{
    auto it = g_arena.live.upper_bound((char *)p);
    if (it == g_arena.live.begin())
        return g_arena.live.end();
    --it;
    return (const char *)p < it->first + it->second.room ? it : g_arena.live.end();
}

char *take(size_t room)
{
    arena &a = g_arena;
    for (auto it = a.free.begin(); it != a.free.end(); ++it) {
        if (it->second < room)
            continue;
        char *p = it->first;
        size_t left = it->second - room;
        a.free.erase(it);
        if (left > 0)
            a.free[p + room] = left;
        return p;
    }
    if (a.top + room > a.size)
        return nullptr;
    char *p = a.base + a.top;
    a.top += room;
    return p;
}

void zone_check(char *p, const range &r, const char *when)
{
    for (char *z = p + r.bytes; z < p + r.room; z++)
        if ((unsigned char)*z != ZONE_BYTE)
            fail("%s: device memory behind an allocation of %zu bytes was overwritten, %td bytes "
                 "behind its end",
                 when, r.bytes, z - (p + r.bytes));
}

cudaError_t device_alloc(void **out, size_t bytes)
{
    arena_make();
    arena &a = g_arena;
    size_t room = (bytes + ZONE + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (!out || a.held + bytes > a.limit)
        return out ? cudaErrorMemoryAllocation : cudaErrorInvalidValue;
    arena_open(); /* before top grows: it opens what was there */
    char *p = take(room);
    if (!p) {
        arena_close();
        return cudaErrorMemoryAllocation;
    }
    protect(PROT_READ | PROT_WRITE);
    asan_unpoison(p, room);
    memset(p, POISON, bytes);
    memset(p + bytes, ZONE_BYTE, room - bytes);
    asan_poison(p + bytes, room - bytes);
    a.live[p] = {bytes, room};
    a.held += bytes;
    arena_close();
    *out = p;
    return cudaSuccess;
}

void device_free(void *p)
{
    arena &a = g_arena;
    auto it = a.live.find((char *)p);
    if (it == a.live.end())
        fail("cudaFree of %p, which is not the start of an allocation (or was freed)", p);
    arena_open();
    asan_unpoison(p, it->second.room);
    zone_check((char *)p, it->second, "cudaFree");
    memset(p, POISON, it->second.bytes);
    asan_poison(p, it->second.room);
    arena_close();
    a.held -= it->second.bytes;
    char *start = it->first;
    size_t room = it->second.room;
    a.live.erase(it);
    auto next = a.free.lower_bound(start);
    if (next != a.free.end() && next->first == start + room) {
        room += next->second;
        next = a.free.erase(next);
    }
    if (next != a.free.begin()) {
        auto before = std::prev(next);
        if (before->first + before->second == start) {
            before->second += room;
            return;
        }
    }
    a.free[start] = room;
}
} // namespace

bool device_reserve(long long bytes)
{
    guard g(g_lock);
    arena_make();
    if (bytes > 0 && g_arena.held + (size_t)bytes > g_arena.limit)
        return false;
    g_arena.held += (size_t)bytes;
    return true;
}

void arena_open()
{
    if (g_arena.opened++ == 0)
        protect(PROT_READ | PROT_WRITE);
}

void arena_close()
{
    if (--g_arena.opened == 0)
        protect(PROT_NONE);
}

void check_redzones(const char *when)
{
#ifndef EMU_ASAN
    arena_open();
    for (auto &l : g_arena.live)
        zone_check(l.first, l.second, when);
    arena_close();
#endif
    (void)when;
}

where where_is(const void *p)
{
    const char *c = (const char *)p;
    if (g_arena.base && c >= g_arena.base && c < g_arena.base + g_arena.size)
        return OF_DEVICE;
    auto it = g_pinned.upper_bound(c);
    if (it == g_pinned.begin())
        return OF_HOST;
    --it;
    return c < it->first + it->second ? OF_PINNED : OF_HOST;
}

void check_device_range(const char *what, const void *p, size_t bytes)
{
    if (where_is(p) != OF_DEVICE)
        fail("%s: %p is not device memory", what, p);
    auto it = find(p);
    if (it == g_arena.live.end())
        fail("%s: %p is device memory that was freed or never allocated", what, p);
    if ((const char *)p + bytes > it->first + it->second.bytes)
        fail("%s: %zu bytes at %p end %td bytes behind an allocation of %zu", what, bytes, p,
             (const char *)p + bytes - (it->first + it->second.bytes), it->second.bytes);
}

void check_pointer(const void *function, int index, const void *p)
{
    guard g(g_lock);
    if (!p || where_is(p) == OF_PINNED)
        return;
    if (where_is(p) == OF_HOST)
        fail("%s: argument %d is host memory (%p)", function_name(function), index, p);
    if (find(p) == g_arena.live.end())
        fail("%s: argument %d is device memory that was freed or never allocated (%p)",
             function_name(function), index, p);
}
} // namespace emu

using namespace emu;

extern "C" {
cudaError_t cudaMalloc(void **out, size_t bytes)
{
    guard g(g_lock);
    g_counts.allocations++;
    return set_error(device_alloc(out, bytes));
}

cudaError_t cudaFree(void *p)
{
    guard g(g_lock);
    if (!p)
        return cudaSuccess;
    g_counts.allocations++;
    cudaDeviceSynchronize();
    device_free(p);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    guard g(g_lock);
    arena_make();
    *total = g_arena.limit;
    *free = g_arena.limit - g_arena.held;
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned)
{
    guard g(g_lock);
    g_counts.pinned++;
    void *p = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);
    if (!p)
        return set_error(cudaErrorMemoryAllocation);
    memset(p, POISON, bytes);
    g_pinned[(char *)p] = bytes;
    g_pinned_is_ours[(char *)p] = true;
    *out = p;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    return cudaHostAlloc(out, bytes, 0);
}

cudaError_t cudaFreeHost(void *p)
{
    guard g(g_lock);
    if (!p)
        return cudaSuccess;
    if (!g_pinned.count((char *)p) || !g_pinned_is_ours[(char *)p])
        return set_error(cudaErrorInvalidValue);
    g_counts.pinned++;
    cudaDeviceSynchronize();
    g_pinned.erase((char *)p);
    g_pinned_is_ours.erase((char *)p);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned)
{
    guard g(g_lock);
    if (!p || bytes == 0)
        return set_error(cudaErrorInvalidValue);
    if (setting("EMU_REGISTER", 1) == 0)
        return set_error(cudaErrorMemoryAllocation);
    if (where_is(p) != OF_HOST || where_is((char *)p + bytes - 1) != OF_HOST)
        return set_error(cudaErrorHostMemoryAlreadyRegistered);
    g_pinned[(char *)p] = bytes;
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *p)
{
    guard g(g_lock);
    if (!g_pinned.count((char *)p) || g_pinned_is_ours.count((char *)p))
        return set_error(cudaErrorHostMemoryNotRegistered);
    cudaDeviceSynchronize();
    g_pinned.erase((char *)p);
    return cudaSuccess;
}

cudaError_t cudaHostGetDevicePointer(void **out, void *p, unsigned)
{
    guard g(g_lock);
    if (where_is(p) != OF_PINNED)
        return set_error(cudaErrorInvalidValue);
    *out = p;
    return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *a, const void *p)
{
    guard g(g_lock);
    where w = where_is(p);
    memset(a, 0, sizeof *a);
    a->type = w == OF_DEVICE   ? cudaMemoryTypeDevice
              : w == OF_PINNED ? cudaMemoryTypeHost
                               : cudaMemoryTypeUnregistered;
    a->devicePointer = w == OF_HOST ? nullptr : const_cast<void *>(p);
    a->hostPointer = w == OF_DEVICE ? nullptr : const_cast<void *>(p);
    return cudaSuccess;
}
}
