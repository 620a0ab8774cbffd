#include "bench/stream.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/num.h"
#include "base/rng.h"
#include "comm/agree.h"
#include "model/model.h"

enum { FRAMES = 4, TEXT_ROWS = 20 };

/* A model with one of the two homes, ready for steps. */
typedef struct side {
    rs_denoiser *m;
    rs_adapter *a;
    rs_denoiser_cond *cond;
} side;

typedef struct bench {
    const rs_stream_opts *o;
    rs_comm *c;
    rs_arena *arena;
    rs_device *d;
    side mapped, sharded;
    int64_t F, H, W;
    rs_tensor x, target;
    double *seconds[2]; /* (steps) of the slowest rank: mapped, sharded */
} bench;

static rs_tensor values(rs_arena *a, const char *name, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(a, ndim, shape);
    rs_fill_rule(rs_f32(t), name, 0, rs_tensor_count(t), 1.0, 0.0);
    return t;
}

static rs_status open_side(side *s, bench *b, const rs_denoiser_opts *opts)
{
    int n;
    const float one = 1.0f;
    const char *const *targets = rs_adapter_default_targets(&n);
    RS_TRY(rs_denoiser_open(&s->m, b->d, b->o->model, opts));
    const rs_denoiser_info *i = rs_denoiser_get_info(s->m);
    rs_tensor y = {0}, image = {0};
    int64_t side_cells = (int64_t)ceil(sqrt((double)b->o->tokens / FRAMES));
    b->F = FRAMES * i->patch[0];
    b->H = side_cells * i->patch[1];
    b->W = side_cells * i->patch[2];
    if (i->cond_channels > 0)
        y = values(b->arena, "y", RS_SHAPE(i->cond_channels, b->F, b->H, b->W));
    if (i->image_dim > 0)
        image = values(b->arena, "image", RS_SHAPE(rs_max_i64(1, i->image_len), i->image_dim));
    rs_tensor text = values(b->arena, "text", RS_SHAPE(TEXT_ROWS, i->text_dim));
    RS_TRY(rs_adapter_create(&s->a, s->m, b->o->rank, (float)b->o->rank, targets, n, true));
    rs_adapter_init(s->a, 1, 1);
    RS_TRY(rs_denoiser_set_adapters(s->m, &s->a, &one, 1));
    RS_TRY(rs_denoiser_bind(s->m, b->F, b->H, b->W, true));
    b->x = values(b->arena, "x", RS_SHAPE(i->out_channels, b->F, b->H, b->W));
    b->target = values(b->arena, "target", RS_SHAPE(i->out_channels, b->F, b->H, b->W));
    return rs_denoiser_cond_create(&s->cond, s->m, y, text, image);
}

static void close_side(side *s)
{
    rs_denoiser_cond_destroy(&s->cond);
    rs_adapter_destroy(&s->a);
    rs_denoiser_close(&s->m);
}

static rs_status step(bench *b, side *s, float *loss)
{
    rs_tensor none = {0};
    return rs_denoiser_loss_grad(s->m, loss, none, b->x, 500.0f, b->target, s->cond);
}

static bool same_gradients(bench *b)
{
    rs_tensor_list x = {0}, y = {0};
    rs_adapter_export(b->mapped.a, &x, b->arena, false, true);
    rs_adapter_export(b->sharded.a, &y, b->arena, false, true);
    for (int64_t i = 0; i < x.n; i++)
        if (memcmp(x.items[i].t.data, y.items[i].t.data, rs_tensor_bytes(x.items[i].t)) != 0)
            return false;
    return x.n == y.n;
}

static rs_status verify(bench *b)
{
    float mapped, sharded;
    RS_TRY(step(b, &b->mapped, &mapped));
    RS_TRY(step(b, &b->sharded, &sharded));
    if (mapped != sharded || !same_gradients(b))
        return RS_FAIL(NUMERIC, "loss or gradients differ: %g mapped, %g sharded", (double)mapped,
                       (double)sharded);
    return RS_OK;
}

/* One step of each home; kept is the slowest rank's time. */
static rs_status time_pair(bench *b, int64_t i)
{
    side *sides[2] = {&b->mapped, &b->sharded};
    for (int k = 0; k < 2; k++) {
        float loss;
        RS_TRY(rs_comm_barrier(b->c, "step begins"));
        double begin = rs_now();
        RS_TRY(step(b, sides[k], &loss));
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
        .tokens = b->F / i->patch[0] * (b->H / i->patch[1]) * (b->W / i->patch[2]),
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
    close_side(&b.sharded);
    close_side(&b.mapped);
    rs_device_destroy(&b.d);
    rs_comm_close(&gang);
    rs_arena_destroy(&b.arena);
    return st;
}
