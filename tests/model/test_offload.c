/* What blocks keep for their backward goes to host memory and comes back: the same bits, the bytes
 * that are planned. On the CPU the order of calls is that of the copies; on the emulated runtime
 * (tests/emu) streams run late and in seeded orders, so that an event that is missing shows. */
#include <stdio.h>

#include "device/spill.h"
#include "model/dit_fixture.h"

enum { BLOCKS = 6 };

static const char k_deep[] =
    "{\"_class_name\": \"WanTransformer3DModel\", \"num_attention_heads\": 2, "
    "\"attention_head_dim\": 16,"
    " \"num_layers\": 6, \"ffn_dim\": 72, \"freq_dim\": 16,"
    " \"in_channels\": 36, \"out_channels\": 16, \"text_dim\": 12, \"image_dim\": 20,"
    " \"added_kv_proj_dim\": 32, \"patch_size\": [1, 2, 2], \"eps\": 1e-6}";

static const rs_kept k_kept[] = {
    {0},
    {.attention = BLOCKS},
    {.store = BLOCKS},
    {.store = 4, .attention = 2},
};

/* ---- the ring by itself ---- */

static void write_item(rs_device *d, rs_spill *s, int64_t k, size_t bytes, char *ring, char *value)
{
    rs_spill_write(s, k);
    rs_device_copy(d, ring + (size_t)(k % RS_SPILL_SLOTS) * bytes, value, bytes);
    rs_spill_written(s, k);
}

/* A pass that ends while an item is on its way back. */
static void give_up(rs_device *d, rs_spill *s, int64_t n, size_t bytes, char *ring, char *values)
{
    rs_spill_restart(s);
    for (int64_t k = 0; k < n; k++)
        write_item(d, s, k, bytes, ring, values + (size_t)k * bytes);
    rs_spill_done(s, n - 1);
    if (n > 2)
        rs_spill_fetch(s, n - 3);
}

/* Passes over items of which each is written by ops and read back in the opposite order. */
static void spill_passes(rs_device *d, rs_spill *s, int64_t n, size_t bytes, char *ring,
                         void *values, void *seen)
{
    for (int pass = 0; pass < 3; pass++) {
        int64_t first = pass == 2 ? n / 2 : 0;
        if (pass == 2)
            give_up(d, s, n, bytes, ring, values);
        rs_spill_restart(s);
        for (int64_t k = first; k < n; k++)
            write_item(d, s, k, bytes, ring, (char *)values + (size_t)((k + pass) % n) * bytes);
        for (int64_t k = n - 1; k >= first; k--) {
            rs_spill_read(s, k);
            if (k > first)
                rs_spill_fetch(s, k - 1);
            rs_device_copy(d, (char *)seen + (size_t)k * bytes,
                           ring + (size_t)(k % RS_SPILL_SLOTS) * bytes, bytes);
            rs_spill_done(s, k);
        }
        char *got = rs_arena_alloc(t_arena(), (size_t)n * bytes, 1);
        rs_device_get(d, got, seen, (size_t)n * bytes);
        for (int64_t k = first; k < n; k++)
            for (size_t i = 0; i < bytes; i++)
                T_CHECKF(got[(size_t)k * bytes + i] == (char)((k + pass) % n + 1),
                         "pass %d, item %lld of %lld is another one's", pass, (long long)k,
                         (long long)n);
    }
}

static void t_items_come_back(void)
{
    const size_t bytes = 512;
    rs_device *d;
    T_OK(rs_device_open(&d, &(rs_device_opts){.backend = t_backend(), .threads = 1}));
    for (int64_t n = 1; n <= 9; n += n < 4 ? 1 : 5) {
        rs_spill *s;
        void *ring, *host, *values, *seen;
        T_OK(rs_device_alloc(d, &ring, (size_t)rs_spill_slots(n) * bytes));
        T_OK(rs_device_alloc(d, &values, (size_t)n * bytes));
        T_OK(rs_device_alloc(d, &seen, (size_t)n * bytes));
        T_OK(rs_device_pin(d, &host, (size_t)rs_spill_away(n) * bytes + 1));
        char *from = rs_arena_alloc(t_arena(), (size_t)n * bytes, 1);
        for (int64_t k = 0; k < n; k++)
            memset(from + (size_t)k * bytes, (int)k + 1, bytes);
        rs_device_put(d, values, from, (size_t)n * bytes);
        T_OK(rs_spill_create(&s, d));
        rs_spill_bind(s, ring, host, bytes, n);
        T_EQ_I(rs_spill_items(s), n);
        spill_passes(d, s, n, bytes, ring, values, seen);
        rs_device_sync(d);
        T_OK(rs_device_check(d));
        rs_spill_destroy(&s);
        rs_device_unpin(d, host);
        rs_device_free(d, seen);
        rs_device_free(d, values);
        rs_device_free(d, ring);
    }
    rs_device_destroy(&d);
}

/* ---- the denoiser ---- */

typedef struct result {
    rs_tensor v, grads, forward;
    double loss;
} result;

static result train(t_dit *t)
{
    result r = {.loss = t_dit_loss(t)};
    r.v = rs_tensor_new(t_arena(), t->v.ndim, t->v.shape);
    memcpy(r.v.data, t->v.data, rs_tensor_bytes(t->v));
    r.grads = t_dit_grads(t);
    return r;
}

static void expect_equal(result a, result b, const char *what)
{
    T_CHECKF(a.loss == b.loss && t_same_bits(a.v, b.v), "%s: other loss or velocity", what);
    T_CHECKF(t_same_bits(a.grads, b.grads), "%s: other gradients", what);
}

/* Without offloading. */
static result plainly(t_dit *t)
{
    T_OK(rs_denoiser_bind(t->m, T_F, T_H, T_W, true));
    result r = train(t);
    r.forward = t_dit_forward(t);
    return r;
}

/* A training pass, one without gradients in the same buffers, another training pass. */
static void passes(t_dit *t, result want, const char *what)
{
    expect_equal(want, train(t), what);
    T_CHECKF(t_same_bits(want.forward, t_dit_forward(t)), "%s: other forward", what);
    expect_equal(want, train(t), what);
}

/* Bytes of one of the n things that stay away. */
static size_t each_away(size_t away, int64_t n)
{
    T_CHECKF(n > 0 && away % (size_t)n == 0, "%zu bytes of %lld", away, (long long)n);
    return away / (size_t)n;
}

static void check_bits(rs_precision precision)
{
    const char *dir = t_make_dit("m", k_deep, RS_DTYPE_BF16);
    t_dit t = t_open_dit_in(dir, 2, NULL, precision);
    t_dit_adapter(&t, 3, 4.0f);
    result want = plainly(&t);
    for (size_t i = 0; i < sizeof k_kept / sizeof k_kept[0]; i++) {
        char what[64];
        rs_kept kept = k_kept[i];
        snprintf(what, sizeof what, "%lld stored, attention of %lld", (long long)kept.store,
                 (long long)kept.attention);
        kept.offload = true;
        rs_denoiser_set_kept(t.m, kept);
        T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
        passes(&t, want, what);
    }
    t_close_dit(&t);
}

static void t_bits_fp32(void)
{
    check_bits(RS_PRECISION_FP32);
}

static void t_bits_bf16(void)
{
    check_bits(RS_PRECISION_BF16);
}

static void t_bits_of_streamed_weights(void)
{
    const char *dir = t_make_dit("m", k_deep, RS_DTYPE_BF16);
    rs_denoiser_opts opts = {.home = RS_HOME_HOST};
    t_dit t = t_open_dit(dir, 2, &opts);
    t_dit_adapter(&t, 3, 4.0f);
    result want = plainly(&t);
    rs_denoiser_set_kept(t.m, (rs_kept){.attention = 3, .offload = true});
    T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
    passes(&t, want, "weights from the host");
    t_close_dit(&t);
}

/* What is planned is what is taken; of each kind two stay, whatever the depth. The gradient needs a
 * place of its own then, which the end of the stream is otherwise. */
static void t_bytes(void)
{
    const size_t matrix = T_F * T_H * T_W / 4 * 32 * sizeof(float);
    t_dit t = t_open_dit(t_make_dit("m", k_deep, RS_DTYPE_F32), 1, NULL);
    t_dit_adapter(&t, 3, 4.0f);
    size_t base = rs_device_bytes(t.d), least = 0, inputs = 0;
    for (size_t i = 0; i < sizeof k_kept / sizeof k_kept[0]; i++) {
        rs_kept kept = k_kept[i];
        rs_denoiser_set_kept(t.m, kept);
        size_t here = rs_denoiser_plan(t.m, T_F, T_H, T_W, true);
        T_EQ_I(rs_denoiser_plan_away(t.m, 1, T_F, T_H, T_W), 0);
        kept.offload = true;
        rs_denoiser_set_kept(t.m, kept);
        kept = rs_denoiser_kept(t.m);
        size_t ring = rs_denoiser_plan(t.m, T_F, T_H, T_W, true);
        size_t away = rs_denoiser_plan_away(t.m, 1, T_F, T_H, T_W);
        T_EQ_I(here - ring, away - matrix);
        if (i == 0) {
            least = ring;
            inputs = away;
            T_EQ_I(rs_denoiser_plan_away(t.m, 3, T_F, T_H, T_W), 3 * away);
            T_EQ_I(each_away(away, BLOCKS + 1 - 2), matrix);
        } else {
            int64_t n = rs_spill_away(kept.attention) + rs_spill_away(kept.store - 1);
            T_CHECK(away > inputs || n == 0);
            T_CHECK(ring > least);
        }
        T_EQ_I(rs_denoiser_plan(t.m, T_F, T_H, T_W, false),
               rs_denoiser_plan_lane(t.m, T_F, T_H, T_W, false, 1));
        T_OK(rs_denoiser_bind(t.m, T_F, T_H, T_W, true));
        if (rs_device_host_memory(t.d)) /* others keep a larger pool that they have */
            T_EQ_I(rs_device_bytes(t.d) - base, ring);
    }
    t_close_dit(&t);
}

static void t_several_samples(void)
{
    t_dit t = t_open_dit(t_make_dit("m", k_deep, RS_DTYPE_F32), 2, NULL);
    rs_adapter *one[2];
    rs_tensor want[2];
    const float weight = 1;
    t_dit_adapter(&t, 3, 4.0f);
    one[0] = t.a;
    t_dit_adapter(&t, 3, 4.0f);
    one[1] = t.a;
    for (int offload = 0; offload < 2; offload++) {
        rs_denoiser_sample s[2];
        for (int k = 0; k < 2; k++)
            s[k] = (rs_denoiser_sample){.adapters = &one[k],
                                        .weights = &weight,
                                        .n_adapters = 1,
                                        .x = t.x,
                                        .target = t.target,
                                        .t = 300.0f + 200.0f * (float)k,
                                        .cond = t.cond};
        rs_denoiser_set_kept(t.m, (rs_kept){.store = 3, .attention = 3, .offload = offload});
        T_OK(rs_denoiser_bind_many(t.m, 2, T_F, T_H, T_W));
        T_OK(rs_denoiser_loss_grad_many(t.m, s, 2));
        for (int k = 0; k < 2; k++) {
            t.a = one[k];
            rs_tensor grads = t_dit_grads(&t);
            if (offload)
                T_CHECKF(t_same_bits(want[k], grads), "sample %d: other gradients", k);
            want[k] = grads;
        }
        T_CHECK(!t_same_bits(want[0], want[1]));
    }
    rs_adapter_destroy(&one[0]);
    t_close_dit(&t);
}

static const rs_test_case CASES[] = {
    T_CASE(t_items_come_back),          T_CASE(t_bits_fp32), T_CASE(t_bits_bf16),
    T_CASE(t_bits_of_streamed_weights), T_CASE(t_bytes),     T_CASE(t_several_samples),
};
RS_TEST_MAIN(CASES)
