/* Settings, reports, device facts, errors. */
#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "tests/emu/emu.hh"

namespace emu
{
emu_counts g_counts;

namespace
{
thread_local cudaError_t t_error;
thread_local int t_device;
std::map<const void *, size_t> g_smem_allowed;

ElfW(Addr) base_of_program()
{
    ElfW(Addr) base = 0;
    dl_iterate_phdr(
        [](dl_phdr_info *info, size_t, void *out) {
            *(ElfW(Addr) *)out = info->dlpi_addr;
            return 1; /* the program comes first */
        },
        &base);
    return base;
}
enum { SMEM_DEFAULT = 48 * 1024 };

/* Kernels are often static, so no dynamic symbol has their name: the symbol table of the program
 * has. */
std::string symbol_of(const void *function)
{
    FILE *f = fopen("/proc/self/exe", "rb");
    std::vector<char> elf;
    static char part[1 << 16]; /* not on the small stack of a CUDA thread */
    for (size_t n; f && (n = fread(part, 1, sizeof part, f)) > 0;)
        elf.insert(elf.end(), part, part + n);
    if (f)
        fclose(f);
    ElfW(Addr) at = (ElfW(Addr))function - base_of_program();
    const ElfW(Ehdr) *h = (const ElfW(Ehdr) *)elf.data();
    const ElfW(Shdr) *s = elf.size() > sizeof *h ? (const ElfW(Shdr) *)&elf[h->e_shoff] : nullptr;
    for (int i = 0; s && i < h->e_shnum; i++) {
        if (s[i].sh_type != SHT_SYMTAB)
            continue;
        const ElfW(Sym) *y = (const ElfW(Sym) *)&elf[s[i].sh_offset];
        for (size_t k = 0; k < s[i].sh_size / sizeof *y; k++)
            if (y[k].st_value == at && y[k].st_size > 0)
                return &elf[s[s[i].sh_link].sh_offset + y[k].st_name];
    }
    return "a kernel";
}

const char *choice(const char *name, const char *const *words, int n, int otherwise)
{
    const char *s = getenv(name);
    if (!s)
        return words[otherwise];
    for (int i = 0; i < n; i++)
        if (strcmp(s, words[i]) == 0)
            return words[i];
    fail("%s=%s is not known", name, s);
}
} // namespace

void vfail(const char *fmt, va_list ap)
{
    fprintf(stderr, "emu: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n");
    fflush(stderr);
    abort();
}

void fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfail(fmt, ap);
}

const char *function_name(const void *function)
{
    static char name[256];
    int status = 0;
    std::string symbol = symbol_of(function);
    char *plain = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
    snprintf(name, sizeof name, "%s", plain ? plain : symbol.c_str());
    free(plain);
    return name;
}

long long setting(const char *name, long long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? atoll(s) : otherwise;
}

order order_of_environment()
{
    static const char *const words[] = {"rr", "rev", "rand"};
    const char *w = choice("EMU_ORDER", words, 3, 0);
    return w == words[0] ? ORDER_RR : w == words[1] ? ORDER_REV : ORDER_RAND;
}

stream_mode stream_mode_of_environment()
{
    static const char *const words[] = {"eager", "lazy", "rand"};
    const char *w = choice("EMU_STREAM", words, 3, 2);
    return w == words[0] ? STREAM_EAGER : w == words[1] ? STREAM_LAZY : STREAM_RAND;
}

int sm_of_device()
{
    return (int)setting("EMU_SM", 80);
}

size_t smem_optin_of_device()
{
    return sm_of_device() >= 90 ? 227 * 1024 : 163 * 1024;
}

size_t smem_limit(const void *function)
{
    auto it = g_smem_allowed.find(function);
    return it == g_smem_allowed.end() ? (size_t)SMEM_DEFAULT : it->second;
}

cudaError_t set_error(cudaError_t e)
{
    if (e != cudaSuccess)
        t_error = e;
    return e;
}
} // namespace emu

using namespace emu;

extern "C" {
void emu_count(emu_counts *out)
{
    guard g(g_lock);
    *out = g_counts;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t e = t_error;
    t_error = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void)
{
    return t_error;
}

const char *cudaGetErrorName(cudaError_t e)
{
    switch (e) {
    case cudaSuccess:
        return "cudaSuccess";
    case cudaErrorInvalidValue:
        return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
        return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
        return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice:
        return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
        return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
        return "cudaErrorNotReady";
    case cudaErrorInvalidPitchValue:
        return "cudaErrorInvalidPitchValue";
    case cudaErrorNoDevice:
        return "cudaErrorNoDevice";
    default:
        return "an error of the emulated runtime";
    }
}

const char *cudaGetErrorString(cudaError_t e)
{
    return cudaGetErrorName(e);
}

cudaError_t cudaGetDeviceCount(int *n)
{
    *n = (int)setting("EMU_DEVICES", 8);
    return *n > 0 ? cudaSuccess : set_error(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int d)
{
    int n;
    cudaGetDeviceCount(&n);
    if (d < 0 || d >= n)
        return set_error(cudaErrorInvalidDevice);
    t_device = d;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *d)
{
    *d = t_device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated");
    size_t free;
    cudaMemGetInfo(&free, &p->totalGlobalMem);
    p->major = sm_of_device() / 10;
    p->minor = sm_of_device() % 10;
    p->multiProcessorCount = 3; /* few and odd: grids sized by it stay small and uneven */
    p->warpSize = 32;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->sharedMemPerBlock = SMEM_DEFAULT;
    p->sharedMemPerBlockOptin = smem_optin_of_device();
    p->sharedMemPerMultiprocessor = p->sharedMemPerBlockOptin + 1024;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->l2CacheSize = 1 << 20;
    p->unifiedAddressing = p->canMapHostMemory = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *v, enum cudaDeviceAttr a, int device)
{
    struct cudaDeviceProp p;
    cudaGetDeviceProperties(&p, device);
    switch (a) {
    case cudaDevAttrComputeCapabilityMajor:
        *v = p.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *v = p.minor;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *v = p.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *v = (int)p.sharedMemPerBlockOptin;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *v = p.l2CacheSize;
        return cudaSuccess;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
        *v = 1000000;
        return cudaSuccess;
    case cudaDevAttrGlobalMemoryBusWidth:
        *v = 64;
        return cudaSuccess;
    default:
        fail("cudaDeviceGetAttribute(%d) is not modelled", (int)a);
    }
}

cudaError_t cudaDeviceGetPCIBusId(char *out, int n, int device)
{
    snprintf(out, (size_t)n, "0000:%02x:00.0", device);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *v)
{
    *v = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *v)
{
    *v = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *f, enum cudaFuncAttribute a, int value)
{
    guard g(g_lock);
    if (a == cudaFuncAttributePreferredSharedMemoryCarveout)
        return cudaSuccess;
    if (a != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        (size_t)value > smem_optin_of_device())
        return set_error(cudaErrorInvalidValue);
    g_smem_allowed[f] = (size_t)value > SMEM_DEFAULT ? (size_t)value : (size_t)SMEM_DEFAULT;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *n, const void *, int threads,
                                                          size_t smem)
{
    int by_threads = threads > 0 ? 2048 / threads : 0;
    int by_smem = smem > 0 ? (int)(smem_optin_of_device() / smem) : 32;
    *n = by_threads < by_smem ? by_threads : by_smem;
    return cudaSuccess;
}
}
