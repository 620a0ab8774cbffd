// ctest: TIMEOUT 300
/* Lanes of thread ranks: the same bits for widths 1, 2, 4 and 8 in passes, training and sampling;
 * guidance over two halves; memory; errors that all ranks agree on. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/fault.h"
#include "harness/comm_cases.h"
#include "harness/lanes.h"
#include "model/dit_fixture.h"
#include "nn/lane.h"
#include "train/train.h"

enum { RANKS = 8 };

static const char k_t2v[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 8, "
    "\"attention_head_dim\": 8, \"num_layers\": 2, \"ffn_dim\": 40, \"freq_dim\": 16,"
    " \"in_channels\": 16, \"out_channels\": 16, \"text_dim\": 12, \"patch_size\": [1, 2, 2],"
    " \"eps\": 1e-6}";

typedef struct shared {
    const t_lane_case *k;
    t_lane_result result[RANKS];
} shared;

static rs_status run_rank(rs_comm *c, void *ctx)
{
    shared *s = ctx;
    return t_lane_run(&s->result[rs_comm_rank(c)], c, s->k);
}

static void same(const char *what, int width, int rank, const char *got, const char *want)
{
    T_CHECKF(strcmp(got, want) == 0, "%s: rank %d of %d has other bits than one rank alone", what,
             rank, width);
}

/* Every rank of every width against one rank alone, which is not a lane. */
static t_lane_result check_widths(const t_lane_case *k)
{
    t_lane_result one;
    t_lane_case alone = *k;
    alone.halves = false;
    T_OK(t_lane_run(&one, NULL, &alone));
    for (int width = k->halves ? 2 : 1; width <= RANKS; width *= 2) {
        shared s = {.k = k};
        T_OK(rs_comm_threads_run(width, run_rank, &s, NULL));
        for (int r = 0; r < width; r++) {
            same("forward", width, r, s.result[r].velocity, one.velocity);
            same("loss and velocity", width, r, s.result[r].step, one.step);
            same("gradients", width, r, s.result[r].gradients, one.gradients);
            same("training", width, r, s.result[r].trained, one.trained);
            same("sampling", width, r, s.result[r].sampled, one.sampled);
        }
    }
    return one;
}

/* Passes only. */
static t_lane_case medium(const char *config)
{
    t_lane_case k = t_lane_case_small(t_make_dit("m", config, RS_DTYPE_F32));
    k.train = k.sample = 0;
    return k;
}

static void t_passes_with_image_and_text(void)
{
    t_lane_case k = medium(t_lane_i2v);
    t_lane_result block = check_widths(&k);
    k.kept = RS_KEPT_ALL;
    t_lane_result store = check_widths(&k);
    same("store", 1, 0, store.gradients, block.gradients);
    k.kept = (rs_kept){.store = 1, .attention = 1};
    t_lane_result mixed = check_widths(&k);
    same("keep attention", 1, 0, mixed.gradients, block.gradients);
}

static void t_passes_with_text_only(void)
{
    t_lane_case k = medium(k_t2v);
    check_widths(&k);
}

static void t_passes_in_bf16(void)
{
    t_lane_case k = medium(t_lane_i2v);
    t_lane_result fp32 = check_widths(&k);
    k.precision = RS_PRECISION_BF16;
    t_lane_result bf16 = check_widths(&k);
    T_CHECK(strcmp(fp32.velocity, bf16.velocity) != 0);
}

static void t_passes_over_a_frozen_adapter(void)
{
    t_lane_case k = medium(t_lane_i2v);
    t_lane_result none = check_widths(&k);
    k.frozen = true;
    t_lane_result frozen = check_widths(&k);
    T_CHECK(strcmp(none.gradients, frozen.gradients) != 0);
}

/* Key and value of a context may be adapted one without the other, or not at all. */
static void t_passes_with_some_targets(void)
{
    static const char *const k_targets[] = {"attn2.to_k", "attn2.add_v_proj", "ffn.net.0.proj",
                                            "attn2.to_v", "attn1.to_v"};
    static const int first[] = {0, 1, 2, 3}, n[] = {1, 1, 1, 2};
    for (int i = 0; i < 4; i++) {
        t_lane_case k = medium(t_lane_i2v);
        k.targets = k_targets + first[i];
        k.n_targets = n[i];
        check_widths(&k);
    }
}

/* 15, 9 and 8 tokens: segments of one or two rows. */
static void t_passes_of_few_tokens(void)
{
    static const int64_t size[][2] = {{6, 10}, {6, 6}, {4, 8}};
    for (int i = 0; i < 3; i++) {
        t_lane_case k = medium(t_lane_i2v);
        k.F = 1;
        k.H = size[i][0];
        k.W = size[i][1];
        check_widths(&k);
    }
}

/* 6 tokens on 4 ranks: two segments are empty. */
static void t_empty_segments(void)
{
    t_lane_case k = medium(t_lane_i2v);
    k.F = 1;
    k.H = 4;
    k.W = 6;
    t_lane_result one;
    T_OK(t_lane_run(&one, NULL, &k));
    for (int width = 2; width <= 4; width *= 2) {
        shared s = {.k = &k};
        T_OK(rs_comm_threads_run(width, run_rank, &s, NULL));
        for (int r = 0; r < width; r++) {
            same("loss and velocity", width, r, s.result[r].step, one.step);
            same("gradients", width, r, s.result[r].gradients, one.gradients);
        }
    }
}

static void t_training_and_sampling(void)
{
    t_lane_case k = medium(t_lane_i2v);
    k.train = 5;
    k.sample = 4;
    t_lane_result one = check_widths(&k);
    T_CHECK(one.trained[0] && one.sampled[0]);
}

static void t_training_over_a_frozen_adapter(void)
{
    t_lane_case k = medium(t_lane_i2v);
    k.train = 3;
    k.frozen = true;
    check_widths(&k);
}

static void t_guidance_over_two_halves(void)
{
    t_lane_case k = medium(t_lane_i2v);
    k.sample = 4;
    k.halves = true;
    check_widths(&k);
}

/* ---- memory ---- */

typedef struct memory {
    const t_lane_case *k;
    size_t held[RANKS];
} memory;

static rs_status memory_rank(rs_comm *c, void *ctx)
{
    memory *s = ctx;
    t_lane t;
    rs_status st = t_lane_open(&t, c, s->k);
    if (st == RS_OK)
        s->held[rs_comm_rank(c)] = rs_denoiser_plan(t.m, s->k->F, s->k->H, s->k->W, true);
    size_t before = rs_device_bytes(t.d);
    if (st == RS_OK)
        st = rs_denoiser_set_lane(t.m, NULL, NULL);
    size_t freed = before - rs_device_bytes(t.d);
    if (st == RS_OK && freed != s->held[rs_comm_rank(c)])
        st = RS_FAIL(NUMERIC, "planned %zu bytes, held %zu", s->held[rs_comm_rank(c)], freed);
    t_lane_close(&t);
    return st;
}

static void check_memory(rs_kept kept, bool training)
{
    t_lane_case k = medium(t_lane_i2v);
    k.F = 9;
    k.H = k.W = 64;
    k.kept = kept;
    rs_denoiser_opts opts = {.kept = kept};
    t_dit t = t_open_dit(k.dir, 1, &opts);
    t_dit_adapter(&t, 3, 4.0f);
    double one = (double)rs_denoiser_plan_lane(t.m, k.F, k.H, k.W, training, 1);
    T_CHECK((size_t)one == rs_denoiser_plan(t.m, k.F, k.H, k.W, training));
    /* The whole latent, its patches and the context are on every rank: what has no token. */
    double few = (double)rs_denoiser_plan_lane(t.m, 1, 8, 8, training, 1);
    double fixed = 4 * (double)(k.F * k.H * k.W / 4) * (36 * 4 + 16 * 4 + 5 * 64) + few;
    for (int width = 2; width <= RANKS; width *= 2) {
        double held = (double)rs_denoiser_plan_lane(t.m, k.F, k.H, k.W, training, width);
        T_CHECKF(held < fixed + 1.25 * one / width, "%d ranks: %.0f of %.0f bytes", width, held,
                 one);
    }
    t_close_dit(&t);
}

static void t_memory_shrinks_with_the_width(void)
{
    check_memory((rs_kept){0}, true);
    check_memory(RS_KEPT_ALL, true);
    check_memory((rs_kept){0}, false);
}

static void t_plan_is_what_ranks_hold(void)
{
    t_lane_case k = medium(t_lane_i2v);
    rs_denoiser_opts opts = {0};
    t_dit t = t_open_dit(k.dir, 1, &opts);
    t_dit_adapter(&t, 3, 4.0f);
    for (int width = 1; width <= RANKS; width *= 2) {
        memory s = {.k = &k};
        size_t most = 0;
        T_OK(rs_comm_threads_run(width, memory_rank, &s, NULL));
        for (int r = 0; r < width; r++)
            most = s.held[r] > most ? s.held[r] : most;
        T_EQ_I(rs_denoiser_plan_lane(t.m, k.F, k.H, k.W, true, width), most);
    }
    t_close_dit(&t);
}

/* ---- errors ---- */

static rs_status open_rank(rs_comm *c, void *ctx)
{
    t_lane t;
    rs_status st = t_lane_open(&t, c, ctx);
    t_lane_close(&t);
    return st;
}

static void t_impossible_lanes(void)
{
    t_lane_case k = medium(t_lane_i2v);
    T_FAILS(rs_comm_threads_run(3, open_rank, &k, NULL), CONFIG,
            "a lane of 3 ranks: 1, 2, 4 and 8 are possible");
    t_lane_case two = {.dir = t_make_dit("two", t_i2v, RS_DTYPE_F32), .F = 1, .H = 8, .W = 8};
    T_FAILS(rs_comm_threads_run(4, open_rank, &two, NULL), CONFIG,
            "a lane of 4 ranks does not divide the model's 2 heads");
    k.F = 1;
    k.H = 2;
    k.W = 6;
    T_FAILS(rs_comm_threads_run(4, open_rank, &k, NULL), INPUT,
            "3 tokens cannot be shared by the 4 ranks");
}

typedef struct trouble {
    const t_lane_case *k;
    const char *fault; /* of the communicator, or NULL */
    int bad_rank;      /* whose adapter is NaN; -1: nobody's */
    rs_status want;
    const char *says;
    float loss[RANKS]; /* afterwards, in peace */
} trouble;

static rs_status expect(rs_status got, const trouble *s)
{
    if (got == s->want && strstr(rs_error_message(), s->says))
        return RS_OK;
    return RS_FAIL(NUMERIC, "%s: %s", rs_status_name(got), rs_error_message());
}

static rs_status in_trouble(t_lane *t, rs_comm *c, trouble *s)
{
    float loss = 0, keep = 0, bad = NAN;
    double norm;
    void *where = t->adapter->items[1].a.data;
    rs_train_item item = {.x0 = t->x};
    rs_optim_opts o = RS_OPTIM_OPTS_DEFAULT;
    o.lr = 0;
    o.weight_decay = 0;
    if (rs_comm_rank(c) == s->bad_rank) {
        rs_device_get(t->d, &keep, where, sizeof keep);
        rs_device_put(t->d, where, &bad, sizeof bad);
    }
    RS_TRY(expect(
        rs_train_step(t->m, t->adapter, &item, t->cond, t->target, 0.5f, &o, 1, &loss, &norm), s));
    if (rs_comm_rank(c) == s->bad_rank)
        rs_device_put(t->d, where, &keep, sizeof keep);
    return t_lane_loss_grad(t, &s->loss[rs_comm_rank(c)]);
}

static rs_status trouble_rank(rs_comm *c, void *ctx)
{
    trouble *s = ctx;
    t_lane t;
    rs_fault *fault = NULL;
    if (s->fault)
        RS_TRY(rs_fault_add(&fault, c, s->fault));
    rs_status st = t_lane_open(&t, c, s->k);
    if (st == RS_OK)
        st = in_trouble(&t, c, s);
    t_lane_close(&t);
    rs_fault_destroy(&fault);
    return st;
}

static void check_trouble(trouble s)
{
    t_lane alone;
    float want;
    T_OK(t_lane_open(&alone, NULL, s.k));
    T_OK(t_lane_loss_grad(&alone, &want));
    t_lane_close(&alone);
    T_OK(rs_comm_threads_run(4, trouble_rank, &s, NULL));
    for (int r = 0; r < 4; r++)
        T_CHECKF(s.loss[r] == want, "rank %d: loss %g afterwards, want %g", r, (double)s.loss[r],
                 (double)want);
}

/* All ranks fail together, nobody waits for another, and the next pass is right. */
static void t_failures_are_agreed_on(void)
{
    t_lane_case k = medium(t_lane_i2v);
    for (int call = 1; call <= 36; call += 7)
        check_trouble((trouble){
            .k = &k,
            .fault = rs_arena_printf(t_arena(), "rank=2,op=alltoall,call=%d,do=fail", call),
            .bad_rank = -1,
            .want = RS_INTERNAL,
            .says = "rank 2: alltoall"});
    check_trouble((trouble){
        .k = &k, .bad_rank = 3, .want = RS_NUMERIC, .says = "loss is not finite at step 1"});
}

typedef struct stopping {
    const t_lane_case *k;
    int64_t saved[RANKS];
} stopping;

typedef struct stop_rank_ctx {
    stopping *s;
    int rank, asked;
} stop_rank_ctx;

static rs_status save_step(void *ctx, int64_t step)
{
    stop_rank_ctx *x = ctx;
    x->s->saved[x->rank] = step;
    return RS_OK;
}

/* Rank 1 is asked to stop after the second step. */
static bool stop_now(void *ctx)
{
    stop_rank_ctx *x = ctx;
    return ++x->asked == 2 && x->rank == 1;
}

static rs_status stop_rank(rs_comm *c, void *ctx)
{
    stop_rank_ctx x = {.s = ctx, .rank = rs_comm_rank(c)};
    t_lane t;
    float losses[9];
    int64_t step = 0;
    rs_status st = t_lane_open(&t, c, x.s->k);
    if (st == RS_OK) {
        rs_tensor image = rs_tensor_new(t.arena, RS_SHAPE(2, T_LANE_IMAGE));
        rs_train_item item = {.x0 = t.x,
                              .y = rs_tensor_new(t.arena, RS_SHAPE(20, 1, 4, 8)),
                              .text = rs_tensor_new(t.arena, RS_SHAPE(1, T_LANE_TEXT)),
                              .image = image};
        rs_train_loop l = {.items = &item,
                           .n_items = 1,
                           .order = (const int32_t[9]){0},
                           .steps = 9,
                           .optim = RS_OPTIM_OPTS_DEFAULT,
                           .ctx = &x,
                           .save = save_step,
                           .stop = stop_now};
        st = rs_train_run(&l, t.m, t.adapter, losses, &step);
        st = st == RS_STOPPED && step == 2
                 ? RS_OK
                 : RS_FAIL(NUMERIC, "%s after step %lld", rs_status_name(st), (long long)step);
    }
    t_lane_close(&t);
    return st;
}

static void t_ranks_stop_together(void)
{
    t_lane_case k = medium(t_lane_i2v);
    k.F = 1;
    k.H = 4;
    k.W = 8;
    stopping s = {.k = &k};
    T_OK(rs_comm_threads_run(4, stop_rank, &s, NULL));
    for (int r = 0; r < 4; r++)
        T_EQ_I(s.saved[r], 2);
}

static const rs_test_case k_cases[] = {
    T_CASE(t_passes_with_image_and_text),
    T_CASE(t_passes_with_text_only),
    T_CASE(t_passes_over_a_frozen_adapter),
    T_CASE(t_passes_with_some_targets),
    T_CASE(t_passes_of_few_tokens),
    T_CASE(t_empty_segments),
    T_CASE(t_training_and_sampling),
    T_CASE(t_training_over_a_frozen_adapter),
    T_CASE(t_guidance_over_two_halves),
    T_CASE(t_memory_shrinks_with_the_width),
    T_CASE(t_plan_is_what_ranks_hold),
    T_CASE(t_impossible_lanes),
    T_CASE(t_failures_are_agreed_on),
    T_CASE(t_ranks_stop_together),
    T_CASE(t_passes_in_bf16),
};
RS_TEST_MAIN(k_cases)
