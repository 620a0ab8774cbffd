#include "job/twins.h"

#include "base/log.h"
#include "base/num.h"
#include "base/str.h"
#include "comm/agree.h"
#include "comm/device_data.h"
#include "device/queue.h"
#include "job/job.h"
#include "nn/lane.h"

/* Of 132 multiprocessors of an H100, 108 of an A100: both fit beside each other. */
enum { GATHER_BLOCKS = 16, EXCHANGE_BLOCKS = 32 };

static rs_comm_data_opts gather_opts(rs_device *d)
{
    return (rs_comm_data_opts){.stream = d ? rs_device_queue(d, RS_QUEUE_GATHER) : NULL,
                               .blocks = GATHER_BLOCKS};
}

static rs_comm_data_opts exchange_opts(rs_device *d)
{
    return (rs_comm_data_opts){.stream = d ? rs_device_queue(d, RS_QUEUE_COMPUTE) : NULL,
                               .enqueue = true,
                               .blocks = EXCHANGE_BLOCKS,
                               .share = true};
}

/* Width 1 << i: asked for, or one of those to choose from. */
static bool is_used(const rs_config *c, int i, int64_t most)
{
    int64_t width = rs_session_lanes(c);
    return 1 << i <= most && (width == 0 || width == 1 << i);
}

int64_t rs_twins_bytes(const rs_config *c, int64_t gang, int64_t lane)
{
    rs_comm_data_opts gather = gather_opts(NULL), exchange = exchange_opts(NULL);
    int parts = 0;
    for (int i = 1; i < RS_WIDTHS; i++)
        if (is_used(c, i, lane))
            parts += i > 1 ? 2 : 1; /* the lane, and its half where that is more than one rank */
    return (gang > 1 ? rs_comm_data_bytes(&gather, 0, false) : 0) +
           (parts ? rs_comm_data_bytes(&exchange, parts, true) : 0);
}

static rs_comm *of_several(rs_comm *c)
{
    return c && rs_comm_size(c) > 1 ? c : NULL;
}

/* All of a gang call the same: who is in no lane of a width splits along. */
static rs_status attach_lanes(const rs_world *w, rs_device *d, const rs_config *c)
{
    rs_comm_data_opts o = exchange_opts(d);
    rs_comm *whole = of_several(w->lanes_of_gang);
    if (!whole)
        return RS_OK;
    RS_TRY(rs_comm_attach(whole, &o));
    for (int i = 1; i < RS_WIDTHS; i++) {
        if (!is_used(c, i, rs_comm_size(whole)))
            continue;
        RS_TRY(rs_comm_attach_part(of_several(w->lanes[i].lane), whole, &o));
        if (i > 1)
            RS_TRY(rs_comm_attach_part(of_several(w->lanes[i].half), whole, &o));
    }
    return RS_OK;
}

static rs_status attach_all(const rs_world *w, rs_device *d, const rs_config *c)
{
    rs_comm_data_opts o = gather_opts(d);
    if (of_several(w->gang) && rs_plan_sharded(c))
        RS_TRY(rs_comm_attach(w->gang, &o));
    return attach_lanes(w, d, c);
}

static rs_status warm_all(const rs_world *w, void *scratch)
{
    if (w->gang)
        RS_TRY(rs_comm_data_warm(w->gang, scratch, false));
    for (int i = 1; i < RS_WIDTHS; i++) {
        RS_TRY(rs_comm_data_warm(w->lanes[i].lane, scratch, true));
        RS_TRY(rs_comm_data_warm(w->lanes[i].half, scratch, true));
    }
    return RS_OK;
}

static rs_status warm(const rs_world *w, rs_device *d)
{
    void *scratch;
    size_t ranks = w->gang ? (size_t)rs_comm_size(w->gang) : RS_LANE_MAX;
    RS_TRY(rs_comm_agree(w->comm, rs_device_alloc(d, &scratch, 2 * ranks * RS_COMM_WARM)));
    rs_status st = warm_all(w, scratch);
    rs_device_sync(d);
    rs_device_free(d, scratch);
    return rs_comm_agree(w->comm, st == RS_OK ? rs_device_check(d) : st);
}

rs_status rs_twins_attach(int64_t *taken, const rs_world *w, rs_device *d, const rs_config *c)
{
    size_t before, after, all;
    *taken = 0;
    if (rs_device_host_memory(d) || w->size == 1)
        return RS_OK;
    rs_device_room(d, &before, &all);
    RS_TRY(rs_comm_agree(w->comm, attach_all(w, d, c)));
    RS_TRY(warm(w, d));
    rs_device_room(d, &after, &all);
    *taken = before > after ? (int64_t)(before - after) : 0;
    return RS_OK;
}

void rs_twins_detach(const rs_world *w)
{
    for (int i = 1; i < RS_WIDTHS; i++) {
        rs_comm_detach(w->lanes[i].half);
        rs_comm_detach(w->lanes[i].lane);
    }
    rs_comm_detach(w->lanes_of_gang);
    rs_comm_detach(w->gang);
}
