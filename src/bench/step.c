#include "bench/step.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/num.h"

typedef struct bench {
    rs_arena *arena;
    const rs_subject_opts *o;
    int64_t steps;
    const rs_pace *pace;
    rs_subject s;
    double *wall, *cpu; /* (steps) */
    double loss;
    uint8_t first[32]; /* hash of what the first step gave */
} bench;

/* A hash of what a step gave: of training the loss and all gradients. */
static void hash_result(uint8_t hash[32], const bench *b, float loss)
{
    rs_hash h;
    rs_tensor_list all = {0};
    rs_arena *a = rs_arena_create();
    rs_hash_init(&h);
    rs_hash_update(&h, &loss, sizeof loss);
    if (b->o->training)
        rs_adapter_export(b->s.a, &all, a, false, true);
    for (int64_t i = 0; i < all.n; i++)
        rs_hash_update(&h, all.items[i].t.data, rs_tensor_bytes(all.items[i].t));
    rs_hash_update(&h, b->s.v.data, rs_tensor_bytes(b->s.v));
    rs_hash_final(&h, hash);
    rs_arena_destroy(&a);
}

static double mean_square(rs_tensor t)
{
    double sum = 0;
    for (int64_t i = 0; i < rs_tensor_count(t); i++)
        sum += (double)rs_f32(t)[i] * (double)rs_f32(t)[i];
    return sum / (double)rs_tensor_count(t);
}

/* Step i; the one before 0 is not timed, its result is what the others must give. */
static rs_status step(bench *b, int64_t i)
{
    float loss = 0;
    uint8_t hash[32];
    if (b->pace)
        RS_TRY(b->pace->wait());
    double wall = rs_now(), cpu = rs_process_cpu();
    RS_TRY(b->o->training ? rs_subject_train(&b->s, &loss) : rs_subject_sample(&b->s));
    wall = rs_now() - wall;
    cpu = rs_process_cpu() - cpu;
    if (b->pace)
        b->pace->tell(wall, cpu);
    if (i >= 0 || b->steps == 0) {
        b->wall[rs_max_i64(i, 0)] = wall;
        b->cpu[rs_max_i64(i, 0)] = cpu;
    }
    if (i >= 0) {
        hash_result(hash, b, loss);
        if (memcmp(hash, b->first, sizeof hash) != 0)
            return RS_FAIL(NUMERIC, "step %lld gives other bits than the first one", (long long)i);
        return RS_OK;
    }
    hash_result(b->first, b, loss);
    b->loss = b->o->training ? (double)loss : mean_square(b->s.v);
    if (!isfinite(b->loss))
        return RS_FAIL(NUMERIC, "the first step's loss is %g", b->loss);
    return RS_OK;
}

static void fill(rs_step_rate *out, bench *b, const rs_device *d, int64_t start, int64_t opened)
{
    const int64_t steps = rs_max_i64(b->steps, 1);
    const rs_denoiser_info *i = rs_denoiser_get_info(b->s.m);
    const int64_t *g = b->o->grid;
    int64_t F = g[0] * i->patch[0], H = g[1] * i->patch[1], W = g[2] * i->patch[2];
    *out = (rs_step_rate){
        .tokens = g[0] * g[1] * g[2],
        .blocks = i->blocks,
        .params = i->params,
        .steps = steps,
        .kept = rs_denoiser_kept(b->s.m),
        .wall = rs_spread_of(b->wall, steps, b->arena),
        .cpu = rs_spread_of(b->cpu, steps, b->arena),
        .flops =
            rs_denoiser_flops(b->s.m, F, H, W, b->o->text_rows,
                              i->image_dim > 0 ? rs_max_i64(1, i->image_len) : 0, b->o->training),
        .loss = b->loss,
        .weight_bytes = (int64_t)rs_denoiser_weight_bytes(b->s.m),
        .activation_bytes = (int64_t)rs_denoiser_plan(b->s.m, F, H, W, b->o->training),
        .start_bytes = start,
        .opened_bytes = opened,
        .peak_bytes = rs_process_memory("VmHWM"),
        .device_bytes = (int64_t)rs_device_peak_bytes(d),
    };
}

static rs_status measure(rs_step_rate *out, bench *b, rs_device *d)
{
    int64_t start = rs_process_memory("VmRSS");
    RS_TRY(rs_subject_open(&b->s, b->arena, d, b->o));
    int64_t opened = rs_process_memory("VmRSS");
    rs_process_forget_peak();
    for (int64_t i = -1; i < b->steps; i++)
        RS_TRY(step(b, i));
    fill(out, b, d, start, opened);
    return RS_OK;
}

rs_status rs_step_measure(rs_step_rate *out, rs_device *d, const rs_subject_opts *o, int64_t steps,
                          const rs_pace *pace)
{
    bench b = {.arena = rs_arena_create(), .o = o, .steps = steps, .pace = pace};
    b.wall = RS_NEW(b.arena, double, rs_max_i64(steps, 1));
    b.cpu = RS_NEW(b.arena, double, rs_max_i64(steps, 1));
    rs_status st = measure(out, &b, d);
    rs_subject_close(&b.s);
    rs_arena_destroy(&b.arena);
    return st;
}
