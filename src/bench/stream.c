#include "bench/stream.h"

#include "base/log.h"
#include "base/num.h"
#include "bench/subject.h"
#include "comm/agree.h"

enum { TEXT_ROWS = 20 };

typedef struct bench {
    const rs_stream_opts *o;
    rs_comm *c;
    rs_arena *arena;
    rs_device *d;
    rs_subject mapped, sharded;
    int64_t grid[3];
    double *seconds[2]; /* (steps) of the slowest rank: mapped, sharded */
} bench;

static rs_status open_side(rs_subject *s, bench *b, const rs_denoiser_opts *opts)
{
    rs_subject_opts o = {.model = b->o->model,
                         .denoiser = *opts,
                         .grid = {b->grid[0], b->grid[1], b->grid[2]},
                         .rank = b->o->rank,
                         .text_rows = TEXT_ROWS,
                         .training = true};
    return rs_subject_open(s, b->arena, b->d, &o);
}

static rs_status verify(bench *b)
{
    float mapped, sharded;
    RS_TRY(rs_subject_train(&b->mapped, &mapped));
    RS_TRY(rs_subject_train(&b->sharded, &sharded));
    if (mapped != sharded || !rs_subject_same_gradients(&b->mapped, &b->sharded))
        return RS_FAIL(NUMERIC, "loss or gradients differ: %g mapped, %g sharded", (double)mapped,
                       (double)sharded);
    return RS_OK;
}

/* One step of each home; kept is the slowest rank's time. */
static rs_status time_pair(bench *b, int64_t i)
{
    rs_subject *sides[2] = {&b->mapped, &b->sharded};
    for (int k = 0; k < 2; k++) {
        float loss;
        RS_TRY(rs_comm_barrier(b->c, "step begins"));
        double begin = rs_now();
        RS_TRY(rs_subject_train(sides[k], &loss));
        double own = rs_now() - begin;
        RS_TRY(rs_comm_allreduce(&b->seconds[k][i], b->c, &own, 1, RS_COMM_F64, RS_COMM_MAX,
                                 "slowest rank"));
    }
    return RS_OK;
}

static void fill(rs_stream_rate *out, bench *b, const rs_wstream_stats *before)
{
    const rs_denoiser_info *i = rs_denoiser_get_info(b->sharded.m);
    rs_wstream_stats t = rs_denoiser_stream_stats(b->sharded.m);
    double n = (double)b->o->steps, *ratios = RS_NEW(b->arena, double, b->o->steps);
    for (int64_t k = 0; k < b->o->steps; k++)
        ratios[k] = b->seconds[1][k] / b->seconds[0][k];
    *out = (rs_stream_rate){
        .tokens = b->grid[0] * b->grid[1] * b->grid[2],
        .blocks = i->blocks,
        .params = i->params,
        .mapped = rs_spread_of(b->seconds[0], b->o->steps, b->arena),
        .sharded = rs_spread_of(b->seconds[1], b->o->steps, b->arena),
        .ratio = rs_spread_of(ratios, b->o->steps, b->arena).median,
        .mapped_bytes = (int64_t)rs_denoiser_weight_bytes(b->mapped.m),
        .sharded_bytes = (int64_t)rs_denoiser_weight_bytes(b->sharded.m),
        .bytes_read = t.bytes_read,
        .gathered_step = (double)(t.bytes_gathered - before->bytes_gathered) / n,
        .gather_s = (t.gather_s - before->gather_s) / n,
        .exposed_s = (t.exposed_s - before->exposed_s) / n,
        .boundary_s = (t.boundary_s - before->boundary_s) / n,
    };
}

static rs_status measure(rs_stream_rate *out, bench *b, rs_comm *gang)
{
    rs_denoiser_opts mapped = {.home = RS_HOME_MAPPED},
                     sharded = {.home = RS_HOME_SHARDED, .gang = gang};
    RS_TRY(rs_comm_agree(b->c, open_side(&b->mapped, b, &mapped)));
    RS_TRY(rs_comm_agree(b->c, open_side(&b->sharded, b, &sharded)));
    rs_denoiser_join(b->sharded.m);
    RS_TRY(rs_comm_barrier(b->c, "all have joined"));
    RS_TRY(rs_comm_agree(b->c, verify(b)));
    rs_wstream_stats before = rs_denoiser_stream_stats(b->sharded.m);
    for (int64_t i = 0; i < b->o->steps; i++)
        RS_TRY(time_pair(b, i));
    rs_denoiser_leave(b->sharded.m);
    fill(out, b, &before);
    return RS_OK;
}

rs_status rs_stream_measure(rs_stream_rate *out, rs_comm *c, const rs_stream_opts *o)
{
    rs_comm *gang = NULL;
    bench b = {.o = o, .c = c, .arena = rs_arena_create()};
    rs_subject_grid(b.grid, o->tokens);
    rs_device_opts device = {.threads = rs_i32(o->threads)};
    for (int k = 0; k < 2; k++)
        b.seconds[k] = RS_NEW(b.arena, double, o->steps);
    rs_status st = rs_comm_split(&gang, c, 0, rs_comm_rank(c), "gang");
    if (st == RS_OK)
        st = rs_comm_agree(c, rs_device_open(&b.d, &device));
    if (st == RS_OK)
        st = measure(out, &b, gang);
    if (st == RS_PEER) /* closing would wait for ranks that are gone */
        return st;
    rs_subject_close(&b.sharded);
    rs_subject_close(&b.mapped);
    rs_device_destroy(&b.d);
    rs_comm_close(&gang);
    rs_arena_destroy(&b.arena);
    return st;
}
