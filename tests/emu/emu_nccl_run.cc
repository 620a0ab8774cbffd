/* What NCCL's kernels do, over MPI messages between host copies: MPI moves data in any call of any
 * thread, when device memory is closed. A header travels in front of each message and is compared,
 * so ranks that are in different calls are reported. Sums go in rank order and are rounded to their
 * type at every hop. */
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <cstring>
#include <ctime>

#include "tests/emu/emu_nccl.hh"

namespace emu
{
namespace
{
enum { TAG_POINT = 0xffff, TAG_MEET = 0xfffe, TAG_EXCHANGE = 0xfffd, SEQS = 0xfff0 };

struct header {
    int kind, root;
    unsigned seq;
    int type;
    uint64_t count;
};

double now()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int tag_of(const ncclComm *c, unsigned what)
{
    return c->id << 16 | (int)what;
}

/* A message under way. */
struct message {
    MPI_Request request = MPI_REQUEST_NULL;
    std::vector<char> data;
    int peer = 0; /* of the communicator */
    bool in = false;
    size_t call = 0; /* of the item */
};

struct nccl_item final : item {
    std::vector<nccl_call> calls;
    unsigned number = 0;
    bool started = false;
    double since = 0;
    std::vector<message> messages;
    std::vector<char> own; /* allreduce: this rank's part */

    ncclComm *comm()
    {
        return calls[0].comm;
    }
    size_t bytes(const nccl_call &c)
    {
        return c.count * nccl_size(c.type);
    }
    int tag(const nccl_call &c)
    {
        bool point = c.kind == NCCL_SEND || c.kind == NCCL_RECV;
        return tag_of(c.comm, point ? (unsigned)TAG_POINT : number % SEQS);
    }
    header header_of(const nccl_call &c)
    {
        int kind = c.kind == NCCL_RECV ? NCCL_SEND : c.kind;
        return {kind, kind == NCCL_SEND ? 0 : c.peer, number, (int)c.type, c.count};
    }

    void post(size_t call, int peer, bool in)
    {
        const nccl_call &c = calls[call];
        messages.emplace_back();
        message &m = messages.back();
        m.peer = peer;
        m.in = in;
        m.call = call;
        m.data.resize(sizeof(header) + bytes(c));
        int to = c.comm->world[(size_t)peer];
        if (in) {
            MPI_Irecv(m.data.data(), (int)m.data.size(), MPI_BYTE, to, tag(c), MPI_COMM_WORLD,
                      &m.request);
            return;
        }
        header h = header_of(c);
        memcpy(m.data.data(), &h, sizeof h);
        memcpy(m.data.data() + sizeof h, c.src, bytes(c));
        MPI_Isend(m.data.data(), (int)m.data.size(), MPI_BYTE, to, tag(c), MPI_COMM_WORLD,
                  &m.request);
    }

    void post_call(size_t i)
    {
        const nccl_call &c = calls[i];
        int ranks = (int)c.comm->world.size();
        if (c.kind == NCCL_SEND || c.kind == NCCL_RECV) {
            post(i, c.peer, c.kind == NCCL_RECV);
            return;
        }
        for (int r = 0; r < ranks; r++) {
            if (r == c.comm->rank)
                continue;
            if (c.kind != NCCL_BROADCAST || c.comm->rank == c.peer)
                post(i, r, false);
            if (c.kind != NCCL_BROADCAST || r == c.peer)
                post(i, r, true);
        }
    }

    /* Results are not there yet: whoever reads them now sees poison. */
    void own_part(const nccl_call &c)
    {
        size_t n = bytes(c), ranks = c.comm->world.size();
        std::vector<char> mine;
        if (c.kind == NCCL_ALLGATHER || c.kind == NCCL_ALLREDUCE || c.comm->rank == c.peer)
            mine.assign(n, 0);
        if (c.kind == NCCL_SEND || c.kind == NCCL_RECV) {
            if (c.kind == NCCL_RECV)
                memset(c.dst, POISON, n);
            return;
        }
        if (!mine.empty())
            memcpy(mine.data(), c.src, n);
        memset(c.dst, POISON, c.kind == NCCL_ALLGATHER ? n * ranks : n);
        if (c.kind == NCCL_ALLGATHER)
            memcpy(c.dst + (size_t)c.comm->rank * n, mine.data(), n);
        else if (c.kind == NCCL_BROADCAST && !mine.empty())
            memcpy(c.dst, mine.data(), n);
        else if (c.kind == NCCL_ALLREDUCE)
            own = mine;
    }

    void compare(const message &m)
    {
        header got, want = header_of(calls[m.call]);
        memcpy(&got, m.data.data(), sizeof got);
        if (memcmp(&got, &want, sizeof got) != 0)
            fail("nccl: rank %d is in %s %u of %llu elements of type %d, root %d; this rank %d in "
                 "%s %u of %llu elements of type %d, root %d",
                 m.peer, nccl_kind_name(got.kind), got.seq, (unsigned long long)got.count, got.type,
                 got.root, comm()->rank, nccl_kind_name(want.kind), want.seq,
                 (unsigned long long)want.count, want.type, want.root);
    }

    bool arrived(message &m)
    {
        int done = 0;
        MPI_Status st;
        if (m.request == MPI_REQUEST_NULL)
            return true;
        MPI_Test(&m.request, &done, &st);
        if (done && m.in) {
            int n = 0;
            MPI_Get_count(&st, MPI_BYTE, &n);
            if (n != (int)m.data.size())
                m.data.resize(sizeof(header)); /* the header says why */
            compare(m);
        }
        return done;
    }

    template <typename T, typename Wide> void add(T *sum, const T *x, size_t n)
    {
        for (size_t i = 0; i < n; i++)
            sum[i] = (T)((Wide)sum[i] + (Wide)x[i]);
    }

    void add_bf16(uint16_t *sum, const uint16_t *x, size_t n)
    {
        for (size_t i = 0; i < n; i++) {
            uint32_t a = (uint32_t)sum[i] << 16, b = (uint32_t)x[i] << 16, w;
            float f, g;
            memcpy(&f, &a, sizeof f);
            memcpy(&g, &b, sizeof g);
            f += g;
            memcpy(&w, &f, sizeof w);
            sum[i] = f != f ? (uint16_t)0x7fff : (uint16_t)((w + 0x7fff + (w >> 16 & 1)) >> 16);
        }
    }

    void reduce(const nccl_call &c)
    {
        std::vector<char> sum;
        for (int r = 0; r < (int)c.comm->world.size(); r++) {
            const char *x = own.data();
            for (const message &m : messages)
                if (m.in && m.peer == r)
                    x = m.data.data() + sizeof(header);
            if (r == 0)
                sum.assign(x, x + bytes(c));
            else if (c.type == ncclFloat32)
                add<float, float>((float *)sum.data(), (const float *)x, c.count);
            else if (c.type == ncclFloat64)
                add<double, double>((double *)sum.data(), (const double *)x, c.count);
            else
                add_bf16((uint16_t *)sum.data(), (const uint16_t *)x, c.count);
        }
        memcpy(c.dst, sum.data(), sum.size());
    }

    void deliver(const message &m)
    {
        const nccl_call &c = calls[m.call];
        char *at = c.dst + (c.kind == NCCL_ALLGATHER ? (size_t)m.peer * bytes(c) : 0);
        memcpy(at, m.data.data() + sizeof(header), bytes(c));
    }

    bool run() override
    {
        if (comm()->aborted)
            return over();
        if (!started) {
            started = true;
            since = now();
            for (size_t i = 0; i < calls.size(); i++)
                post_call(i);
            for (const nccl_call &c : calls)
                own_part(c);
        }
        bool all = true;
        for (message &m : messages)
            all = arrived(m) && all;
        if (!all) {
            if (now() - since > (double)setting("EMU_NCCL_TIMEOUT", 600))
                fail("nccl: rank %d waits for others in %s %u", comm()->rank,
                     nccl_kind_name(calls[0].kind), number);
            return false;
        }
        for (const message &m : messages)
            if (m.in && calls[m.call].kind != NCCL_ALLREDUCE)
                deliver(m);
        if (calls[0].kind == NCCL_ALLREDUCE)
            reduce(calls[0]);
        return over();
    }

    /* Aborted: messages stay where MPI may still touch them. */
    bool over()
    {
        if (comm()->aborted && started)
            new std::vector<message>(std::move(messages));
        comm()->under_way--;
        return true;
    }
};

/* Until the requests are done; false if the communicator was aborted meanwhile. */
bool wait_all(ncclComm *c, std::vector<MPI_Request> &r)
{
    for (;;) {
        int done = 0;
        MPI_Testall((int)r.size(), r.data(), &done, MPI_STATUSES_IGNORE);
        if (done)
            return true;
        if (c->aborted)
            return false;
        breathe();
    }
}
} // namespace

int nccl_world_rank()
{
    int on = 0, rank = 0;
    MPI_Initialized(&on);
    if (on)
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank;
}

void nccl_launch(const std::vector<nccl_call> &calls, unsigned seq)
{
    nccl_item *i = new nccl_item;
    i->calls = calls;
    i->number = seq;
    i->comm()->under_way++;
    engine_start();
    enqueue(calls[0].stream, i);
}

bool nccl_exchange(ncclComm *c, const void *mine, void *all, int bytes)
{
    std::vector<MPI_Request> r;
    memcpy((char *)all + c->rank * bytes, mine, (size_t)bytes);
    for (int i = 0; i < (int)c->world.size(); i++) {
        if (i == c->rank)
            continue;
        r.resize(r.size() + 2);
        MPI_Isend(mine, bytes, MPI_BYTE, c->world[(size_t)i], tag_of(c, TAG_EXCHANGE),
                  MPI_COMM_WORLD, &r[r.size() - 2]);
        MPI_Irecv((char *)all + i * bytes, bytes, MPI_BYTE, c->world[(size_t)i],
                  tag_of(c, TAG_EXCHANGE), MPI_COMM_WORLD, &r[r.size() - 1]);
    }
    return wait_all(c, r);
}

bool nccl_meet(ncclComm *c, int ranks, int maker)
{
    int me = nccl_world_rank(), tag = tag_of(c, TAG_MEET);
    c->world.assign((size_t)ranks, me);
    if (ranks == 1)
        return true;
    struct who {
        int rank, world;
    } mine = {c->rank, me};
    std::vector<MPI_Request> r;
    if (me != maker) {
        r.resize(2);
        MPI_Isend(&mine, sizeof mine, MPI_BYTE, maker, tag, MPI_COMM_WORLD, &r[0]);
        MPI_Irecv(c->world.data(), ranks, MPI_INT, maker, tag, MPI_COMM_WORLD, &r[1]);
        return wait_all(c, r);
    }
    std::vector<who> others((size_t)ranks - 1);
    for (who &w : others) {
        r.resize(1);
        MPI_Irecv(&w, sizeof w, MPI_BYTE, MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &r[0]);
        if (!wait_all(c, r))
            return false;
        if (w.rank < 0 || w.rank >= ranks || w.rank == c->rank)
            fail("nccl: init: two ranks say that they are rank %d of %d", w.rank, ranks);
        c->world[(size_t)w.rank] = w.world;
    }
    r.clear();
    for (const who &w : others) {
        r.emplace_back();
        MPI_Isend(c->world.data(), ranks, MPI_INT, w.world, tag, MPI_COMM_WORLD, &r.back());
    }
    return wait_all(c, r);
}
} // namespace emu
