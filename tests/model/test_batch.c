/* Several samples in one walk over the weights: each has the bits that it has alone, whatever its
 * companions, and the walk asks for every block once. */
#include <math.h>
#include <stdio.h>

#include "model/dit_fixture.h"

enum { MOST = 5 };

/* A job's sample: what differs between jobs. */
typedef struct spec {
    int64_t rank, text_rows, image_rows;
    const char *const *targets;
    int n_targets;
    bool frozen; /* another adapter beneath, as in mode separate */
    bool late;   /* trained from the second block on */
    float t;
} spec;

static const char *const k_all[] = {"attn1.to_q",     "attn1.to_k",       "attn1.to_v",
                                    "attn1.to_out.0", "attn2.to_q",       "attn2.to_k",
                                    "attn2.to_v",     "attn2.to_out.0",   "ffn.net.0.proj",
                                    "ffn.net.2",      "attn2.add_k_proj", "attn2.add_v_proj"};
static const char *const k_self[] = {"attn1.to_q", "attn1.to_v", "attn1.to_out.0"};
static const char *const k_cross[] = {"attn2.to_k", "attn2.to_out.0", "ffn.net.2"};
static const char *const k_up[] = {"ffn.net.0.proj"};
static const spec k_specs[MOST] = {
    {.rank = 4, .text_rows = 7, .image_rows = 5, .targets = k_all, .n_targets = 12, .t = 612.5f},
    {.rank = 4,
     .text_rows = 12,
     .image_rows = 5,
     .targets = k_all,
     .n_targets = 12,
     .frozen = true,
     .t = 31.0f},
    {.rank = 9, .text_rows = 1, .image_rows = 3, .targets = k_self, .n_targets = 3, .t = 999.0f},
    {.rank = 2,
     .text_rows = 5,
     .image_rows = 8,
     .targets = k_cross,
     .n_targets = 3,
     .frozen = true,
     .late = true,
     .t = 250.25f},
    {.rank = 6, .text_rows = 3, .image_rows = 5, .targets = k_up, .n_targets = 1, .t = 0.5f},
};

typedef struct bench {
    rs_arena *arena;
    rs_device *d;
    rs_denoiser *m;
    int64_t size[3], blocks;
    rs_denoiser_cond *conds[MOST];
    rs_adapter *adapters[MOST], *frozen[MOST];
    rs_adapter *sets[MOST][2];
    rs_denoiser_sample samples[MOST];
    rs_tensor grads[MOST]; /* of the sample alone, as are velocity and loss */
    rs_tensor v[MOST];
    float loss[MOST];
} bench;

/* ---- nothing here leaves by a jump: it runs on thread ranks too ---- */

static rs_tensor values(bench *b, const char *name, int k, int ndim, const int64_t *shape)
{
    rs_tensor t = rs_tensor_new(b->arena, ndim, shape);
    rs_fill_rule(rs_f32(t), rs_arena_printf(b->arena, "%s %d", name, k), 0, rs_tensor_count(t), 1.0,
                 0.0);
    return t;
}

static rs_tensor latent(bench *b, const char *name, int k)
{
    return values(b, name, k, RS_SHAPE(16, b->size[0], b->size[1], b->size[2]));
}

static void fill(bench *b, rs_adapter *a, const char *salt, int k)
{
    for (int64_t i = 0; i < a->n; i++) {
        const rs_tensor parts[2] = {a->items[i].a, a->items[i].b};
        for (int p = 0; p < 2; p++) {
            const char *name =
                rs_arena_printf(b->arena, "%s %s %c", salt, a->items[i].module, "AB"[p]);
            rs_tensor v = values(b, name, k, parts[p].ndim, parts[p].shape);
            for (int64_t j = 0; j < rs_tensor_count(v); j++)
                rs_f32(v)[j] *= 0.3f;
            rs_device_put(b->d, parts[p].data, v.data, rs_tensor_bytes(v));
        }
    }
}

/* Without its factors on the first block, as a file of only some blocks would give. */
static void drop_first(rs_adapter *a)
{
    while (a->items[0].block == 0) {
        a->items++;
        a->n--;
    }
}

static rs_status make_sample(bench *b, int k)
{
    static const float k_weights[2][2] = {{1.0f}, {0.7f, 1.0f}};
    const spec *s = &k_specs[k];
    const rs_denoiser_info *n = rs_denoiser_get_info(b->m);
    rs_tensor y = {0}, image = {0};
    rs_tensor text = values(b, "text", k, RS_SHAPE(s->text_rows, n->text_dim));
    if (n->cond_channels)
        y = values(b, "y", k, RS_SHAPE(n->cond_channels, b->size[0], b->size[1], b->size[2]));
    if (n->image_dim)
        image = values(b, "image", k, RS_SHAPE(s->image_rows, n->image_dim));
    RS_TRY(rs_denoiser_cond_create(&b->conds[k], b->m, y, text, image));
    int targets = n->image_dim || s->n_targets < 12 ? s->n_targets : 10;
    RS_TRY(rs_adapter_create(&b->adapters[k], b->m, s->rank, 2.0f, s->targets, targets, true));
    fill(b, b->adapters[k], "trained", k);
    if (s->late)
        drop_first(b->adapters[k]);
    if (s->frozen) {
        RS_TRY(
            rs_adapter_create(&b->frozen[k], b->m, 5, 2.0f, k_all, targets == 3 ? 4 : 10, false));
        fill(b, b->frozen[k], "frozen", k);
    }
    b->sets[k][0] = s->frozen ? b->frozen[k] : b->adapters[k];
    b->sets[k][1] = b->adapters[k];
    b->samples[k] = (rs_denoiser_sample){.adapters = b->sets[k],
                                         .weights = k_weights[s->frozen],
                                         .n_adapters = s->frozen ? 2 : 1,
                                         .x = latent(b, "x", k),
                                         .target = latent(b, "target", k),
                                         .v = latent(b, "v", k),
                                         .t = s->t,
                                         .cond = b->conds[k]};
    return RS_OK;
}

static rs_tensor gradients(bench *b, int k)
{
    const rs_adapter *a = b->adapters[k];
    rs_tensor all = rs_tensor_new(b->arena, RS_SHAPE(rs_adapter_params(a)));
    float *at = rs_f32(all);
    for (int64_t i = 0; i < a->n; i++) {
        const rs_tensor parts[2] = {a->items[i].ga, a->items[i].gb};
        for (int p = 0; p < 2; p++) {
            rs_device_get(b->d, at, parts[p].data, rs_tensor_bytes(parts[p]));
            at += rs_tensor_count(parts[p]);
        }
    }
    return all;
}

static void poison(bench *b, int k)
{
    rs_denoiser_sample *s = &b->samples[k];
    for (int64_t i = 0; i < b->adapters[k]->n; i++) {
        const rs_lora *l = &b->adapters[k]->items[i];
        rs_device_put(b->d, l->ga.data, l->a.data, rs_tensor_bytes(l->ga));
        rs_device_put(b->d, l->gb.data, l->b.data, rs_tensor_bytes(l->gb));
    }
    memset(s->v.data, 0xff, rs_tensor_bytes(s->v));
    s->loss = NAN;
}

/* One after the other, by the call for one sample. */
static rs_status alone(bench *b)
{
    RS_TRY(rs_denoiser_bind(b->m, b->size[0], b->size[1], b->size[2], true));
    for (int k = 0; k < MOST; k++) {
        rs_denoiser_sample *s = &b->samples[k];
        RS_TRY(rs_denoiser_set_adapters(b->m, s->adapters, s->weights, s->n_adapters));
        b->v[k] = latent(b, "v alone", k);
        RS_TRY(rs_denoiser_loss_grad(b->m, &b->loss[k], b->v[k], s->x, s->t, s->target, s->cond));
        b->grads[k] = gradients(b, k);
        if (!isfinite(b->loss[k]))
            return RS_FAIL(INTERNAL, "loss of sample %d", k);
    }
    return RS_OK;
}

static rs_status check_same(bench *b, int k, int n, const rs_denoiser_sample *s)
{
    if (s->loss != b->loss[k])
        return RS_FAIL(INTERNAL, "%d samples: loss of %d is %g, alone %g", n, k, (double)s->loss,
                       (double)b->loss[k]);
    if (!t_same_bits(s->v, b->v[k]))
        return RS_FAIL(INTERNAL, "%d samples: velocity of %d has other bits", n, k);
    if (!t_same_bits(gradients(b, k), b->grads[k]))
        return RS_FAIL(INTERNAL, "%d samples: gradients of %d have other bits", n, k);
    return RS_OK;
}

/* n samples from `first` on, round the circle. */
static rs_status together(bench *b, int n, int first)
{
    rs_denoiser_sample samples[MOST];
    RS_TRY(rs_denoiser_bind_many(b->m, n, b->size[0], b->size[1], b->size[2]));
    for (int k = 0; k < n; k++) {
        int of = (first + k) % MOST;
        poison(b, of);
        samples[k] = b->samples[of];
    }
    int64_t before = rs_denoiser_stream_stats(b->m).acquired;
    RS_TRY(rs_denoiser_loss_grad_many(b->m, samples, n));
    int64_t walked = rs_denoiser_stream_stats(b->m).acquired - before;
    bool only_late = n == 1 && k_specs[first].late;
    if (walked != 2 * b->blocks - only_late)
        return RS_FAIL(INTERNAL, "%d samples asked for %lld blocks", n, (long long)walked);
    for (int k = 0; k < n; k++)
        RS_TRY(check_same(b, (first + k) % MOST, n, &samples[k]));
    return RS_OK;
}

static rs_status all_companies(bench *b)
{
    static const int k_n[] = {1, 2, 3, 5};
    RS_TRY(alone(b));
    for (size_t i = 0; i < sizeof k_n / sizeof k_n[0]; i++)
        for (int first = 0; first < MOST; first += k_n[i] < 3 ? 1 : 2)
            RS_TRY(together(b, k_n[i], first));
    return RS_OK;
}

typedef struct plan_case {
    const char *dir;
    int64_t size[3];
    int threads;
    rs_weight_home home;
    rs_precision precision;
} plan_case;

static rs_status open_bench(bench *b, const plan_case *c, rs_comm *gang)
{
    rs_device_opts o = {.threads = c->threads, .precision = c->precision};
    rs_denoiser_opts opts = {.home = c->home, .gang = gang};
    *b = (bench){.arena = rs_arena_create(), .size = {c->size[0], c->size[1], c->size[2]}};
    RS_TRY(rs_device_open(&b->d, &o));
    RS_TRY(rs_denoiser_open(&b->m, b->d, c->dir, &opts));
    b->blocks = rs_denoiser_get_info(b->m)->blocks;
    for (int k = 0; k < MOST; k++)
        RS_TRY(make_sample(b, k));
    return RS_OK;
}

static rs_status close_bench(bench *b, rs_status st)
{
    for (int k = 0; k < MOST; k++) {
        rs_adapter_destroy(&b->adapters[k]);
        rs_adapter_destroy(&b->frozen[k]);
        rs_denoiser_cond_destroy(&b->conds[k]);
    }
    rs_denoiser_close(&b->m);
    if (st == RS_OK && rs_device_bytes(b->d) != 0)
        st = RS_FAIL(INTERNAL, "device memory was kept");
    rs_device_destroy(&b->d);
    rs_arena_destroy(&b->arena);
    return st;
}

static rs_status run_case(const plan_case *c, rs_comm *gang, const rs_kept *kept, int n_kept)
{
    bench b;
    rs_status st = open_bench(&b, c, gang);
    for (int i = 0; i < n_kept && st == RS_OK; i++) {
        rs_denoiser_set_kept(b.m, kept[i]);
        st = all_companies(&b);
    }
    return close_bench(&b, st);
}

/* ---- cases ---- */

static const rs_kept k_policies[] = {
    {0}, {.store = INT64_MAX}, {.attention = INT64_MAX}, {.store = 2, .attention = 1}};

/* 30 tokens: less than a tile of a GEMM, so that a tile holds rows of several samples. */
static void t_every_policy_with_image(void)
{
    plan_case c = {.dir = t_make_dit("m", t_i2v, RS_DTYPE_F32), .size = {1, 12, 10}, .threads = 1};
    T_OK(run_case(&c, NULL, k_policies, 4));
}

static void t_every_policy_without_image(void)
{
    plan_case c = {.dir = t_make_dit("m", t_t2v, RS_DTYPE_F32), .size = {1, 6, 10}, .threads = 2};
    T_OK(run_case(&c, NULL, k_policies, 4));
}

/* 117 tokens a sample, weights converted in every pass. */
static void t_more_tokens_of_mapped_bf16(void)
{
    plan_case c = {.dir = t_make_dit("m", t_i2v, RS_DTYPE_BF16),
                   .size = {1, 18, 26},
                   .threads = 2,
                   .home = RS_HOME_MAPPED};
    T_OK(run_case(&c, NULL, k_policies + 3, 1));
    c.precision = RS_PRECISION_BF16;
    T_OK(run_case(&c, NULL, k_policies + 3, 1));
}

/* A clip is a sample as any other. */
static void t_three_frames(void)
{
    plan_case c = {.dir = t_make_dit("m", t_i2v, RS_DTYPE_F32), .size = {3, 4, 6}, .threads = 1};
    T_OK(run_case(&c, NULL, k_policies, 1));
}

static rs_status sharded_rank(rs_comm *c, void *ctx)
{
    return run_case(ctx, c, k_policies + 3, 1);
}

static void t_sharded(void)
{
    plan_case c = {.dir = t_make_dit("m", t_i2v, RS_DTYPE_BF16),
                   .size = {1, 12, 10},
                   .threads = 1,
                   .home = RS_HOME_SHARDED};
    for (int ranks = 1; ranks <= 3; ranks++)
        T_OK(rs_comm_threads_run(ranks, sharded_rank, &c, NULL));
}

/* One sample is poisoned at its input: the others do not see it. */
static void t_nan_stays_with_its_sample(void)
{
    bench b;
    plan_case c = {.dir = t_make_dit("m", t_i2v, RS_DTYPE_F32), .size = {1, 12, 10}, .threads = 1};
    T_OK(open_bench(&b, &c, NULL));
    T_OK(alone(&b));
    for (int sick = 0; sick < 3; sick++) {
        rs_denoiser_sample samples[3] = {b.samples[0], b.samples[1], b.samples[2]};
        T_OK(rs_denoiser_bind_many(b.m, 3, b.size[0], b.size[1], b.size[2]));
        samples[sick].x = latent(&b, "x", sick);
        rs_f32(samples[sick].x)[17] = NAN;
        T_OK(rs_denoiser_loss_grad_many(b.m, samples, 3));
        T_CHECK(isnan(samples[sick].loss));
        for (int k = 0; k < 3; k++)
            if (k != sick)
                T_OK(check_same(&b, k, 3, &samples[k]));
    }
    T_OK(close_bench(&b, RS_OK));
}

static void t_plan_is_what_is_bound(void)
{
    bench b;
    plan_case c = {.dir = t_make_dit("m", t_i2v, RS_DTYPE_F32), .size = {1, 12, 10}, .threads = 1};
    T_OK(open_bench(&b, &c, NULL));
    T_OK(alone(&b)); /* all ranks and image rows are known now */
    size_t held = rs_device_bytes(b.d) - rs_denoiser_plan(b.m, 1, 12, 10, true);
    for (int n = 1; n <= MOST; n++) {
        T_OK(rs_denoiser_bind_many(b.m, n, 1, 12, 10));
        T_EQ_I(rs_device_bytes(b.d), held + rs_denoiser_plan_many(b.m, n, 1, 12, 10));
    }
    T_EQ_I(rs_denoiser_plan_many(b.m, 1, 1, 12, 10), rs_denoiser_plan(b.m, 1, 12, 10, true));
    T_OK(close_bench(&b, RS_OK));
}

static rs_status lane_rank(rs_comm *c, void *ctx)
{
    rs_device_opts o = {.threads = 1};
    rs_denoiser_opts opts = {.lane = c};
    rs_device *d;
    rs_denoiser *m = NULL;
    RS_TRY(rs_device_open(&d, &o));
    rs_status st = rs_denoiser_open(&m, d, ctx, &opts);
    if (st == RS_OK)
        st = rs_denoiser_bind_many(m, 2, 1, 12, 10);
    rs_denoiser_close(&m);
    rs_device_destroy(&d);
    return st;
}

static void t_not_over_a_lane(void)
{
    const char *dir = t_make_dit("m", t_i2v, RS_DTYPE_F32);
    T_FAILS(rs_comm_threads_run(2, lane_rank, (void *)dir, NULL), CONFIG, "2 samples at once");
}

static const rs_test_case k_cases[] = {
    T_CASE(t_every_policy_with_image),
    T_CASE(t_every_policy_without_image),
    T_CASE(t_more_tokens_of_mapped_bf16),
    T_CASE(t_three_frames),
    T_CASE(t_sharded),
    T_CASE(t_nan_stays_with_its_sample),
    T_CASE(t_plan_is_what_is_bound),
    T_CASE(t_not_over_a_lane),
};
RS_TEST_MAIN(k_cases)
