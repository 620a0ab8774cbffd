#include "harness/lanes.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/rng.h"
#include "diffusion/flow.h"
#include "diffusion/sampler.h"
#include "nn/lane.h"
#include "train/train.h"

enum { RANK = 3, FROZEN_RANK = 5 };

static rs_tensor values(t_lane *t, const char *name, int ndim, const int64_t *shape)
{
    rs_tensor v = rs_tensor_new(t->arena, ndim, shape);
    rs_fill_rule(rs_f32(v), name, 0, rs_tensor_count(v), 1.0, 0.0);
    return v;
}

/* Factors that are functions of their names, B not zero. */
static void fill(t_lane *t, rs_adapter *a, const char *salt)
{
    for (int64_t i = 0; i < a->n; i++) {
        const rs_tensor parts[2] = {a->items[i].a, a->items[i].b};
        for (int k = 0; k < 2; k++) {
            const char *name =
                rs_arena_printf(t->arena, "%s%s.%c", salt, a->items[i].module, "AB"[k]);
            rs_tensor v = values(t, name, parts[k].ndim, parts[k].shape);
            for (int64_t j = 0; j < rs_tensor_count(v); j++)
                rs_f32(v)[j] *= 0.3f;
            rs_device_put(t->d, parts[k].data, v.data, rs_tensor_bytes(v));
        }
    }
}

static rs_status make_adapters(t_lane *t, const t_lane_case *k)
{
    static const char *const beneath[] = {"attn1.to_q", "attn2.to_k", "ffn.net.2"};
    const char *targets[16];
    int n = k->n_targets;
    for (int i = 0; i < n; i++)
        targets[i] = k->targets[i];
    if (n == 0) {
        const char *const *standard = rs_adapter_default_targets(&n);
        for (int i = 0; i < n; i++)
            targets[i] = standard[i];
        if (rs_denoiser_get_info(t->m)->image_dim) {
            targets[n++] = "attn2.add_k_proj";
            targets[n++] = "attn2.add_v_proj";
        }
    }
    RS_TRY(rs_adapter_create(&t->adapter, t->m, RANK, 4.0f, targets, n, true));
    fill(t, t->adapter, "");
    if (!k->frozen)
        return rs_denoiser_set_adapters(t->m, &t->adapter, (const float[]){1.0f}, 1);
    RS_TRY(rs_adapter_create(&t->frozen, t->m, FROZEN_RANK, 2.0f, beneath, 3, false));
    fill(t, t->frozen, "frozen ");
    return rs_denoiser_set_adapters(t->m, (rs_adapter *[]){t->frozen, t->adapter},
                                    (const float[]){0.75f, 1.0f}, 2);
}

static rs_status make_cond(rs_denoiser_cond **out, t_lane *t, const t_lane_case *k,
                           const char *salt, int64_t rows)
{
    const rs_denoiser_info *n = rs_denoiser_get_info(t->m);
    rs_tensor y = {0}, image = {0};
    rs_tensor text = values(t, salt, RS_SHAPE(rows, T_LANE_TEXT));
    if (n->cond_channels)
        y = values(t, "y", RS_SHAPE(n->cond_channels, k->F, k->H, k->W));
    if (n->image_dim)
        image = values(t, "image", RS_SHAPE(T_LANE_IMAGE_ROWS, T_LANE_IMAGE));
    return rs_denoiser_cond_create(out, t->m, y, text, image);
}

rs_status t_lane_open(t_lane *t, rs_comm *c, const t_lane_case *k)
{
    rs_device_opts one = {.threads = 1, .precision = k->precision};
    rs_denoiser_opts opts = {.kept = k->kept, .lane = c};
    *t = (t_lane){.arena = rs_arena_create()};
    RS_TRY(rs_device_open(&t->d, &one));
    RS_TRY(rs_denoiser_open(&t->m, t->d, k->dir, &opts));
    RS_TRY(make_adapters(t, k));
    RS_TRY(make_cond(&t->cond, t, k, "text", T_LANE_ROWS));
    RS_TRY(make_cond(&t->uncond, t, k, "other text", 2));
    t->x = values(t, "x", RS_SHAPE(16, k->F, k->H, k->W));
    t->target = values(t, "target", RS_SHAPE(16, k->F, k->H, k->W));
    t->v = rs_tensor_new(t->arena, RS_SHAPE(16, k->F, k->H, k->W));
    return rs_denoiser_bind(t->m, k->F, k->H, k->W, true);
}

void t_lane_close(t_lane *t)
{
    rs_adapter_destroy(&t->adapter);
    rs_adapter_destroy(&t->frozen);
    rs_denoiser_cond_destroy(&t->cond);
    rs_denoiser_cond_destroy(&t->uncond);
    rs_denoiser_close(&t->m);
    rs_device_destroy(&t->d);
    rs_arena_destroy(&t->arena);
}

rs_status t_lane_loss_grad(t_lane *t, float *loss)
{
    return rs_denoiser_loss_grad(t->m, loss, t->v, t->x, 612.5f, t->target, t->cond);
}

static void hash_adapter(rs_hash *h, t_lane *t, bool state, bool grads)
{
    rs_tensor_list l = {0};
    rs_adapter_export(t->adapter, &l, t->arena, state, grads);
    for (int64_t i = 0; i < l.n; i++) {
        rs_hash_string(h, l.items[i].name);
        rs_hash_update(h, l.items[i].t.data, rs_tensor_bytes(l.items[i].t));
    }
}

static rs_status passes(t_lane *t, t_lane_result *r)
{
    rs_hash h;
    float loss;
    RS_TRY(rs_denoiser_forward(t->m, t->v, t->x, 612.5f, t->cond));
    rs_hash_init(&h);
    rs_hash_update(&h, t->v.data, rs_tensor_bytes(t->v));
    rs_hash_final_hex(&h, r->velocity);
    RS_TRY(t_lane_loss_grad(t, &loss));
    rs_hash_init(&h);
    rs_hash_update(&h, &loss, sizeof loss);
    rs_hash_update(&h, t->v.data, rs_tensor_bytes(t->v));
    rs_hash_final_hex(&h, r->step);
    rs_hash_init(&h);
    hash_adapter(&h, t, false, true);
    rs_hash_final_hex(&h, r->gradients);
    return RS_OK;
}

/* Two clips in turn, the second of one frame: the binding changes. */
static rs_status train(t_lane *t, t_lane_result *r, const t_lane_case *k)
{
    const rs_denoiser_info *n = rs_denoiser_get_info(t->m);
    int32_t *order = RS_NEW(t->arena, int32_t, k->train);
    float *losses = RS_NEW(t->arena, float, k->train);
    rs_train_item items[2];
    int64_t done = 0;
    for (int i = 0; i < 2; i++) {
        int64_t F = i ? 1 : k->F;
        items[i] = (rs_train_item){.x0 = values(t, "x0", RS_SHAPE(16, F, k->H, k->W)),
                                   .text = values(t, "caption", RS_SHAPE(3, T_LANE_TEXT))};
        if (n->cond_channels)
            items[i].y = values(t, "y0", RS_SHAPE(n->cond_channels, F, k->H, k->W));
        if (n->image_dim)
            items[i].image = values(t, "i0", RS_SHAPE(T_LANE_IMAGE_ROWS, T_LANE_IMAGE));
    }
    for (int64_t i = 0; i < k->train; i++)
        order[i] = (int32_t)(i % 2);
    rs_train_loop l = {.items = items,
                       .n_items = 2,
                       .frozen = &t->frozen,
                       .frozen_weights = (const float[]){0.75f},
                       .n_frozen = k->frozen,
                       .order = order,
                       .steps = k->train,
                       .optim = RS_OPTIM_OPTS_DEFAULT,
                       .seed = 5,
                       .job = 7};
    l.optim.lr = 1e-2;
    RS_TRY(rs_train_run(&l, t->m, t->adapter, losses, &done));
    rs_hash h;
    rs_hash_init(&h);
    hash_adapter(&h, t, true, false);
    rs_hash_update(&h, losses, (size_t)k->train * sizeof *losses);
    rs_hash_final_hex(&h, r->trained);
    return RS_OK;
}

static rs_status sample_steps(t_lane *t, t_lane_result *r, const t_lane_case *k)
{
    rs_schedule schedule;
    rs_sampler s;
    rs_tensor x = values(t, "noise", RS_SHAPE(16, k->F, k->H, k->W));
    rs_tensor other = values(t, "other", RS_SHAPE(16, k->F, k->H, k->W));
    RS_TRY(rs_denoiser_bind(t->m, k->F, k->H, k->W, false));
    RS_TRY(rs_schedule_make(&schedule, t->arena, RS_SAMPLER_UNIPC, k->sample, 3.0));
    rs_sampler_init(&s, t->arena, RS_SAMPLER_UNIPC, &schedule, rs_tensor_count(x));
    while (s.index < schedule.steps) {
        RS_TRY(
            rs_denoiser_guided(t->m, t->v, other, x, schedule.times[s.index], t->cond, t->uncond));
        rs_guide(rs_f32(t->v), rs_f32(t->v), rs_f32(other), 4.0f, rs_tensor_count(x));
        rs_sampler_step(&s, rs_f32(x), rs_f32(t->v));
    }
    rs_hash h;
    rs_hash_init(&h);
    rs_hash_update(&h, x.data, rs_tensor_bytes(x));
    rs_hash_final_hex(&h, r->sampled);
    return RS_OK;
}

static rs_status sample(t_lane *t, t_lane_result *r, rs_comm *c, const t_lane_case *k)
{
    rs_comm *half = NULL, *pair = NULL;
    if (!k->halves)
        return sample_steps(t, r, k);
    RS_TRY(rs_lane_halves(&half, &pair, c));
    rs_status st = rs_denoiser_set_lane(t->m, half, pair);
    if (st == RS_OK)
        st = sample_steps(t, r, k);
    rs_comm_close(&half);
    rs_comm_close(&pair);
    return st;
}

rs_status t_lane_run(t_lane_result *r, rs_comm *c, const t_lane_case *k)
{
    t_lane t;
    *r = (t_lane_result){0};
    rs_status st = t_lane_open(&t, c, k);
    if (st == RS_OK)
        st = passes(&t, r);
    if (st == RS_OK && k->train > 0)
        st = train(&t, r, k);
    if (st == RS_OK && k->sample > 0)
        st = sample(&t, r, c, k);
    t_lane_close(&t);
    return st;
}

t_lane_case t_lane_case_small(const char *dir)
{
    return (t_lane_case){.dir = dir, .F = 3, .H = 18, .W = 26, .train = 5, .sample = 4};
}

/* One pass, from barrier to barrier. */
static rs_status timed(double *best, double *work, t_lane *t, rs_comm *c, bool training,
                       float *loss)
{
    RS_TRY(rs_comm_barrier(c, "begin"));
    double begin = rs_now();
    clock_t busy = clock();
    if (training)
        RS_TRY(t_lane_loss_grad(t, loss));
    else
        RS_TRY(rs_denoiser_forward(t->m, t->v, t->x, 612.5f, t->cond));
    double mine = (double)(clock() - busy) / CLOCKS_PER_SEC, most;
    RS_TRY(rs_comm_barrier(c, "end"));
    *best = fmin(*best, rs_now() - begin);
    RS_TRY(rs_comm_allreduce(&most, c, &mine, 1, RS_COMM_F64, RS_COMM_MAX, "busiest"));
    *work = fmin(*work, most);
    return RS_OK;
}

rs_status t_lane_time(t_lane_speed *s, rs_comm *c, const t_lane_case *k, int repeats)
{
    t_lane t;
    double ignored = INFINITY;
    *s = (t_lane_speed){.step = INFINITY, .forward = INFINITY, .work = INFINITY};
    rs_status st = t_lane_open(&t, c, k);
    if (st == RS_OK)
        s->bytes = rs_denoiser_plan(t.m, k->F, k->H, k->W, true);
    for (int i = 0; i < repeats && st == RS_OK; i++) {
        st = timed(&s->step, &s->work, &t, c, true, &s->loss);
        if (st == RS_OK)
            st = timed(&s->forward, &ignored, &t, c, false, &s->loss);
    }
    t_lane_close(&t);
    return st;
}
