#include "comm/device_data.h"

#include <stdio.h>

#include "comm/comm_priv.h"

rs_comm *rs_comm_data(rs_comm *c)
{
    return c->data ? c->data : c;
}

void rs_comm_detach(rs_comm *c)
{
    if (c)
        rs_comm_close(&c->data);
}

void rs_comm_data_stop(rs_comm *c)
{
    if (c->data && c->data->ops->stop)
        c->data->ops->stop(c->data);
}

int64_t rs_comm_data_bytes(const rs_comm_data_opts *opts, int parts, bool exchanges)
{
    enum { LL = 512 * 8 * 8 * 16, LL128 = 640 * 120 * 8 * 8, SIMPLE = 4 << 20, OWN = 8 << 20 };
    int64_t blocks = opts->blocks ? opts->blocks : 32;
    return blocks * (LL + LL128 + SIMPLE) * (exchanges ? 2 : 1) + (int64_t)OWN * (1 + parts);
}

static rs_status warm(rs_comm *twin, char *scratch, const size_t *equal, const size_t *unequal,
                      bool exchanges)
{
    char *from = scratch + (size_t)twin->size * RS_COMM_WARM;
    const char *what = "first of its kind";
    RS_TRY(rs_comm_allgather(scratch, twin, from, equal, what));
    RS_TRY(rs_comm_allgather(scratch, twin, from, unequal, what));
    return exchanges ? rs_comm_alltoall(scratch, twin, from, equal, equal, what) : RS_OK;
}

rs_status rs_comm_data_warm(rs_comm *c, void *scratch, bool exchanges)
{
    if (!c || !c->data)
        return RS_OK;
    size_t *bytes = rs_alloc(2 * (size_t)c->size, sizeof *bytes);
    for (int r = 0; r < c->size; r++) {
        bytes[r] = RS_COMM_WARM;
        bytes[c->size + r] = r ? RS_COMM_WARM : RS_COMM_WARM / 2;
    }
    rs_status st = warm(c->data, scratch, bytes, bytes + c->size, exchanges);
    rs_dealloc(bytes);
    return st;
}

/* Shares c's bookkeeping; another id, so that the watchdog tells their calls apart. */
rs_comm *rs_comm_twin_new(rs_comm *c, const rs_comm_ops *ops)
{
    rs_comm *t = rs_alloc(1, sizeof *t);
    t->ops = ops;
    t->shared = c->shared;
    t->quiet = c->quiet;
    t->rank = c->rank;
    t->size = c->size;
    t->world_rank = rs_alloc((size_t)c->size, sizeof(int));
    for (int i = 0; i < c->size; i++)
        t->world_rank[i] = c->world_rank[i];
    t->id = ~c->id;
    snprintf(t->name, sizeof t->name, "%.32s on the device", c->name);
    return t;
}

void rs_comm_twin_list(rs_comm *c, rs_comm *twin)
{
    c->data = twin;
    pthread_mutex_lock(&c->shared->board);
    twin->next = c->shared->comms;
    c->shared->comms = twin;
    pthread_mutex_unlock(&c->shared->board);
}

#ifndef RS_HAVE_NCCL
rs_status rs_comm_attach(rs_comm *c, const rs_comm_data_opts *opts)
{
    (void)c;
    (void)opts;
    return RS_FAIL(DEVICE, "this program was built without NCCL");
}

rs_status rs_comm_attach_part(rs_comm *c, rs_comm *whole, const rs_comm_data_opts *opts)
{
    (void)whole;
    return rs_comm_attach(c, opts);
}

const char *rs_comm_nccl_library(rs_arena *a)
{
    (void)a;
    return "not built into this program";
}
#endif
