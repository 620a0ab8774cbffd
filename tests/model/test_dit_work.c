/* How much a training step computes under each policy: ops are counted where the device calls them.
 */
#include "device/device_priv.h"
#include "model/dit_fixture.h"
#include "nn/lane.h"

typedef struct work {
    int64_t forwards, backwards, gemms; /* attentions, forward and backward */
} work;

static work g_work;
static rs_backend g_counting;
static const rs_backend *g_plain;

static void count_attention(rs_device *d, const rs_attention_fwd_args *a)
{
    g_work.forwards++;
    g_plain->op_attention_fwd(d, a);
}

static void count_attention_bwd(rs_device *d, const rs_attention_bwd_args *a)
{
    g_work.backwards++;
    g_plain->op_attention_bwd(d, a);
}

static void count_gemm(rs_device *d, const rs_gemm_args *a)
{
    g_work.gemms++;
    g_plain->op_gemm(d, a);
}

static void count_ops_of(rs_device *d)
{
    g_plain = d->backend;
    g_counting = *d->backend;
    g_counting.op_attention_fwd = count_attention;
    g_counting.op_attention_bwd = count_attention_bwd;
    g_counting.op_gemm = count_gemm;
    d->backend = &g_counting;
}

static work work_of(t_dit *t, rs_kept kept)
{
    rs_denoiser_set_kept(t->m, kept);
    T_OK(rs_denoiser_bind(t->m, T_F, T_H, T_W, true));
    g_work = (work){0};
    t_dit_loss(t);
    return g_work;
}

/* Three attentions a block: to itself, to the text, to the image. The backward goes to the context,
 * which is adapted, once per segment of the tokens. */
static void t_policies_save_what_they_keep(void)
{
    t_dit t = t_open_dit(t_make_dit("m", t_i2v, RS_DTYPE_F32), 1, NULL);
    t_dit_adapter(&t, 3, 4.0f);
    count_ops_of(t.d);
    work all = work_of(&t, RS_KEPT_ALL), none = work_of(&t, (rs_kept){0});
    work attention = work_of(&t, RS_KEPT_ATTENTION);
    work mixed = work_of(&t, (rs_kept){.store = 2, .attention = 1});
    T_EQ_I(all.forwards, 3 * 3);
    T_EQ_I(all.backwards, 3 * (1 + 2 * RS_SEGMENTS));
    T_EQ_I(none.forwards, all.forwards + 2 * 3); /* the last block is always stored */
    T_EQ_I(attention.forwards, none.forwards - 2);
    T_EQ_I(mixed.forwards, all.forwards + 2);
    T_EQ_I(attention.gemms, none.gemms);
    T_CHECK(none.gemms > mixed.gemms && mixed.gemms > all.gemms);
    T_EQ_I(mixed.backwards, all.backwards);
    t_close_dit(&t);
}

static const rs_test_case k_cases[] = {T_CASE(t_policies_save_what_they_keep)};
RS_TEST_MAIN(k_cases)
