/* NCCL's functions: checks, groups, communicators. What is not modelled has no symbol here, or is
 * refused by name. Collectives are stream operations over MPI messages (emu_nccl_run.cc), so a rank
 * that does not come leaves the others waiting, as on a GPU. */
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "tests/emu/emu_nccl.hh"

using namespace emu;

namespace
{
enum { RANKS = 64, SERIALS = 256 };
std::set<int> g_ids; /* made here and alive */
int g_serial;
thread_local int t_depth;
thread_local std::vector<nccl_call> t_group;

struct id_text {
    char magic[8];
    int maker, id;
};
const char MAGIC[8] = "EMUNCCL";

/* Unique over all ranks while it is alive. */
int new_id()
{
    if (nccl_world_rank() >= RANKS)
        fail("nccl: more than %d ranks are not modelled", RANKS);
    for (int i = 0; i < SERIALS; i++) {
        int id = nccl_world_rank() * SERIALS + (g_serial++ % SERIALS);
        if (g_ids.insert(id).second)
            return id;
    }
    fail("nccl: more than %d communicators made by one rank", SERIALS);
}

/* What this rank does, line by line, in EMU_NCCL_LOG.RANK. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_line(const char *fmt, ...)
{
    static FILE *file;
    const char *name = getenv("EMU_NCCL_LOG");
    if (!name || !*name)
        return;
    if (!file)
        file = fopen((std::string(name) + "." + std::to_string(nccl_world_rank())).c_str(), "w");
    va_list ap;
    va_start(ap, fmt);
    vfprintf(file, fmt, ap);
    va_end(ap);
    fflush(file);
}

/* Bytes as of NCCL 2: a communicator by itself, and the buffers of its three protocols per channel:
 * for rings when it is made, for sends and receives with the first of these. */
const long long OWN = 8ll << 20, CHANNEL = (512ll << 10) + 4915200 + (4ll << 20);

bool connect(emu_links &l, bool point)
{
    long long bytes = l.channels * CHANNEL;
    if (point && l.point)
        return true;
    if (!device_reserve(bytes))
        return false;
    l.point = l.point || point;
    l.bytes += bytes;
    return true;
}

bool make_links(ncclComm *c, const ncclConfig_t *config, const ncclComm *parent)
{
    bool set = config && config->maxCTAs != NCCL_CONFIG_UNDEF_INT;
    bool share = parent && config && config->splitShare == 1;
    log_line("make %d of %zu ranks%s\n", c->id, c->world.size(), share ? ", shared" : "");
    if (!device_reserve(OWN))
        return false;
    if (share) {
        c->links = parent->links;
        return true;
    }
    c->links = std::make_shared<emu_links>();
    c->links->channels = set ? config->maxCTAs : 32;
    return c->world.size() == 1 || connect(*c->links, false);
}

void check_range(const nccl_call &c, const void *p, size_t bytes)
{
    if (bytes > 0)
        check_device_range(nccl_kind_name(c.kind), p, bytes);
}

bool overlap(const char *a, size_t n, const char *b, size_t m)
{
    return a < b + m && b < a + n;
}

void check(const nccl_call &c)
{
    size_t bytes = c.count * nccl_size(c.type), ranks = c.comm->world.size();
    if (c.kind != NCCL_RECV)
        check_range(c, c.src, bytes);
    if (c.kind == NCCL_ALLGATHER) {
        check_range(c, c.dst, bytes * ranks);
        const char *own = c.dst + (size_t)c.comm->rank * bytes;
        if (c.src != own && overlap(c.src, bytes, c.dst, bytes * ranks))
            fail("allgather: src lies in dst, but not at this rank's place");
    } else if (c.kind != NCCL_SEND) {
        check_range(c, c.dst, bytes);
    }
    if ((c.kind == NCCL_BROADCAST || c.kind == NCCL_ALLREDUCE) && c.src != c.dst &&
        overlap(c.src, bytes, c.dst, bytes))
        fail("%s: src and dst overlap", nccl_kind_name(c.kind));
}

/* Collectives in their order, all sends and receives of a communicator and stream together. */
void flush()
{
    while (!t_group.empty()) {
        std::vector<nccl_call> now, later;
        nccl_call first = t_group[0];
        bool point = first.kind == NCCL_SEND || first.kind == NCCL_RECV;
        for (const nccl_call &c : t_group) {
            bool p = c.kind == NCCL_SEND || c.kind == NCCL_RECV;
            bool with = point && p && c.comm == first.comm && c.stream == first.stream;
            (now.empty() || with ? now : later).push_back(c);
        }
        t_group = later;
        if (point && !connect(*first.comm->links, true))
            fail("nccl: no device memory for sends and receives");
        log_line("run %d %s\n", first.comm->id, point ? "exchange" : nccl_kind_name(first.kind));
        nccl_launch(now, point ? 0 : first.comm->seq++);
    }
}

ncclResult_t call(nccl_kind kind, const void *src, void *dst, size_t count, ncclDataType_t type,
                  int peer, ncclComm_t comm, cudaStream_t stream)
{
    guard g(g_lock);
    if (!comm || nccl_size(type) == 0 || peer < 0 || peer >= (int)comm->world.size())
        return ncclInvalidArgument;
    int device;
    cudaGetDevice(&device);
    if (device != comm->device)
        fail("nccl: %s on device %d, its communicator is of device %d", nccl_kind_name(kind),
             device, comm->device);
    nccl_call c = {kind, comm, stream, (const char *)src, (char *)dst, count, type, peer};
    check(c);
    t_group.push_back(c);
    if (t_depth == 0)
        flush();
    return ncclSuccess;
}

ncclComm *comm_new()
{
    ncclComm *c = new ncclComm;
    cudaGetDevice(&c->device);
    return c;
}
} // namespace

emu_links::~emu_links()
{
    device_reserve(-bytes);
}

namespace emu
{
const char *nccl_kind_name(int kind)
{
    static const char *const names[] = {"allgather", "broadcast", "allreduce", "send", "receive"};
    return kind >= 0 && kind < 5 ? names[kind] : "something else";
}

size_t nccl_size(ncclDataType_t t)
{
    switch (t) {
    case ncclInt8:
    case ncclUint8:
        return 1;
    case ncclBfloat16:
    case ncclFloat16:
        return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
        return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
        return 8;
    default:
        return 0;
    }
}
} // namespace emu

extern "C" {
ncclResult_t ncclGetVersion(int *v)
{
    *v = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t r)
{
    return r == ncclSuccess           ? "no error"
           : r == ncclInvalidArgument ? "invalid argument"
           : r == ncclRemoteError     ? "remote process exited or there was a network error"
                                      : "an error of the emulated NCCL";
}

const char *ncclGetLastError(ncclComm_t)
{
    return "";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *out)
{
    guard g(g_lock);
    id_text t;
    memcpy(t.magic, MAGIC, sizeof t.magic);
    t.maker = nccl_world_rank();
    t.id = new_id();
    memset(out, 0, sizeof *out);
    memcpy(out->internal, &t, sizeof t);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    guard g(g_lock);
    id_text t;
    memcpy(&t, id.internal, sizeof t);
    if (memcmp(t.magic, MAGIC, sizeof MAGIC) != 0 || rank < 0 || rank >= ranks)
        return ncclInvalidArgument;
    ncclComm *c = comm_new();
    c->id = t.id;
    c->rank = rank;
    *out = c; /* before it is complete: it may be aborted meanwhile */
    if (!nccl_meet(c, ranks, t.maker))
        return ncclRemoteError;
    return make_links(c, config, nullptr) ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int ranks, ncclUniqueId id, int rank)
{
    return ncclCommInitRankConfig(out, ranks, id, rank, nullptr);
}

ncclResult_t ncclCommSplit(ncclComm_t of, int color, int key, ncclComm_t *out, ncclConfig_t *config)
{
    guard g(g_lock);
    struct entry {
        int color, key, rank, id;
    } mine = {color, key, of->rank, new_id()};
    std::vector<entry> all(of->world.size());
    if (!nccl_exchange(of, &mine, all.data(), sizeof mine))
        return ncclRemoteError;
    *out = nullptr;
    if (color == NCCL_SPLIT_NOCOLOR) {
        g_ids.erase(mine.id);
        return ncclSuccess;
    }
    ncclComm *c = comm_new();
    std::vector<entry> part;
    for (const entry &e : all)
        if (e.color == color) {
            auto at = part.begin();
            while (at != part.end() && at->key <= e.key) /* equal keys: by rank */
                ++at;
            part.insert(at, e);
        }
    for (size_t i = 0; i < part.size(); i++) {
        c->world.push_back(of->world[(size_t)part[i].rank]);
        if (part[i].rank == of->rank)
            c->rank = (int)i;
    }
    c->id = part[0].id;
    if (c->id != mine.id)
        g_ids.erase(mine.id);
    *out = c;
    return make_links(c, config, of) ? ncclSuccess : ncclUnhandledCudaError;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *r)
{
    *r = c && c->aborted ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t c)
{
    guard g(g_lock);
    if (c->under_way > 0)
        fail("nccl: finalized with %d operations under way", c->under_way.load());
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    guard g(g_lock);
    if (c->under_way > 0)
        fail("nccl: destroyed with %d operations under way", c->under_way.load());
    g_ids.erase(c->id);
    device_reserve(-OWN);
    delete c;
    return ncclSuccess;
}

/* Takes no lock: the thread that waits for the collective has it. Items of an aborted communicator
 * end by themselves, and hold its address: it is not freed. */
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    c->aborted = true;
    return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t c, int *n)
{
    *n = (int)c->world.size();
    return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t c, int *r)
{
    *r = c->rank;
    return ncclSuccess;
}

ncclResult_t ncclGroupStart(void)
{
    t_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    guard g(g_lock);
    if (t_depth == 0)
        return ncclInvalidUsage;
    if (--t_depth == 0)
        flush();
    return ncclSuccess;
}

ncclResult_t ncclAllGather(const void *src, void *dst, size_t n, ncclDataType_t type, ncclComm_t c,
                           cudaStream_t s)
{
    return call(NCCL_ALLGATHER, src, dst, n, type, 0, c, s);
}

ncclResult_t ncclBroadcast(const void *src, void *dst, size_t n, ncclDataType_t type, int root,
                           ncclComm_t c, cudaStream_t s)
{
    return call(NCCL_BROADCAST, src, dst, n, type, root, c, s);
}

ncclResult_t ncclAllReduce(const void *src, void *dst, size_t n, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t c, cudaStream_t s)
{
    if (op != ncclSum || (type != ncclFloat32 && type != ncclFloat64 && type != ncclBfloat16))
        fail("nccl: only sums of floats are modelled in allreduce");
    return call(NCCL_ALLREDUCE, src, dst, n, type, 0, c, s);
}

ncclResult_t ncclSend(const void *src, size_t n, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t s)
{
    return call(NCCL_SEND, src, nullptr, n, type, peer, c, s);
}

ncclResult_t ncclRecv(void *dst, size_t n, ncclDataType_t type, int peer, ncclComm_t c,
                      cudaStream_t s)
{
    return call(NCCL_RECV, nullptr, dst, n, type, peer, c, s);
}
}
