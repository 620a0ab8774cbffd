/* What a step asks of the CUDA runtime: after the first step of each kind no memory of the device
 * or page-locked, and no wait but those at its two ends, whatever the number of blocks. Prints how
 * many kernels a block is made of. */
#include <stdio.h>

#include "model/dit_fixture.h"
#include "tests/emu/emu_count.h"
#include "train/train.h"

enum { CLIP, FRAME, OTHER, ITEMS };
/* Sizes of latents; the two frames have one. */
static const int64_t SIZES[ITEMS][3] = {{3, 8, 8}, {1, 8, 8}, {1, 8, 8}};
static const int32_t ORDER[] = {CLIP, FRAME, OTHER, CLIP, FRAME, OTHER};
enum { STEPS = sizeof ORDER / sizeof ORDER[0] };

/* Of one training step: sample and target go to the device, then the sinusoid of the time; the
 * check; the loss and the norms come back, another check, and one after the update. */
enum { TRAINING_WAITS = 3 + 1 + 2 + 2 };
/* Of one pass of sampling: sample and sinusoid, the check, the velocity. */
enum { SAMPLING_WAITS = 2 + 1 + 1 };

typedef struct bench {
    t_dit t;
    rs_train_item items[ITEMS];
    emu_counts at[STEPS + 1];
    int n;
} bench;

static bench open_bench(int blocks, const rs_denoiser_opts *opts)
{
    bench b = {.n = 0};
    const char *config = rs_arena_printf(
        t_arena(),
        "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 2, "
        "\"attention_head_dim\": 16, \"num_layers\": %d, \"ffn_dim\": 72, \"freq_dim\": 16,"
        " \"in_channels\": 36, \"out_channels\": 16, \"text_dim\": 12, \"image_dim\": 20,"
        " \"added_kv_proj_dim\": 32, \"patch_size\": [1, 2, 2], \"eps\": 1e-6}",
        blocks);
    const char *dir = t_make_dit(rs_arena_printf(t_arena(), "m%d", blocks), config, RS_DTYPE_BF16);
    b.t = t_open_dit_in(dir, 1, opts, RS_PRECISION_BF16);
    t_dit_adapter(&b.t, 4, 4.0f);
    for (int i = 0; i < ITEMS; i++) {
        const int64_t *s = SIZES[i];
        b.items[i] = (rs_train_item){.x0 = t_values("x0", RS_SHAPE(16, s[0], s[1], s[2])),
                                     .y = t_values("y", RS_SHAPE(20, s[0], s[1], s[2])),
                                     .text = t_values("text", RS_SHAPE(T_ROWS, T_TEXT)),
                                     .image = t_values("image", RS_SHAPE(T_IMAGE_ROWS, T_IMAGE))};
    }
    return b;
}

static emu_counts between(emu_counts a, emu_counts b)
{
    return (emu_counts){.allocations = b.allocations - a.allocations,
                        .pinned = b.pinned - a.pinned,
                        .waits = b.waits - a.waits,
                        .launches = b.launches - a.launches,
                        .products = b.products - a.products,
                        .copies = b.copies - a.copies,
                        .events = b.events - a.events};
}

static void after_step(void *ctx, const rs_train_progress *p)
{
    bench *b = ctx;
    T_EQ_I(p->step, ++b->n);
    emu_count(&b->at[b->n]);
}

/* What the last step took, of which the one before was of the same kind. */
static emu_counts train(bench *b, const char *what)
{
    float losses[STEPS];
    int64_t step = 0;
    rs_train_loop l = {.items = b->items,
                       .n_items = ITEMS,
                       .order = ORDER,
                       .steps = STEPS,
                       .optim = RS_OPTIM_OPTS_DEFAULT,
                       .seed = 3,
                       .ctx = b,
                       .report = after_step};
    T_OK(rs_train_run(&l, b->t.m, b->t.a, losses, &step));
    for (int i = 0; i < STEPS; i++) {
        emu_counts c = between(b->at[i], b->at[i + 1]);
        if (i >= ITEMS)
            T_CHECKF(c.allocations == 0 && c.pinned == 0,
                     "%s, step %d: %lld calls about device memory, %lld about page-locked", what, i,
                     c.allocations, c.pinned);
    }
    return between(b->at[STEPS - 1], b->at[STEPS]);
}

/* Of the last of three passes of sampling. */
static emu_counts sample(bench *b, const char *what)
{
    emu_counts from, to;
    T_OK(rs_denoiser_bind(b->t.m, T_F, T_H, T_W, false));
    for (int i = 0; i < 3; i++) {
        emu_count(&from);
        T_OK(rs_denoiser_forward(b->t.m, b->t.v, b->t.x, 500.0f, b->t.cond));
        emu_count(&to);
    }
    emu_counts c = between(from, to);
    T_CHECKF(c.allocations == 0 && c.pinned == 0, "%s: sampling allocates", what);
    return c;
}

static void print_block(const char *what, emu_counts few, emu_counts many, int blocks)
{
    emu_counts c = between(few, many);
    printf("    %-34s a block: %5.1f kernels, %5.1f products, %4.1f copies, %4.1f events\n", what,
           (double)c.launches / blocks, (double)c.products / blocks, (double)c.copies / blocks,
           (double)c.events / blocks);
}

static void check_kind(const char *what, rs_denoiser_opts opts)
{
    enum { FEW = 3, MANY = 5 };
    emu_counts training[2], sampling[2];
    for (int i = 0; i < 2; i++) {
        bench b = open_bench(i ? MANY : FEW, &opts);
        training[i] = train(&b, what);
        sampling[i] = sample(&b, what);
        T_EQ_I(training[i].waits, TRAINING_WAITS);
        T_EQ_I(sampling[i].waits, SAMPLING_WAITS);
        t_close_dit(&b.t);
    }
    print_block(rs_arena_printf(t_arena(), "%s, training", what), training[0], training[1],
                MANY - FEW);
    print_block(rs_arena_printf(t_arena(), "%s, sampling", what), sampling[0], sampling[1],
                MANY - FEW);
}

static void t_resident_and_stored(void)
{
    check_kind("store", (rs_denoiser_opts){.home = RS_HOME_RESIDENT, .kept = RS_KEPT_ALL});
}

static void t_streamed_and_offloaded(void)
{
    check_kind("host, attention offloaded",
               (rs_denoiser_opts){.home = RS_HOME_HOST,
                                  .kept = {.attention = INT64_MAX, .offload = true}});
}

static const rs_test_case CASES[] = {
    T_CASE(t_resident_and_stored),
    T_CASE(t_streamed_and_offloaded),
};
RS_TEST_MAIN(CASES)
