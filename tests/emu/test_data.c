/* Twins of communicators (comm/device_data.h) on the emulated GPU and NCCL: one rank of a world
 * that mpirun starts. `emu_data hang`: rank 1 stays away from a collective; the watchdog must say
 * so. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "comm/agree.h"
#include "comm/device_data.h"
#include "comm/watchdog.h"
#include "device/queue.h"

enum { BYTES = 4096 };

typedef struct fixture {
    rs_comm *world;
    rs_device *d;
    char *dev[2]; /* device memory */
    int rank, size;
} fixture;

static char pattern(int from, int to, size_t i)
{
    return (char)(from * 37 + to * 11 + (int)(i % 251) + 1);
}

static rs_status expect(bool ok, const char *what)
{
    return ok ? RS_OK : RS_FAIL(NUMERIC, "%s: wrong bytes", what);
}

/* Pieces of unequal sizes, none from rank 0. */
static rs_status gather(fixture *f, rs_comm *c, bool equal)
{
    size_t bytes[16], at = 0, mine = 0;
    char host[BYTES], want[BYTES] = {0};
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    for (int r = 0; r < n; r++) {
        bytes[r] = equal ? 128 : (size_t)(100 * r);
        if (r == me)
            mine = at;
        for (size_t i = 0; i < bytes[r]; i++)
            want[at++] = pattern(r, 0, i);
    }
    rs_device_put(f->d, f->dev[0], want + mine, bytes[me]);
    rs_device_zero(f->d, f->dev[1], BYTES);
    rs_device_sync(f->d);
    RS_TRY(rs_comm_allgather(f->dev[1], rs_comm_data(c), f->dev[0], bytes, "test"));
    rs_device_sync(f->d);
    rs_device_get(f->d, host, f->dev[1], BYTES);
    RS_TRY(expect(memcmp(host, want, BYTES) == 0, "allgather"));
    /* in place */
    rs_device_zero(f->d, f->dev[1], BYTES);
    rs_device_put(f->d, f->dev[1] + mine, want + mine, bytes[me]);
    rs_device_sync(f->d);
    RS_TRY(rs_comm_allgather(f->dev[1], rs_comm_data(c), f->dev[1] + mine, bytes, "test"));
    rs_device_sync(f->d);
    rs_device_get(f->d, host, f->dev[1], BYTES);
    return expect(memcmp(host, want, BYTES) == 0, "allgather in place");
}

static rs_status exchange(fixture *f, rs_comm *c)
{
    size_t out[16], in[16], at = 0, got = 0;
    char send[BYTES], want[BYTES] = {0}, host[BYTES];
    int n = rs_comm_size(c), me = rs_comm_rank(c);
    for (int r = 0; r < n; r++) {
        out[r] = (size_t)(10 * me + 30 * r + 5);
        in[r] = (size_t)(10 * r + 30 * me + 5);
        for (size_t i = 0; i < out[r]; i++)
            send[at++] = pattern(me, r, i);
        for (size_t i = 0; i < in[r]; i++)
            want[got++] = pattern(r, me, i);
    }
    rs_device_put(f->d, f->dev[0], send, at);
    rs_device_zero(f->d, f->dev[1], BYTES);
    rs_device_sync(f->d);
    RS_TRY(rs_comm_alltoall(f->dev[1], rs_comm_data(c), f->dev[0], in, out, "test"));
    rs_device_sync(f->d);
    rs_device_get(f->d, host, f->dev[1], BYTES);
    return expect(memcmp(host, want, BYTES) == 0, "alltoall");
}

static rs_status broadcast(fixture *f, rs_comm *c, int root)
{
    char want[BYTES], host[BYTES];
    for (size_t i = 0; i < BYTES; i++)
        want[i] = pattern(root, 3, i);
    rs_device_zero(f->d, f->dev[1], BYTES);
    if (rs_comm_rank(c) == root)
        rs_device_put(f->d, f->dev[1], want, BYTES);
    rs_device_sync(f->d);
    RS_TRY(rs_comm_broadcast(f->dev[1], rs_comm_data(c), BYTES, root, "test"));
    rs_device_sync(f->d);
    rs_device_get(f->d, host, f->dev[1], BYTES);
    return expect(memcmp(host, want, BYTES) == 0, "broadcast");
}

static rs_status all_calls(fixture *f, rs_comm *c)
{
    RS_TRY(expect(rs_comm_data(c) != c && strcmp(rs_comm_backend(rs_comm_data(c)), "nccl") == 0,
                  "twin"));
    RS_TRY(gather(f, c, true));
    RS_TRY(gather(f, c, false));
    RS_TRY(exchange(f, c));
    for (int i = 0; i < 70; i++) /* more than are ever under way */
        RS_TRY(broadcast(f, c, i % rs_comm_size(c)));
    return RS_OK;
}

static rs_status calls(fixture *f)
{
    rs_comm *gang, *half;
    rs_comm_data_opts waits = {.stream = rs_device_queue(f->d, RS_QUEUE_GATHER), .blocks = 4};
    rs_comm_data_opts runs = {.stream = rs_device_queue(f->d, RS_QUEUE_COMPUTE), .enqueue = true};
    RS_TRY(rs_comm_attach(f->world, &runs));
    RS_TRY(all_calls(f, f->world));
    RS_TRY(rs_comm_split(&gang, f->world, 0, f->size - f->rank, "gang")); /* in reverse */
    RS_TRY(rs_comm_attach(gang, &waits));
    RS_TRY(all_calls(f, gang));
    RS_TRY(rs_comm_split(&half, f->world, f->rank % 2, f->rank, "half"));
    RS_TRY(rs_comm_attach_part(half, f->world, &runs));
    RS_TRY(all_calls(f, half));
    rs_comm_close(&half);
    rs_comm_close(&gang);
    rs_comm_detach(f->world);
    return rs_device_check(f->d);
}

/* Rank 1 enqueues it, behind a collective to which rank 2 does not come. The others are first to
 * give up. */
static rs_status hang_device(fixture *f)
{
    size_t bytes[16] = {0};
    rs_watchdog *w;
    rs_comm *part;
    rs_comm_data_opts o = {.stream = rs_device_queue(f->d, RS_QUEUE_COMPUTE), .enqueue = true};
    rs_watchdog_opts wait = {.timeout_s = f->rank == 1 ? 60 : 1.5, .exit_code = 41};
    RS_TRY(rs_watchdog_start(&w, f->world, &wait));
    RS_TRY(rs_comm_split(&part, f->world, f->rank > 0, f->rank, "part"));
    RS_TRY(rs_comm_attach(f->world, &o));
    RS_TRY(rs_comm_attach_part(part, f->world, &o));
    for (int r = 0; r < f->size; r++)
        bytes[r] = 64;
    if (f->rank == 1)
        RS_TRY(rs_comm_allgather(f->dev[1], rs_comm_data(part), f->dev[0], bytes, "first"));
    RS_TRY(rs_comm_allgather(f->dev[1], rs_comm_data(f->world), f->dev[0], bytes, "tokens"));
    nanosleep(&(struct timespec){.tv_sec = 20}, NULL);
    return RS_FAIL(INTERNAL, "nobody ended the world");
}

/* Rank 1 does not come. */
static rs_status hang(fixture *f, bool enqueue)
{
    size_t bytes[16] = {0};
    rs_watchdog *w;
    rs_comm_data_opts o = {.stream = rs_device_queue(f->d, RS_QUEUE_COMPUTE), .enqueue = enqueue};
    RS_TRY(rs_watchdog_start(&w, f->world, &(rs_watchdog_opts){.timeout_s = 1.5, .exit_code = 41}));
    RS_TRY(rs_comm_attach(f->world, &o));
    for (int r = 0; r < f->size; r++)
        bytes[r] = 64;
    if (f->rank != 1)
        RS_TRY(rs_comm_allgather(f->dev[1], rs_comm_data(f->world), f->dev[0], bytes, "tokens"));
    nanosleep(&(struct timespec){.tv_sec = 20}, NULL);
    return RS_FAIL(INTERNAL, "nobody ended the world");
}

static rs_status run(fixture *f, const char *mode)
{
    rs_device_opts o = {.backend = "cuda", .threads = 1, .local_rank = rs_comm_local_rank()};
    RS_TRY(rs_device_open(&f->d, &o));
    for (int i = 0; i < 2; i++)
        RS_TRY(rs_device_alloc(f->d, (void **)&f->dev[i], BYTES));
    f->rank = rs_comm_rank(f->world);
    f->size = rs_comm_size(f->world);
    if (strcmp(mode, "hang_device") == 0)
        return hang_device(f);
    if (strncmp(mode, "hang", 4) == 0)
        return hang(f, strcmp(mode, "hang_enqueued") == 0);
    return calls(f);
}

int main(int argc, char **argv)
{
    fixture f = {0};
    rs_status st = rs_comm_open(&f.world, NULL);
    if (st == RS_OK)
        st = rs_comm_agree(f.world, run(&f, argc > 1 ? argv[1] : ""));
    if (st != RS_OK)
        fprintf(stderr, "emu_data: %s\n", rs_error_message());
    else
        printf("rank %d: ok\n", f.rank);
    rs_device_destroy(&f.d);
    rs_comm_close(&f.world);
    return rs_status_exit_code(st);
}
